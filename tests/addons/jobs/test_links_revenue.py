"""Revenue of links against the simulator's own truth, incrementally and anew."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from addons.jobs import sync
from addons.jobs.links_revenue import step, wait_for_revenue
from addons.jobs.registry import Registry, load_registry
from addons.jobs.worker import Worker
from addons.links.observed import LinkMarks
from addons.pipeline.ingesting import add_on_observed
from addons.pipeline.services import Services
from ofapi_store import outbox
from ofapi_store.models import metadata
from ofapi_store.queries import link_dirty, links
from scripts.simulator import Simulator
from tests.addons.jobs.upstream import SMALL, connected

ONLY = ("transactions", "chargebacks", "tracking_links", "trial_links", "claimers")
DERIVED = ("link_fans", "link_fan_days", "link_days", "link_cohorts", "link_totals", "link_fan_groups")


def snapshot(services: Services) -> dict[str, list[tuple[Any, ...]]]:
    """Every derived row but for when it was worked out; sums that came back to nothing are no rows."""
    out = {}
    with services.store.read() as conn:
        for name in DERIVED:
            table = metadata.tables[name]
            columns = [c for c in table.columns if c.name != "calculated_at"]
            rows = [tuple(row) for row in conn.execute(table.select().with_only_columns(*columns))]
            sums = [i for i, c in enumerate(columns) if c.name not in ("ref", "account_id", "fan_id", "day", "since")]
            out[name] = sorted((row for row in rows if any(row[i] for i in sums)), key=repr)
    return out


async def run_all(services: Services) -> None:
    await Worker(services, load_registry()).run_until_idle()


def compare(services: Services, account: str, sim: Simulator) -> int:
    """Links whose every claimer is listed agree with the truth to the cent (a cent more or less per split payment)."""
    truth = sim.truth.links(sim.creators[0]["id"])
    checked = 0
    with services.store.read() as conn:
        for key, expected in truth.items():
            kind = "tracking" if key.startswith("campaign") else "trial"
            row = links.get(conn, account, kind, expected["id"])
            if row is None or any(claim["deleted"] for claim in expected["claims"]):
                continue
            split = sum(t["split"] > 1 for t in expected["transactions"])
            assert row.revenue_calculated_at is not None
            assert row.revenue_stale is False
            assert abs(row.revenue_total - Fraction(expected["revenue_net_cents"])) <= split
            assert abs(row.chargebacks - Fraction(expected["chargebacks_net_cents"])) <= split
            assert row.spenders_count == expected["spenders"]
            checked += bool(row.revenue_total)
    return checked


@pytest.fixture
def sim():
    with Simulator.start(**{**SMALL, "fans": 90, "transactions": 500, "campaigns": 6}) as running:
        yield running


async def test_revenue_is_the_simulators_truth(sim, store, services_of) -> None:
    """After a sync each link shows what the simulator knows; working everything out anew changes no row."""
    async with connected(sim, store, services_of, links={"revenue_delay_s": 0}) as (services, account):
        add_on_observed(services, LinkMarks(services.clock, 0))
        task_worker = Worker(services, load_registry())
        with store.write() as conn:
            from ofapi_store import outbox

            outbox.enqueue(conn, "sync.account", {"account": account, "only": list(ONLY)}, key=account)
        await task_worker.run_until_idle()
        assert compare(services, account, sim) >= 3
        before = snapshot(services)
        assert before["link_days"]
        with store.write() as conn:
            assert link_dirty.mark_all(conn, account) > 10
        while (await step(services, account)).left:
            pass
        assert snapshot(services) == before
        with store.write() as conn:  # from nothing
            for name in DERIVED:
                conn.execute(metadata.tables[name].delete())
            link_dirty.mark_all(conn, account)
        while (await step(services, account)).left:
            pass
        assert snapshot(services) == before


async def test_a_sync_ends_with_the_figures_of_what_it_brought(sim, store, services_of) -> None:
    """Who waits for `ofapi sync` need not wait for another job, whatever news wait for otherwise."""
    async with connected(sim, store, services_of) as (services, account):
        add_on_observed(services, LinkMarks(services.clock, 3600))
        with store.write() as conn:
            outbox.enqueue(conn, sync.KIND, {"account": account, "only": list(ONLY)}, key=account)
        await Worker(services, Registry(sync.JOBS)).run_until_idle()
        assert compare(services, account, sim) >= 3
        with store.read() as conn:
            assert link_dirty.count(conn, account) == 0


async def test_synchronous_syncs_what_was_never_synced(sim, sqlite_store, services_of) -> None:
    """`synchronous=true` on an account without any data waits for a walk and for the figures."""
    import asyncio

    async with connected(sim, sqlite_store, services_of) as (services, account):
        add_on_observed(services, LinkMarks(services.clock, 60))
        worker = Worker(services, load_registry())
        running = asyncio.create_task(worker.run())
        await wait_for_revenue(services, account)
        worker.stop()
        await running
        assert compare(services, account, sim) >= 3


async def test_synchronous_syncs_for_a_link_that_has_come_since(sim, sqlite_store, services_of) -> None:
    """A list shows a link whose claimers were never walked: it is waited for them too, and for nothing the next time."""
    import asyncio

    async with connected(sim, sqlite_store, services_of) as (services, account):
        add_on_observed(services, LinkMarks(services.clock, 60))
        worker = Worker(services, load_registry())
        running = asyncio.create_task(worker.run())
        await wait_for_revenue(services, account)
        client = await services.parts["upstream"].of(account)
        made = (await client.call("tracking-links-create", body={"campaignName": "Later"})).json()[0]
        came = sim.happen("subscribe", link=f"campaign:{made['id']}", price=1000)
        sim.happen("tip", fan=came["fan"], amount=500)
        sim.world.creators[0].transactions[0].created = sim.world.now()  # events of one second are spread over some
        await client.call("tracking-links-list", query={"limit": 100})
        await wait_for_revenue(services, account)
        with sqlite_store.read() as conn:
            link = links.get(conn, account, "tracking", made["id"])
        assert (link.revenue_total, link.revenue_stale) == (1200, False)
        sim.clear_requests()
        await wait_for_revenue(services, account)
        assert sim.requests == []
        worker.stop()
        await running
