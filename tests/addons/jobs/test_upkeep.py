"""addons/jobs/upkeep: old rows go, what depended on failed ones is settled."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from addons.jobs import leasing
from addons.jobs.registry import GiveUp, Job, JobKind, Registry
from addons.jobs.upkeep import prune, settle
from addons.pipeline.services import Services
from ofapi_store import outbox
from ofapi_store.engine import Store
from ofapi_store.types import now_utc


async def test_finished_jobs_go_after_their_days(sqlite_store: Store, services_of: Callable[..., Services]) -> None:
    """Jobs finished longer ago than `jobs.retention_days` are deleted; younger and live ones stay."""
    now = now_utc()
    with sqlite_store.write() as conn:
        old, young, live = (outbox.enqueue(conn, "a", {}, now=now).id for _ in range(3))
        outbox.cancel(conn, old, now=now - timedelta(days=31))
        outbox.cancel(conn, young, now=now - timedelta(days=29))
    await prune(Job(0, "jobs.prune", None, {}), services_of(sqlite_store))
    with sqlite_store.read() as conn:
        assert {j.id for j in outbox.list_jobs(conn)} == {young, live}


async def test_routine_is_forgotten_after_a_day(sqlite_store: Store, services_of: Callable[..., Services]) -> None:
    """Looks and periodic jobs run every minute: what they have done is not kept for weeks; what failed is."""
    now, rows = now_utc(), {}
    with sqlite_store.write() as conn:
        for kind in ("events.look", "events.schedule", "export.build"):
            for age in (23, 25):
                rows[kind, age] = outbox.enqueue(conn, kind, {}, now=now - timedelta(days=2)).id
                outbox.lease_due(conn, "w", limit=9, lease_s=60, now=now)
                outbox.complete(conn, rows[kind, age], "w", now=now - timedelta(hours=age))
        rows["events.look", "failed"] = outbox.enqueue(conn, "events.look", {}, now=now - timedelta(days=2)).id
        outbox.lease_due(conn, "w", limit=9, lease_s=60, now=now)
        outbox.fail(conn, rows["events.look", "failed"], "w", error="x", now=now - timedelta(hours=25))
    await prune(Job(0, "jobs.prune", None, {}), services_of(sqlite_store))
    with sqlite_store.read() as conn:
        left = {j.id for j in outbox.list_jobs(conn)}
    gone = {rows["events.look", 25], rows["events.schedule", 25]}
    assert left == set(rows.values()) - gone


async def test_settling_calls_on_failed(sqlite_store: Store, services_of: Callable[..., Services]) -> None:
    """The settling job hands the failed row and its error to `on_failed` of its kind."""
    heard: list[tuple[int, dict[str, int], str]] = []

    async def on_failed(job: Job, services: Services, error: str) -> None:
        heard.append((job.id, job.payload, error))

    async def handler(job: Job, services: Services) -> None:
        return None

    services = services_of(sqlite_store)
    services.parts["job_registry"] = Registry({"a": JobKind(handler, on_failed=on_failed)})
    with sqlite_store.write() as conn:
        job = outbox.enqueue(conn, "a", {"n": 1}).id
    await settle(Job(0, leasing.SETTLE, None, {"job": job, "error": "boom"}), services)
    assert heard == [(job, {"n": 1}, "boom")]
    with pytest.raises(GiveUp):
        await settle(Job(0, leasing.SETTLE, None, {"job": 999, "error": "boom"}), services)
