"""`ofapi jobs`: looking at work that happens later, running it again, ending it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from addons.config import load_config
from ofapi_store import outbox, testing
from ofapi_store.engine import Store
from scripts.cli.main import run


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"store": {"url": "sqlite:///s.db"}}))
    store = Store.open(load_config(path).store_url)
    testing.create_all(store)
    store.close()
    return path


def add(config: Path, kind: str, key: str = "x") -> int:
    store = Store.open(load_config(config).store_url)
    with store.write() as conn:
        made = outbox.enqueue(conn, kind, {"export": "data_export_x"}, key=key).id
    store.close()
    return made


def call(capsys: pytest.CaptureFixture[str], config: Path, *args: str) -> tuple[int, Any]:
    code = run(["--json", "--config", str(config), "jobs", *args])
    return code, json.loads(capsys.readouterr().out)


def test_a_cancelled_job_runs_again(capsys: pytest.CaptureFixture[str], config: Path) -> None:
    """Where nothing has ended with it; what is over or unknown is said to be."""
    job = str(add(config, "sync.account"))
    assert call(capsys, config, "cancel", job) == (0, {"id": int(job), "state": "cancelled"})
    assert call(capsys, config, "cancel", job)[1]["error"] == "job_not_cancelled"
    assert call(capsys, config, "retry", job) == (0, {"id": int(job), "state": "pending"})
    assert [row["id"] for row in call(capsys, config, "list")[1]] == [int(job)]
    assert call(capsys, config, "show", "999")[1]["error"] == "job_not_found"


def test_what_runs_by_itself_does_not_fill_the_list(capsys: pytest.CaptureFixture[str], config: Path) -> None:
    """Its done runs are shown where they are asked for; one that failed is shown."""
    exported = add(config, "export.build")
    runs = [add(config, "events.schedule", key=str(n)) for n in range(3)]
    store = Store.open(load_config(config).store_url)
    with store.write() as conn:
        outbox.lease_due(conn, "w", limit=9, lease_s=30, kinds=["events.schedule"])
        outbox.complete(conn, runs[0], "w")
        outbox.complete(conn, runs[1], "w")
        outbox.fail(conn, runs[2], "w", error="x")
    store.close()

    def ids(*args: str) -> list[int]:
        return [row["id"] for row in call(capsys, config, "list", *args)[1]]

    assert ids() == [runs[2], exported]
    assert ids("--all") == [*reversed(runs), exported]
    assert ids("--kind", "events.schedule") == [*reversed(runs)]
    assert ids("--state", "done") == [runs[1], runs[0]]


def test_what_waits_for_a_cancelled_job_is_told(capsys: pytest.CaptureFixture[str], config: Path) -> None:
    """By a job of its own; running the old one again would do nothing, so the command says what to do instead."""
    job = str(add(config, "export.build"))
    assert call(capsys, config, "cancel", job)[0] == 0
    (settling,) = call(capsys, config, "list", "--kind", "jobs.settle")[1]
    assert (settling["key"], settling["state"]) == (job, "pending")
    code, error = call(capsys, config, "retry", job)
    assert (code, error["error"]) == (1, "job_not_retried")
    assert "POST /data-exports/{id}/retry" in error["message"]
