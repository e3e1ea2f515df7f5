"""scripts/cli/stack: the folder of a demo or a test."""

from __future__ import annotations

from pathlib import Path

from scripts.cli.stack import copy_rules, merged, simulated_logins


def test_copied_rules_follow_the_originals_until_edited(tmp_path: Path) -> None:
    """A second copy brings new and changed files and takes removed ones away; an edited one stays as it is."""
    source, target = tmp_path / "rules", tmp_path / "copy"
    (source / "sub").mkdir(parents=True)
    (source / "a.yaml").write_text("a: 1\n")
    (source / "sub/b.yaml").write_text("b: 1\n")
    (source / "gone.yaml").write_text("g: 1\n")
    (source / "kept.yaml").write_text("k: 1\n")
    copy_rules(source, target)
    (target / "a.yaml").write_text("edited\n")
    (target / "kept.yaml").write_text("edited\n")
    (target / "own.yaml").write_text("o: 1\n")
    (source / "gone.yaml").unlink()
    (source / "kept.yaml").unlink()
    (source / "a.yaml").write_text("a: 2\n")
    (source / "sub/b.yaml").write_text("b: 2\n")
    (source / "c.yaml").write_text("c: 1\n")
    copy_rules(source, target)
    assert (target / "a.yaml").read_text() == "edited\n"
    assert (target / "sub/b.yaml").read_text() == "b: 2\n"
    assert (target / "c.yaml").read_text() == "c: 1\n"
    assert sorted(p.name for p in target.glob("*.yaml")) == ["a.yaml", "c.yaml", "kept.yaml", "own.yaml"]


def test_sections_merge(tmp_path: Path) -> None:
    """Later sections win key by key, and nothing given is changed."""
    one = {"a": {"x": 1, "y": 1}, "b": 1}
    assert merged(one, {"a": {"y": 2}, "c": 3}) == {"a": {"x": 1, "y": 2}, "b": 1, "c": 3}
    assert one == {"a": {"x": 1, "y": 1}, "b": 1}


def test_logins_of_the_simulator_depend_on_its_seed() -> None:
    """The demo connects the accounts of any simulated upstream of the same seed."""
    assert simulated_logins(7) == simulated_logins(7)
    assert simulated_logins(7)[0]["cookies"] != simulated_logins(8)[0]["cookies"]
    assert len({login["id"] for login in simulated_logins()}) == 2
