"""`ofapi exports`: what teams export, and ending one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from addons.config import load_config
from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.queries import credits as ledger
from ofapi_store.queries import exports
from scripts.cli.main import run

START, END = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 2, 1, tzinfo=UTC)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"exports": {"dir": "exports"}, "store": {"url": "sqlite:///s.db"}}))
    store = Store.open(load_config(path).store_url)
    testing.create_all(store)
    store.close()
    return path


@pytest.fixture
def made(config: Path) -> str:
    """A started export of 40 rows."""
    store = Store.open(load_config(config).store_url)
    with store.write() as conn:
        team = testing.make_team(conn, balance=10)
        account = testing.make_account(conn, team.id)
        new = exports.NewExport("transactions", "csv", START, END, [account.id], ["amount"], {}, auto_start=True)
        row = exports.create(conn, team.id, new)
        exports.calculated(conn, row.id, rows=40, credits=2)
    store.close()
    return row.id


def call(capsys: pytest.CaptureFixture[str], config: Path, *args: str) -> tuple[int, Any]:
    code = run(["--json", "--config", str(config), "exports", *args])
    return code, json.loads(capsys.readouterr().out)


def test_list_and_show(capsys: pytest.CaptureFixture[str], config: Path, made: str) -> None:
    """By status; one with its accounts, columns and job."""
    code, found = call(capsys, config, "list", "--status", "pending")
    assert (code, [row["id"] for row in found]) == (0, [made])
    assert call(capsys, config, "list", "--status", "failed") == (0, [])
    assert call(capsys, config, "list", "--status", "lost")[0] == 2
    _, shown = call(capsys, config, "show", made)
    assert (shown["status"], shown["charged"], shown["columns"], shown["file"]) == ("pending", 2, ["amount"], None)
    assert shown["job"]
    code, error = call(capsys, config, "show", "data_export_x")
    assert (code, error["error"]) == (1, "export_not_found")


def test_cancel_once(capsys: pytest.CaptureFixture[str], config: Path, made: str) -> None:
    """The credits go back; a second time it is over already."""
    assert call(capsys, config, "cancel", made)[1]["credits_given_back"] == 2
    code, error = call(capsys, config, "cancel", made)
    assert (code, error["error"]) == (1, "export_not_cancelled")
    store = Store.open(load_config(config).store_url)
    with store.read() as conn:
        row = exports.by_id(conn, made)
        assert row is not None
        assert ledger.balance(conn, row.team_id) == 10
    store.close()
