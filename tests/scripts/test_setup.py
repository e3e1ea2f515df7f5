"""scripts/setup: which Python it takes, and what it says where there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]


def fake_python(folder: Path, version: str) -> Path:
    """A Python that says it is another version, and makes no virtual environment."""
    path = folder / f"python{version}"
    major, minor = version.split(".")
    set_version = f"import sys; sys.version_info = ({major}, {minor}, 0)"
    path.write_text(f"""#!/bin/sh
[ "$1" = -c ] && exec {sys.executable} -c "{set_version}; exec(sys.argv[1])" "$2"
[ "$1" = -V ] && {{ echo Python {version}.0; exit; }}
exit 7
""")
    path.chmod(0o755)
    return path


def set_up(root: Path, python: Path) -> subprocess.CompletedProcess[str]:
    (root / "scripts").mkdir()
    shutil.copy(REPO / "scripts/setup", root / "scripts")
    for name in ("requirements.lock", "pyproject.toml"):
        (root / name).touch()
    env = {**os.environ, "PYTHON": str(python)}
    return subprocess.run([root / "scripts/setup"], env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(("version", "taken"), [("3.11", False), ("3.12", True), ("3.13", True), ("3.14", False)])
def test_which_pythons_are_taken(tmp_path: Path, version: str, taken: bool) -> None:
    """3.12 and 3.13, for which every package of the lock has a wheel; others are refused with the reason."""
    done = set_up(tmp_path, fake_python(tmp_path, version))
    assert done.returncode == (7 if taken else 1)
    assert (f"making .venv with Python {version}" in done.stderr) == taken
    assert ("is no Python 3.12 or 3.13" in done.stderr) != taken
