"""addons/jobs/worker: every acknowledged job ends, whatever happens to the workers."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from addons.jobs import worker as worker_module
from addons.jobs.registry import Again, GiveUp, Handler, Job, JobKind, Registry, RetryLater
from addons.jobs.worker import Worker
from addons.pipeline.services import Services
from ofapi_store import outbox
from ofapi_store.engine import Store

ServicesOf = Callable[..., Services]


def worker_for(services: Services, handler: Handler, **kind: Any) -> Worker:
    return Worker(services, Registry({"test.job": JobKind(handler, **kind)}))


def enqueue(store: Store, payload: Mapping[str, Any] | None = None, **options: Any) -> int:
    with store.write() as conn:
        return outbox.enqueue(conn, options.pop("kind", "test.job"), payload or {}, **options).id


def row(store: Store, job_id: int) -> outbox.Job:
    with store.read() as conn:
        found = outbox.get(conn, job_id)
    assert found is not None
    return found


async def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.02)


async def test_job_runs_with_its_payload_and_is_done(store: Store, services_of: ServicesOf) -> None:
    """A due row is handed to its handler once and is done when that returns."""
    seen: list[Any] = []

    async def handler(job: Job, services: Services) -> None:
        seen.append((job.payload, job.attempts, services.config.jobs.concurrency))

    job = enqueue(store, {"x": 1})
    assert await worker_for(services_of(store), handler).run_until_idle() == 1
    assert seen == [({"x": 1}, 1, 4)]
    assert row(store, job).state == "done"


async def test_failure_is_tried_again_then_fails_and_settles(store: Store, services_of: ServicesOf) -> None:
    """A handler that raises is tried `max_attempts` times; then `on_failed` hears the last error."""
    from addons.jobs.upkeep import JOBS

    tries: list[int] = []
    heard: list[str] = []

    async def handler(job: Job, services: Services) -> None:
        tries.append(job.attempts)
        raise ValueError(f"try {job.attempts}")

    async def on_failed(job: Job, services: Services, error: str) -> None:
        heard.append(f"{job.id}: {error}")

    job = enqueue(store, max_attempts=3)
    kinds = {"test.job": JobKind(handler, on_failed=on_failed), **JOBS}
    worker = Worker(services_of(store), Registry(kinds))
    running = asyncio.create_task(worker.run())
    await until(lambda: bool(heard))
    worker.stop()
    await running
    assert tries == [1, 2, 3]
    assert heard == [f"{job}: ValueError: try 3"]
    assert row(store, job).state == "failed"
    assert row(store, job).last_error == "ValueError: try 3"


@pytest.mark.parametrize(
    ("error", "state", "attempts"),
    [(GiveUp("no such account"), "failed", 1), (RetryLater(60, "later"), "pending", 1)],
)
async def test_handlers_say_how_it_goes_on(
    sqlite_store: Store, services_of: ServicesOf, error: Exception, state: str, attempts: int
) -> None:
    """GiveUp fails at once; RetryLater waits for the time that it names."""

    async def handler(job: Job, services: Services) -> None:
        raise error

    job = enqueue(sqlite_store)
    await worker_for(services_of(sqlite_store), handler).run_until_idle()
    found = row(sqlite_store, job)
    assert (found.state, found.attempts, found.last_error) == (state, attempts, str(error))


async def test_waiting_without_counting(sqlite_store: Store, services_of: ServicesOf) -> None:
    """RetryLater with count=False never uses up the attempts."""

    async def handler(job: Job, services: Services) -> None:
        raise RetryLater(60, "upstream rests", count=False)

    job = enqueue(sqlite_store, max_attempts=1)
    await worker_for(services_of(sqlite_store), handler).run_until_idle()
    assert (row(sqlite_store, job).state, row(sqlite_store, job).attempts) == ("pending", 0)


async def test_again_makes_a_new_row(sqlite_store: Store, services_of: ServicesOf) -> None:
    """Again ends the row as done and leaves another one due later, with the new payload."""

    async def handler(job: Job, services: Services) -> None:
        raise Again(60, {"page": 2})

    job = enqueue(sqlite_store, {"page": 1}, key="k")
    await worker_for(services_of(sqlite_store), handler).run_until_idle()
    with sqlite_store.read() as conn:
        following = outbox.live(conn, "test.job", "k")
    assert row(sqlite_store, job).state == "done"
    assert following is not None
    assert following.payload == {"page": 2}


async def test_cancel_stops_a_running_job_within_a_second(store: Store, services_of: ServicesOf) -> None:
    """A cancelled row's task is ended by the next look at it, and the row stays cancelled; looks come twice a second."""
    assert worker_module.WATCH_S <= 0.5
    started, ended = asyncio.Event(), asyncio.Event()

    async def handler(job: Job, services: Services) -> None:
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    job = enqueue(store)
    worker = worker_for(services_of(store), handler)
    running = asyncio.create_task(worker.run())
    await asyncio.wait_for(started.wait(), 60)
    with store.write() as conn:
        assert outbox.cancel(conn, job)
    await asyncio.wait_for(ended.wait(), 60)
    worker.stop()
    await running
    assert row(store, job).state == "cancelled"


@pytest.mark.parametrize(("resumable", "grace_s"), [(False, 0.2), (True, 600)])
async def test_stop_frees_what_did_not_end(
    store: Store, services_of: ServicesOf, resumable: bool, grace_s: float
) -> None:
    """A worker that stops gives its jobs a grace, resumable ones none, then frees them for others at once, uncounted."""
    started = asyncio.Event()

    async def handler(job: Job, services: Services) -> None:
        started.set()
        await asyncio.sleep(60)

    job = enqueue(store)
    worker = worker_for(services_of(store, jobs={"shutdown_grace_s": grace_s}), handler, resumable=resumable)
    running = asyncio.create_task(worker.run())
    await asyncio.wait_for(started.wait(), 60)
    worker.stop()
    await asyncio.wait_for(running, 60)
    found = row(store, job)
    assert (found.state, found.attempts, found.lease_by) == ("pending", 0, None)


async def test_leases_are_extended_while_a_job_runs(store: Store, services_of: ServicesOf) -> None:
    """A job longer than its lease is not taken over by a second worker."""
    runs: list[str] = []

    async def handler(job: Job, services: Services) -> None:
        runs.append("run")
        await asyncio.sleep(2.5)

    job = enqueue(store)
    workers = [worker_for(services_of(store, jobs={"lease_s": 2.0}), handler) for _ in range(2)]
    running = [asyncio.create_task(w.run()) for w in workers]
    await until(lambda: row(store, job).state == "done")
    for worker in workers:
        worker.stop()
    await asyncio.gather(*running)
    assert runs == ["run"]


async def test_two_workers_share_without_doubling(store: Store, services_of: ServicesOf) -> None:
    """Each of many jobs runs once, whichever worker takes it."""
    runs: list[int] = []

    async def handler(job: Job, services: Services) -> None:
        runs.append(job.id)
        await asyncio.sleep(0.005)

    with store.write() as conn:
        jobs = [outbox.enqueue(conn, "test.job", {}).id for _ in range(60)]
    workers = [worker_for(services_of(store), handler) for _ in range(2)]
    await asyncio.gather(*(w.run_until_idle() for w in workers))
    assert sorted(runs) == jobs


async def test_limits_per_kind(sqlite_store: Store, services_of: ServicesOf) -> None:
    """No more jobs of a kind run at once than `jobs.per_kind` allows; other kinds go on beside them."""
    running, most, free = 0, 0, []

    async def limited(job: Job, services: Services) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1

    async def other(job: Job, services: Services) -> None:
        free.append(running)

    for _ in range(6):
        enqueue(sqlite_store)
    enqueue(sqlite_store, kind="test.other")
    services = services_of(sqlite_store, jobs={"per_kind": {"test.job": 2}})
    registry = Registry({"test.job": JobKind(limited), "test.other": JobKind(other)})
    await Worker(services, registry).run_until_idle()
    assert most == 2
    assert len(free) == 1


async def test_periodic_kinds_run_by_themselves(sqlite_store: Store, services_of: ServicesOf) -> None:
    """A periodic kind has one live row from the start, and a new one after each run."""
    runs: list[int] = []

    async def tick(job: Job, services: Services) -> None:
        runs.append(job.id)

    registry = Registry({"test.tick": JobKind(tick)}, {"test.tick": lambda config: 3600.0})
    worker = Worker(services_of(sqlite_store), registry)
    running = asyncio.create_task(worker.run())
    await until(lambda: bool(runs))
    await until(lambda: row(sqlite_store, runs[0]).state == "done")
    worker.stop()
    await running
    with sqlite_store.read() as conn:
        live = [j for j in outbox.list_jobs(conn, kind="test.tick") if j.state == "pending"]
    assert len(runs) == 1
    assert len(live) == 1


async def test_job_that_takes_too_long_is_tried_again(sqlite_store: Store, services_of: ServicesOf) -> None:
    """`timeout_s` of a kind ends a try and counts as a failure."""

    async def handler(job: Job, services: Services) -> None:
        await asyncio.sleep(60)

    job = enqueue(sqlite_store)
    await worker_for(services_of(sqlite_store), handler, timeout_s=0.05, retry_s=lambda _: 60.0).run_until_idle()
    assert row(sqlite_store, job).state == "pending"
    assert "TimeoutError" in (row(sqlite_store, job).last_error or "")


async def test_metrics_count_outcomes(sqlite_store: Store, services_of: ServicesOf) -> None:
    """Every try is counted by kind and outcome."""

    async def handler(job: Job, services: Services) -> None:
        if job.payload.get("bad"):
            raise GiveUp("bad")

    enqueue(sqlite_store)
    enqueue(sqlite_store, {"bad": True})
    worker = worker_for(services_of(sqlite_store), handler)
    await worker.run_until_idle()
    value = worker.metrics.registry.get_sample_value
    assert value("ofapi_job_runs_total", {"kind": "test.job", "outcome": "done"}) == 1
    assert value("ofapi_job_runs_total", {"kind": "test.job", "outcome": "failed"}) == 1


async def test_killed_worker_is_taken_over(
    store: Store, store_url: str, services_of: ServicesOf, tmp_path: Path
) -> None:
    """kill -9 in the middle of a job: another worker runs it, with the progress that was reported."""
    job = enqueue(store, kind="test.hang")
    args = [sys.executable, "-m", "tests.addons.jobs.dying_worker", store_url, str(tmp_path)]
    child = await asyncio.create_subprocess_exec(*args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        await until((tmp_path / "running").exists, 30)
    finally:
        child.kill()
        await child.wait()
    assert row(store, job).state == "running"
    seen: list[tuple[int, Mapping[str, Any]]] = []

    async def handler(taken: Job, services: Services) -> None:
        seen.append((taken.attempts, taken.progress))

    worker = Worker(services_of(store), Registry({"test.hang": JobKind(handler)}))
    running = asyncio.create_task(worker.run())
    await until(lambda: row(store, job).state == "done")
    worker.stop()
    await running
    assert seen == [(2, {"at": "half way"})]
    assert worker.metrics.registry.get_sample_value("ofapi_jobs_taken_over_total") == 1
