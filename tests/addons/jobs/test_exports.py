"""Export jobs: kill -9 at every state, cancel within a second, limits, tidying up."""

from __future__ import annotations

import asyncio
import csv
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from addons.exports import build as building
from addons.exports.files import ExportFiles
from addons.jobs import exports as export_jobs
from addons.jobs import leasing
from addons.jobs import worker as worker_module
from addons.jobs.registry import Job, Registry
from addons.jobs.upstream_client import Refused, SessionExpired, Unavailable
from addons.jobs.worker import Worker
from ofapi_store import outbox
from ofapi_store.engine import Store
from ofapi_store.queries import credits as ledger
from ofapi_store.queries import events, exports, webhooks
from ofapi_store.secrets import SecretBox
from tests.addons.exports.bench import create, done, export_bench, file_of, put, request, run_jobs, show, transactions
from tests.addons.pipeline.harness import Bench

ROWS = 45
POINTS = ["before:calculated", "after:calculated", "after:begin", "row:20", "before:completed", "after:completed"]


@pytest.fixture
async def bench(store: Store, secret_box: SecretBox, tmp_path: Path) -> AsyncIterator[Bench]:
    made = export_bench(store, secret_box, tmp_path)
    put(made, "transactions", transactions(ROWS))
    yield made
    await made.gateway.close()


def balance(bench: Bench) -> int:
    with bench.store.read() as conn:
        return ledger.balance(conn, bench.team.id)


def happened(bench: Bench) -> list[str]:
    """The names of all events, oldest first."""
    with bench.store.read() as conn:
        rows = conn.execute(events.EVENTS.select().order_by(events.EVENTS.c.id)).all()
    return [row.event.removeprefix("data_exports.") for row in rows]


def listen(bench: Bench) -> None:
    """A webhook that wants every event of exports."""
    names = ("calculating_credits", "calculating_credits_completed", "calculating_credits_failed", "in_progress",
             "completed", "failed", "cancelled")  # fmt: skip
    with bench.store.write() as conn:
        events_of = [f"data_exports.{name}" for name in names]
        webhooks.create(conn, bench.team.id, url="https://a.test", events=events_of, account_scope="global")


async def take_over(bench: Bench) -> None:
    """What another worker does once the dead one's leases have run out."""
    later = bench.services.clock() + timedelta(seconds=40)
    bench.services.clock = lambda: later
    await bench.store.awrite(leasing.sweep, settled=[], now=later)
    await run_jobs(bench)


@pytest.mark.parametrize("point", POINTS)
async def test_killed_at_any_state_it_is_completed_once(
    bench: Bench, store_url: str, tmp_path: Path, point: str
) -> None:
    """The file is whole, charged once, each event came once, and nothing is left of the killed try."""
    listen(bench)
    before = balance(bench)
    made = (await create(bench, auto_start=True)).json["data"]
    folder = bench.services.config.exports.dir
    args = [store_url, str(folder), str(tmp_path / "secret.key"), point]
    child = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "tests.addons.jobs.dying_export_worker", *args], check=False
    )
    assert child.returncode == -9
    if point != "after:completed":
        assert (await show(bench, made["id"]))["download_url"] is None
    await take_over(bench)
    shown = await show(bench, made["id"])
    assert (shown["status"], shown["rows_processed"]) == ("completed", ROWS)
    with file_of(bench, shown).open(encoding="utf-8-sig", newline="") as file:
        assert len({row[0] for row in csv.reader(file)}) == ROWS + 1
    assert [p.name for p in file_of(bench, shown).parent.iterdir()] == [file_of(bench, shown).name]
    assert balance(bench) == before - 3
    steps = ["calculating_credits", "calculating_credits_completed", "in_progress", "completed"]
    assert happened(bench) == steps


async def test_cancelled_within_a_second(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is written: the worker stops by its next look, no file and no part remains, the credits are back."""
    assert worker_module.WATCH_S <= 0.5
    before = balance(bench)
    made = (await create(bench, auto_start=True)).json["data"]
    rows = building.stored_batches

    def endless(*args: object, **kwargs: object) -> object:
        while True:
            time.sleep(0.01)
            yield from rows(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr("addons.exports.exporter.stored_batches", endless)
    worker = Worker(bench.services, Registry(dict(export_jobs.JOBS)))
    running = asyncio.create_task(worker.run())
    while (await show(bench, made["id"]))["status"] != "in_progress":
        await asyncio.sleep(0.02)
    assert (await request(bench, "DELETE", f"data-exports/{made['id']}")).status == 200
    asked = time.monotonic()
    folder = bench.services.config.exports.dir / bench.team.id
    while folder.exists() and list(folder.iterdir()):
        assert time.monotonic() - asked < 30
        await asyncio.sleep(0.02)
    worker.stop()
    await running
    assert (await show(bench, made["id"]))["status"] == "cancelled"
    assert balance(bench) == before


async def test_an_export_ends_with_its_cancelled_job(bench: Bench) -> None:
    """An operator cancels the job: the export says so at once, with its event, and can be retried."""
    listen(bench)
    made = (await create(bench)).json["data"]
    with bench.store.write() as conn:
        (job,) = outbox.list_jobs(conn, kind=exports.CALCULATE)
        assert leasing.cancel(conn, job.id, settle=True, now=bench.services.clock())
        assert not leasing.cancel(conn, job.id, settle=True, now=bench.services.clock())
    await run_jobs(bench)
    shown = await show(bench, made["id"])
    assert (shown["status"], shown["failed_reason"]) == ("calculating_credits_failed", export_jobs.JOB_GONE)
    assert happened(bench) == ["calculating_credits", "calculating_credits_failed"]
    assert (await request(bench, "POST", f"data-exports/{made['id']}/retry")).status == 200


async def test_too_many_rows_fail_the_calculation(store: Store, secret_box: SecretBox, tmp_path: Path) -> None:
    """The reason says the limit and what to do; nothing was charged; the event was sent."""
    bench = export_bench(store, secret_box, tmp_path, exports={"dir": str(tmp_path / "exports"), "max_rows": 44})
    listen(bench)
    put(bench, "transactions", transactions(ROWS))
    shown = await done(bench)
    assert shown["status"] == "calculating_credits_failed"
    assert "45 rows" in shown["failed_reason"]
    assert "shorter period" in shown["failed_reason"]
    assert happened(bench) == ["calculating_credits", "calculating_credits_failed"]


async def test_an_error_that_stays_fails_the_export_and_refunds(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the last try; `retry` can then make a new one."""
    before = balance(bench)
    made = (await create(bench, auto_start=True)).json["data"]

    def full(*_args: object, **_more: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("addons.exports.exporter.write_file", full)
    for _ in range(exports.MAX_ATTEMPTS + 2):
        await run_jobs(bench)
        later = bench.services.clock() + timedelta(hours=1)
        bench.services.clock = lambda later=later: later
    shown = await show(bench, made["id"])
    assert (shown["status"], shown["download_url"]) == ("failed", None)
    assert "No space left" in shown["failed_reason"]
    assert balance(bench) == before


@pytest.mark.parametrize(
    ("problem", "status"),
    [
        (SessionExpired("upstream refuses the login; connect the account again"), "calculating_credits_failed"),
        (Refused(403, "no"), "calculating_credits_failed"),
        (LookupError("there is no connected account acct_x"), "calculating_credits_failed"),
        (Unavailable("upstream answered 503", 60), "calculating_credits"),
    ],
)
async def test_what_upstream_says(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, problem: Exception, status: str
) -> None:
    """What trying again cannot mend ends the export with that reason; an outage is waited out."""

    async def count(*_args: object) -> int:
        raise problem

    made = (await create(bench)).json["data"]
    monkeypatch.setattr("addons.jobs.exports.Exporter.count", count)
    await run_jobs(bench)
    shown = await show(bench, made["id"])
    assert shown["status"] == status
    if status.endswith("failed"):
        assert shown["failed_reason"] == str(problem)


async def test_an_export_whose_job_is_gone_fails(bench: Bench) -> None:
    """However its job went, no export waits for ever."""
    made = (await create(bench)).json["data"]
    with bench.store.write() as conn:
        job = outbox.live(conn, exports.CALCULATE, made["id"])
        assert job is not None
        outbox.cancel(conn, job.id)
    await export_jobs.upkeep(Job(1, "export.upkeep", None, {}), bench.services)
    assert (await show(bench, made["id"]))["status"] == "calculating_credits"
    later = bench.services.clock() + timedelta(minutes=5)
    bench.services.clock = lambda: later
    await export_jobs.upkeep(Job(1, "export.upkeep", None, {}), bench.services)
    shown = await show(bench, made["id"])
    assert shown["status"] == "calculating_credits_failed"
    assert "Retry" in shown["failed_reason"]


async def test_old_files_go_and_their_exports_stay(bench: Bench) -> None:
    """After `exports.retention_days` there is no download; rows kept for exports that ended go too."""
    shown = await done(bench)
    kept = ExportFiles(bench.services.config.exports.dir, ()).spool(shown["id"])
    kept.parent.mkdir(parents=True)
    kept.write_text("[]\n")
    later = bench.services.clock() + timedelta(days=31)
    bench.services.clock = lambda: later
    await export_jobs.upkeep(Job(1, "export.upkeep", None, {}), bench.services)
    assert not file_of(bench, shown).exists()
    assert not kept.exists()
    again = await show(bench, shown["id"])
    assert (again["status"], again["download_url"]) == ("completed", None)
