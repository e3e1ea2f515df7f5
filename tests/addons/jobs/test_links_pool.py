"""Making the pools of smart links upstream: once each, whatever is cut short, with problems that are shown."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
from ulid import ULID

from addons.jobs import links_pool
from addons.jobs.registry import GiveUp, Job, RetryLater
from addons.links import pool
from ofapi_store import outbox
from ofapi_store.queries import accounts, links, pools, smart_links
from ofapi_store.types import now_utc
from scripts.simulator import Simulator
from tests.addons.jobs.upstream import SMALL, connected


@pytest.fixture
def sim():
    with Simulator.start(**SMALL) as running:
        yield running


@asynccontextmanager
async def made(sim, store, services_of, *, kind: str = "tracking_link", size: int = 3):
    """Services, and a smart link with pool links that are to be made."""
    async with connected(sim, store, services_of) as (services, account):
        ulid, now = str(ULID()), now_utc()
        with store.write() as conn:
            days = 7 if kind == "free_trial" else None
            row = smart_links.SmartRow(
                ulid, _team(conn, account), account, "Campaign", kind, days, "active", None, now, now, "", None
            )
            smart_links.create(conn, row)
            pool.grow(conn, ulid, "Campaign", size, now=now)
        yield services, Job(1, pool.JOB, ulid, {"smart_link": ulid}), ulid


def _team(conn, account: str) -> str:
    from ofapi_store.queries import accounts

    return accounts.by_id(conn, account).team_id


def members(store, ulid: str) -> list[pools.PoolRow]:
    with store.read() as conn:
        return pools.of_smart(conn, ulid)


def created(sim, kind: str) -> list:
    return [link for link in sim.world.creators[0].link_list(kind) if "Campaign" in link.name]


@pytest.mark.parametrize(("kind", "theirs"), [("tracking_link", "campaign"), ("free_trial", "trial")])
async def test_each_pool_link_is_made_once(sim, store, services_of, kind, theirs) -> None:
    """Real links upstream, marked as inventory here; running the job again makes nothing."""
    async with made(sim, store, services_of, kind=kind) as (services, job, ulid):
        await links_pool.make(job, services)
        await links_pool.make(job, services)
        rows = members(store, ulid)
        assert [row.state for row in rows] == ["ready"] * 3
        assert len(created(sim, theirs)) == 3
        assert len({row.url for row in rows}) == 3
        with store.read() as conn:
            stored = links.by_pks(conn, [row.link_pk for row in rows])
        assert all(link.is_smart for link in stored.values())
        if kind == "free_trial":
            assert {link.days for link in created(sim, theirs)} == {7}


async def test_a_link_whose_making_was_cut_short_is_found_again(sim, sqlite_store, services_of) -> None:
    """Upstream made it, we died before we knew: the next try takes it over by its name instead of making a second."""
    async with made(sim, sqlite_store, services_of, size=1) as (services, job, ulid):
        (row,) = members(sqlite_store, ulid)
        client = await services.parts["upstream"].of(sqlite_store_account(sqlite_store, ulid))
        await client.call("tracking-links-create", body={"campaignName": row.name})
        with sqlite_store.write() as conn:
            pools.asked(conn, row.id, now=now_utc())
        await links_pool.make(job, services)
        assert len(created(sim, "campaign")) == 1
        assert members(sqlite_store, ulid)[0].state == "ready"


def sqlite_store_account(store, ulid: str) -> str:
    with store.read() as conn:
        return smart_links.get(conn, ulid).account_id


async def test_a_refusal_is_shown_and_ends_the_job(sim, sqlite_store, services_of) -> None:
    """Asking again would not help; the smart link says why."""
    async with made(sim, sqlite_store, services_of) as (services, job, ulid):
        sim.faults.add("forbidden", path="/campaigns", method="POST", count=0)
        with pytest.raises(GiveUp):
            await links_pool.make(job, services)
        with sqlite_store.read() as conn:
            assert "403" in smart_links.get(conn, ulid).pool_problem
        sim.faults.clear()
        await links_pool.make(job, services)  # `ofapi jobs retry`
        with sqlite_store.read() as conn:
            assert smart_links.get(conn, ulid).pool_problem is None


async def test_outages_and_dead_sessions_are_waited_for(sim, sqlite_store, services_of) -> None:
    """The job comes back by itself; a deleted smart link asks for nothing."""
    async with made(sim, sqlite_store, services_of) as (services, job, ulid):
        sim.faults.add("server_error", path="/campaigns", method="POST", count=0)
        with pytest.raises(RetryLater):
            await links_pool.make(job, services)
        sim.faults.clear()
        sim.happen("kill-session")
        with pytest.raises(RetryLater) as later:
            await links_pool.make(job, services)
        assert later.value.count is False
        with sqlite_store.write() as conn:
            smart_links.mark_deleted(conn, ulid, now=now_utc())
        await links_pool.make(job, services)
        assert created(sim, "campaign") == []


async def test_pools_that_failed_are_tried_again(sim, store, services_of) -> None:
    """Each hour, once, for those that still wait; not for deleted ones and disconnected accounts."""
    async with made(sim, store, services_of, size=1) as (services, _, ulid):

        async def asked_for() -> list[str]:
            with store.write() as conn:
                live = outbox.live(conn, pool.JOB, ulid)
                if live is not None:
                    outbox.cancel(conn, live.id)
            for _ in range(2):
                await links_pool.again(Job(2, "links.pools", None, {}), services)
            with store.read() as conn:
                found = outbox.list_jobs(conn, kind=pool.JOB)
            return [one.key for one in found if one.state == "pending"]

        assert await asked_for() == [ulid]
        with store.write() as conn:
            smart = smart_links.get(conn, ulid)
            accounts.disconnect(conn, smart.team_id, smart.account_id)
        assert await asked_for() == []


async def test_pools_that_are_made_are_left_alone(sim, sqlite_store, services_of) -> None:
    """There is nothing to ask upstream for."""
    async with made(sim, sqlite_store, services_of, size=1) as (services, job, _):
        await links_pool.make(job, services)
        with sqlite_store.read() as conn:
            assert pools.unmade(conn) == []
