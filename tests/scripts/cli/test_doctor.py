"""scripts/cli/doctor: what is wrong with an installation, each thing broken in turn, and how to mend it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.cli import main
from tests.scripts.cli.test_rules import RULE

Change = Callable[[Path], object]
Doctor = Callable[[Path], tuple[int, list[dict[str, str]]]]
DOWN = "http://127.0.0.1:9"


def write_config(folder: Path, **sections: Any) -> Path:
    (folder / "rules").mkdir(exist_ok=True)
    (folder / "rules" / "a.yaml").write_text(RULE)
    parts = {"listen": {"port": 0}, "proxy": {"port": 0}, "web": {"port": 0}, "upstream": {"base_url": DOWN}}
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(parts | sections))
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation with key and store."""
    folder = tmp_path_factory.mktemp("whole")
    assert main.run(["--config", str(write_config(folder)), "db", "init", "--json"]) == 0
    return folder


@pytest.fixture
def installed(whole: Path, tmp_path: Path) -> Path:
    """A copy of it, to break."""
    return shutil.copytree(whole, tmp_path / "installed")


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Exit code and findings for an installation."""

    def call(folder: Path) -> tuple[int, list[dict[str, str]]]:
        capsys.readouterr()
        code = main.run(["--config", str(folder / "config.yaml"), "doctor", "--json"])
        body = json.loads(capsys.readouterr().out)
        assert body["ok"] == (code == 0)
        return code, body["findings"]

    return call


def wrong(findings: list[dict[str, str]]) -> dict[str, str]:
    """check → message and mend, of what is wrong besides upstream, which is down in all these tests."""
    found = [f for f in findings if f["status"] == "wrong"]
    assert "upstream" in {f["check"] for f in found} or "config" in {f["check"] for f in found}
    assert all(f["mend"] for f in found)
    return {f["check"]: f"{f['message']} | {f['mend']}" for f in found if f["check"] != "upstream"}


def test_doctor_looks_at_everything(doctor: Doctor, installed: Path) -> None:
    """Each part has a finding; with upstream down, that one is wrong and the exit code is 1."""
    code, findings = doctor(installed)
    assert (code, wrong(findings)) == (1, {})
    checks = {"python", "config", "secrets", "store", "rules", "disk", "web", "ports", "jobs"}
    assert checks <= {f["check"] for f in findings}


def test_doctor_without_anything(doctor: Doctor, tmp_path: Path) -> None:
    """Before `db init` the doctor names the missing key and store and the command that makes them, and makes nothing."""
    write_config(tmp_path)
    found = wrong(doctor(tmp_path)[1])
    assert set(found) == {"secrets", "store"}
    assert "db init" in found["store"]
    assert not (tmp_path / "data").exists()


def set_revision(revision: str) -> Change:
    def change(folder: Path) -> None:
        with sqlite3.connect(folder / "data/ofapi.db") as conn:
            conn.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        conn.close()

    return change


BROKEN: list[tuple[str, Change, str]] = [
    # store
    ("store", set_revision("0001"), "ofapi db upgrade"),
    ("store", set_revision("9999"), "newer program"),
    ("store", lambda folder: (folder / "data/ofapi.db").unlink(), "ofapi db init"),
    ("store", lambda folder: (folder / "data/ofapi.db").write_bytes(b"no database" * 99), "backup"),
    # secrets
    ("secrets", lambda folder: (folder / "data/secret.key").unlink(), "backup"),
    ("secrets", lambda folder: (folder / "data/secret.key").write_text("short"), "Fernet"),
    # rules
    ("rules", lambda folder: (folder / "rules/a.yaml").write_text("- id: X"), "ofapi rules check"),
    ("rules", lambda folder: (folder / "rules/a.yaml").unlink(), "rules.dir"),
    # disk: nobody can make folders there
    ("disk", lambda folder: write_config(folder, media={"dir": "/proc/ofapi/media"}), "cannot be written"),
    # config
    ("config", lambda folder: (folder / "config.yaml").write_text("listen: {prot: 1}"), "`port`"),
    ("config", lambda folder: (folder / "config.yaml").unlink(), "does not exist"),
]


@pytest.mark.parametrize(("check", "change", "text"), BROKEN, ids=[f"{b[0]}-{b[2]}" for b in BROKEN])
def test_each_thing_broken_in_turn(doctor: Doctor, installed: Path, check: str, change: Change, text: str) -> None:
    """One broken thing is one wrong finding, which says what to do."""
    change(installed)
    found = wrong(doctor(installed)[1])
    assert set(found) == {check}
    assert text in found[check]
