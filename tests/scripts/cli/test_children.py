"""scripts/cli/children: files for programs that wait, written whole."""

from __future__ import annotations

import stat
from pathlib import Path

from scripts.cli.children import write_atomically


def test_files_are_replaced_whole(tmp_path: Path) -> None:
    """A new file takes the old one's place, readable by its owner only, and no draft stays behind."""
    path = tmp_path / "new" / "ready.json"
    write_atomically(path, "one")
    before = path.stat().st_ino
    write_atomically(path, "two")
    assert path.read_text() == "two"
    assert path.stat().st_ino != before
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["ready.json"]


def test_links_and_devices_are_never_replaced(tmp_path: Path) -> None:
    """`/dev/stdout` is a link that the whole machine shares: it is written to, and stays what it is."""
    target, link = tmp_path / "target", tmp_path / "stdout"
    target.write_text("")
    link.symlink_to(target)
    write_atomically(link, "x")
    assert link.is_symlink()
    assert target.read_text() == "x"
    write_atomically(Path("/dev/null"), "x")
    assert Path("/dev/null").is_char_device()
