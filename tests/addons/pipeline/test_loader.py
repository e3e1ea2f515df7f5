"""addons/pipeline/loader: all files or none, and every error of every file at its place.

Golden texts: `OFAPI_UPDATE_GOLDEN=1 pytest tests/addons/pipeline/test_loader.py` rewrites them.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from addons.pipeline.check import Known
from addons.pipeline.loader import load_rules
from addons.pipeline.paths import canonical_path
from addons.pipeline.problems import CODES, RulesInvalid

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "rules_bad"
RULES = Path(__file__).resolve().parents[3] / "rules"
BAD = sorted(path.stem for path in GOLDEN.glob("*.yaml"))

KNOWN = Known(
    handlers=frozenset({"accounts.whoami", "link_tags.list"}),
    tables={"fans": frozenset({"fan_id", "name", "last_reply_at", "extra"})},
    observed={"fans": frozenset({"fan_id", "name", "extra"})},
    keys={"fans": frozenset({"fan_id"})},
    selectors=frozenset({"fan_index.spenders"}),
)

GOOD = """\
- id: {id}
  match: GET /{{account}}/{id}
  source: passthrough
  why: A test.
  upstream: GET /api2/v2/{id}
"""


def problems(folder: Path) -> RulesInvalid:
    with pytest.raises(RulesInvalid) as caught:
        load_rules(folder, known=KNOWN)
    return caught.value


@pytest.mark.parametrize("name", BAD)
def test_broken_file_has_its_golden_errors(name: str, tmp_path: Path) -> None:
    """Each broken file is refused with exactly these errors: place, what is wrong, what to do, stable code."""
    folder = tmp_path / "rules"
    folder.mkdir()
    shutil.copy(GOLDEN / f"{name}.yaml", folder)
    text = str(problems(folder)) + "\n"
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("OFAPI_UPDATE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_golden_files_cover_every_code() -> None:
    """Every error code that a file can have is shown by a broken file, and there are at least twenty of them."""
    shown = "".join(path.read_text(encoding="utf-8") for path in GOLDEN.glob("*.txt"))
    assert [code for code in CODES if f"[{code}]" not in shown] == ["unexpected"]
    assert len(BAD) >= 20


def test_all_errors_of_all_files_at_once(tmp_path: Path) -> None:
    """One load names the errors of every broken file, those in subfolders too, in file order."""
    folder = tmp_path / "rules"
    (folder / "sub").mkdir(parents=True)
    for index, name in enumerate(("bad-value", "unknown-keys", "syntax")):
        shutil.copy(GOLDEN / f"{name}.yaml", folder / ("sub" if index else ".") / f"{name}.yaml")
    found = problems(folder).problems
    assert {p.file for p in found} == {"rules/bad-value.yaml", "rules/sub/unknown-keys.yaml", "rules/sub/syntax.yaml"}
    assert found == sorted(found, key=lambda p: (p.file, p.line, p.column))


def test_collisions_across_files_name_both_places(tmp_path: Path) -> None:
    """Two files with one route: the later one is told, with the place of the other."""
    (tmp_path / "a.yaml").write_text(GOOD.format(id="same"))
    (tmp_path / "b.yaml").write_text(GOOD.format(id="same").replace("id: same", "id: other"))
    problem = problems(tmp_path).problems[0]
    assert problem.code == "overlap"
    assert problem.file.endswith("b.yaml")
    assert "a.yaml:2:10" in problem.hint


def test_version_follows_content(tmp_path: Path) -> None:
    """The version changes with any byte of any file, and only then."""
    file = tmp_path / "a.yaml"
    file.write_text(GOOD.format(id="a"))
    first = load_rules(tmp_path, known=KNOWN).version
    assert load_rules(tmp_path, known=KNOWN).version == first
    file.write_text(GOOD.format(id="a") + "# x\n")
    assert load_rules(tmp_path, known=KNOWN).version != first


def test_empty_folder_and_files_without_rules_are_right(tmp_path: Path) -> None:
    """No rules is a valid plan: everything goes the default way. Only a file that holds nothing at all is refused."""
    (tmp_path / "a.yaml").write_text("# nothing yet\n")
    (tmp_path / "b.yaml").write_text("rules:\n")
    assert load_rules(tmp_path, known=KNOWN).rules == ()
    (tmp_path / "c.yaml").write_text(" \n")
    assert [p.code for p in problems(tmp_path).problems] == ["empty-file"]


def test_missing_folder_is_an_error(tmp_path: Path) -> None:
    """A folder that does not exist is refused; it is most likely a mistyped config."""
    assert problems(tmp_path / "nowhere").problems[0].code == "file-unreadable"


def test_disabled_rules_are_checked_but_do_not_match(tmp_path: Path) -> None:
    """`state: disabled` takes a rule out of matching and collisions, and keeps it under check."""
    rule = GOOD.format(id="a")
    (tmp_path / "a.yaml").write_text(rule + "  state: disabled\n" + rule.replace("id: a", "id: b"))
    plan = load_rules(tmp_path, known=KNOWN)
    match = plan.match("GET", canonical_path("/acct/a"))
    assert match is not None
    assert match.rule.id == "b"
    (tmp_path / "a.yaml").write_text(rule + "  state: disabled\n  owner: 5\n")
    assert problems(tmp_path).problems[0].code == "bad-value"


def test_yaml_words_stay_text(tmp_path: Path) -> None:
    """`on`, `no` and dates are text as in YAML 1.2; keys are always text."""
    (tmp_path / "a.yaml").write_text(
        GOOD.format(id="a") + "  owner: no\n  query:\n    values:\n      filter[online]: {1: on, true: 2024-01-01}\n"
    )
    spec = load_rules(tmp_path, known=KNOWN).rules[0].spec
    assert spec.owner == "no"
    assert spec.query.values == {"filter[online]": {"1": "on", "true": "2024-01-01"}}


def test_committed_rules_load() -> None:
    """The product's own rules have no syntax, model, path, step or rank error."""
    plan = load_rules(RULES, known=Known())
    assert plan.counts["hybrid"] >= 12


def test_a_failing_addon_of_a_third_party_is_an_error_of_the_step(tmp_path: Path) -> None:
    """An addon that raises while it compiles makes its rule file wrong; it ends nothing."""

    class NoParams(BaseModel):
        pass

    class Failing:
        name = "failing"
        Params = NoParams

        @classmethod
        def compile(cls, params: Any, ctx: Any) -> Any:
            raise KeyError("oops")

    text = "- {id: a, match: GET /a, source: hybrid, why: x, upstream: GET /api2/v2/a, steps: [{addon: failing}]}\n"
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(RulesInvalid) as caught:
        load_rules(tmp_path, addons={"failing": Failing}, known=KNOWN)
    (problem,) = caught.value.problems
    assert (problem.code, problem.line, problem.column) == ("bad-step", 1, text.index("failing") + 1)
    assert "KeyError" in problem.message
