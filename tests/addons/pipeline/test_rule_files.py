"""addons/pipeline/rule_files: which files are rule files, and what is told instead of being passed over."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from addons.pipeline.rule_files import rule_files


def names(root: Path) -> list[str]:
    return [p.relative_to(root).as_posix() for p in rule_files(root).paths]


def test_which_files_are_loaded(tmp_path: Path) -> None:
    """`.yaml` and `.yml` in subfolders, but nothing whose name begins with `.` or `_`, and nothing that is no file."""
    for name in (
        "b.yaml",
        "a.yaml",
        "sub/deep/b.yml",
        ".hidden.yaml",
        "_draft.yaml",
        "_old/c.yaml",
        "d.json",
        "e.yaml~",
        ".git/f.yaml",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.yaml").mkdir()
    os.mkfifo(tmp_path / "pipe.yaml")
    assert names(tmp_path) == ["a.yaml", "b.yaml", "sub/deep/b.yml"]
    assert rule_files(tmp_path).problems == []


def test_linked_files_and_folders_are_followed_once(tmp_path: Path) -> None:
    """Links lead to rules elsewhere, as mounted config maps do; a link back up is no endless loop."""
    root, other = tmp_path / "rules", tmp_path / "other"
    root.mkdir()
    other.mkdir()
    (other / "a.yaml").touch()
    (root / "linked").symlink_to(other)
    (root / "b.yaml").symlink_to(other / "a.yaml")
    (root / "loop").symlink_to(root)
    assert names(root) == ["b.yaml", "linked/a.yaml"]


def test_a_link_to_nowhere_is_a_file(tmp_path: Path) -> None:
    """A rule file whose target is gone is listed, so that reading it fails aloud."""
    (tmp_path / "a.yaml").symlink_to(tmp_path / "gone")
    assert names(tmp_path) == ["a.yaml"]


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """Its rules would vanish without a word else. Looked at by a user without rights, for root may read all."""
    root = tmp_path / "rules"
    (root / "locked").mkdir(parents=True)
    (root / "locked" / "a.yaml").touch()
    (root / "locked").chmod(0)
    code = f"""
from pathlib import Path
from addons.pipeline.rule_files import rule_files
import os
os.getuid() or os.setuid(65534)
for problem in rule_files(Path({str(root)!r})).problems:
    print(problem)
"""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid():
            folder.chmod(folder.stat().st_mode | 0o111)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (root / "locked").chmod(0o755)
    assert "rules/locked:1:1: the folder cannot be read: Permission denied [file-unreadable]" in done.stdout


@pytest.mark.parametrize("where", [".", "../rules"])
def test_files_have_the_name_of_their_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """However the folder is named, a file in it is called `rules/a.yaml`."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").touch()
    monkeypatch.chdir(tmp_path / "rules")
    files = rule_files(Path(where))
    assert [files.name(p) for p in files.paths] == ["rules/a.yaml"]
