"""Lines on their way to the store: whole lines, one adopter, nothing twice."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

from addons.spool import files


def test_lines_are_read_whole_and_in_order(tmp_path):
    """Reading goes on where it stopped; a line that was cut short by a kill was never answered and is left out."""
    file = files.create(tmp_path / "new", ".lines")
    for n in range(5):
        file.append(b"line %d\n" % n)
    first = file.read()
    assert (first.start, first.lines) == (0, [b"line %d" % n for n in range(5)])
    file.position = first.end
    assert file.read().lines == []
    with file.path.open("ab") as f:
        f.write(b"half")
    assert file.read().lines == []
    file.close()


def test_a_living_process_keeps_its_file(tmp_path):
    """Another process cannot take it, and can once the owner was killed."""
    code = (
        "import sys, time; from pathlib import Path; from addons.spool import files; "
        "f = files.create(Path(sys.argv[1]), '.lines'); f.append(b'one\\n'); print('ready', flush=True); time.sleep(60)"
    )
    repo = Path(__file__).resolve().parents[3]
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, cwd=repo)
    try:
        assert child.stdout.readline() == b"ready\n"
        (path,) = files.found(tmp_path, ".lines")
        with files.adopted(path) as file:
            assert file is None
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    with files.adopted(path) as file:
        assert file.read().lines == [b"one"]
        with files.adopted(path) as second:
            assert second is None  # one adopter at a time
        file.remove()
    with files.adopted(path) as file:
        assert file is None


def test_files_that_are_gone_or_foreign_are_no_spools(tmp_path):
    """Other files in the folder are left alone; a missing folder holds none."""
    (tmp_path / "readme.txt").write_text("x")
    assert files.found(tmp_path, ".lines") == []
    assert files.found(tmp_path / "none", ".lines") == []
    assert [path.name for path in tmp_path.iterdir()] == ["readme.txt"]


def test_a_new_file_is_never_one_that_another_process_took(tmp_path, monkeypatch):
    """Whoever adopts it in the moment before its lock removes it: lines then go to a file that others will find."""
    lock, taken = fcntl.flock, []

    def flock(fd, how):
        monkeypatch.setattr(fcntl, "flock", lock)
        taken.extend(files.found(tmp_path, ".lines"))
        with files.adopted(taken[0]) as stolen:
            stolen.remove()
        lock(fd, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    file = files.create(tmp_path, ".lines")
    file.append(b"kept\n")
    assert taken != [file.path]
    file.close()
    (path,) = files.found(tmp_path, ".lines")
    with files.adopted(path) as found:
        assert found.read().lines == [b"kept"]
