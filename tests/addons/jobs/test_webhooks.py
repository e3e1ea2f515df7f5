"""A worker delivers webhooks beside its jobs, and old events are forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from addons.jobs import webhooks as jobs
from addons.jobs.registry import Job, Registry
from addons.jobs.worker import Worker
from addons.pipeline.services import Services
from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.queries import events, webhooks
from ofapi_store.queries.events import DELIVERIES, EVENTS
from ofapi_store.queries.webhooks_log import ATTEMPTS
from tests.addons.webhooks.receiver import Receiver

LOOPBACK = {"allow_private": ["127.0.0.0/8"]}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver().listening() as running:
        yield running


def hook(services: Services, url: str) -> str:
    with services.store.write() as conn:
        team = testing.make_team(conn)
        webhooks.create(conn, team.id, url=url, events=["tips.received"], account_scope="global")
    return team.id


def count(store: Store, table: Any) -> int:
    with store.read() as conn:
        return int(conn.execute(select(func.count()).select_from(table)).scalar_one())


async def test_a_worker_delivers_until_it_stops(
    store: Store, services_of: Callable[..., Services], receiver: Receiver
) -> None:
    """Events written by any process reach the endpoint; a stopped worker holds nothing."""
    services = services_of(store, network=LOOPBACK)
    team_id = hook(services, receiver.url())
    worker = Worker(services, Registry(jobs.JOBS, {}, jobs.LOOPS))
    task = asyncio.create_task(worker.run())
    for n in range(3):
        with store.write() as conn:
            events.emit(conn, team_id, "tips.received", str(n), {"n": n}, account_id="acct_a")
    async with asyncio.timeout(60):
        while len(receiver.got) < 3:
            await asyncio.sleep(0.01)
    worker.stop()
    await asyncio.wait_for(task, 60)
    with store.read() as conn:
        states = set(conn.execute(select(DELIVERIES.c.state)).scalars())
    assert states == {"delivered"}


async def test_a_loop_that_breaks_is_started_again(
    sqlite_store: Store, services_of: Callable[..., Services], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One family's bug ends neither the worker nor the family."""
    from addons.jobs import worker as module

    monkeypatch.setattr(module, "LOOP_RETRY_S", 0.01)
    runs = []

    async def breaks(services: Services, name: str) -> None:
        runs.append(name)
        raise RuntimeError("bug")

    worker = Worker(services_of(sqlite_store), Registry({}, {}, {"bad": breaks}), name="w")
    task = asyncio.create_task(worker.run())
    async with asyncio.timeout(60):
        while len(runs) < 3:
            await asyncio.sleep(0.01)
    worker.stop()
    await asyncio.wait_for(task, 60)
    assert set(runs) == {"w"}


async def test_old_events_are_forgotten_with_their_log(
    store: Store, services_of: Callable[..., Services], receiver: Receiver
) -> None:
    """After `webhooks.retention_days`; younger ones stay."""
    services = services_of(store, network=LOOPBACK, webhooks={"retention_days": 30})
    team_id, now = hook(services, receiver.url()), services.clock()
    with store.write() as conn:
        for n, age in enumerate((31, 29)):
            at = now - timedelta(days=age)
            events.emit(conn, team_id, "tips.received", str(n), {"n": n}, now=at)
    await jobs.DeliveryLoop(services, "one").run_until_idle()
    assert (count(store, EVENTS), count(store, DELIVERIES), count(store, ATTEMPTS)) == (2, 2, 2)
    await jobs.prune(Job(1, "webhooks.prune", None, {}), services)
    assert (count(store, EVENTS), count(store, DELIVERIES), count(store, ATTEMPTS)) == (1, 1, 1)
