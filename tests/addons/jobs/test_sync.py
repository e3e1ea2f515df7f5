"""addons/jobs/sync: after a sync the store holds what upstream has, whatever happened on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from addons.jobs import sync
from addons.jobs.registry import GiveUp, Job, RetryLater
from addons.pipeline.services import Services
from ofapi_store import outbox
from ofapi_store.engine import Store
from ofapi_store.queries import sync as cursors
from scripts.simulator import Simulator
from tests.addons.jobs.upstream import SMALL, connected

ServicesOf = Callable[..., Services]


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator.start(**SMALL) as running:
        yield running


def count(store: Store, table: str) -> int:
    with store.read() as conn:
        return int(conn.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() or 0)


def job(account: str, **payload: Any) -> Job:
    return Job(1, sync.KIND, account, {"account": account, **payload})


async def test_first_sync_brings_everything(sim: Simulator, store: Store, services_of: ServicesOf) -> None:
    """Fans, messages, transactions, links and claimers of upstream are all in the store, lastReplyAt right for each fan."""
    async with connected(sim, store, services_of) as (services, account):
        await sync.sync_account(job(account), services)
    assert count(store, "fans") >= SMALL["fans"]
    assert count(store, "messages") == SMALL["messages"]
    assert count(store, "transactions") == len(sim.truth.transactions(sim.creators[0].id))
    who = sim.world.creators[0]
    assert count(store, "links") == SMALL["campaigns"] + SMALL["trials"] + len(who.shared)
    assert count(store, "link_claims") > 0
    truth = {int(k): v for k, v in sim.truth.last_reply(sim.creators[0].id).items() if v}
    with store.read() as conn:
        rows = conn.exec_driver_sql("SELECT fan_id, last_reply_at FROM fans WHERE last_reply_at IS NOT NULL").all()
    assert {fan for fan, _ in rows} == set(truth)


async def test_later_syncs_ask_for_what_is_new(sim: Simulator, sqlite_store: Store, services_of: ServicesOf) -> None:
    """A second sync costs few requests and brings what happened since; a full one walks everything."""
    async with connected(sim, sqlite_store, services_of) as (services, account):
        await sync.sync_account(job(account), services)
        first, messages = len(sim.requests), count(sqlite_store, "messages")
        sim.clear_requests()
        sim.happen("message", text="hello again")
        await sync.sync_account(job(account), services)
        assert len(sim.requests) < first / 2
        assert count(sqlite_store, "messages") == messages + 1
        sim.clear_requests()
        await sync.sync_account(job(account, full=True), services)
        assert len(sim.requests) >= first


async def test_what_changes_after_it_was_seen_is_seen_again(
    sim: Simulator, sqlite_store: Store, services_of: ServicesOf
) -> None:
    """A renewal gives the claim another period although the link's count stays; an open payment that is undone is so here."""
    who = sim.world.creators[0]
    link = next(key for key in who.links if key.startswith("campaign"))
    before = sim.world.now() - timedelta(days=5)
    came = sim.happen("subscribe", link=link, at=(before + timedelta(days=3)).isoformat(), days=1, price=1000)
    paid = sim.happen("tip", fan=came["fan"], at=before.isoformat(), amount=500)  # older than the overlap of two walks
    async with connected(sim, sqlite_store, services_of) as (services, account):
        await sync.sync_account(job(account), services)
        sim.happen("subscribe", fan=came["fan"], renew=True, at=came["end"], price=1000)
        sim.happen("undo", transaction=paid["transaction"])
        sim.clear_requests()
        await sync.sync_account(job(account), services)
        walked = [r["path"] for r in sim.requests if "claimers" in r["path"]]
        assert len(walked) == 1
        sim.clear_requests()
        await sync.sync_account(job(account), services)
        assert not [r["path"] for r in sim.requests if "claimers" in r["path"]]  # found out once
    with sqlite_store.read() as conn:
        spans = conn.exec_driver_sql("SELECT count(*) FROM link_claims WHERE fan_id = ?", (came["fan"],)).scalar()
        status = conn.exec_driver_sql(
            "SELECT status FROM transactions WHERE transaction_id = ?", (paid["transaction"],)
        ).scalar()
    assert (spans, status) == (2, "undo")


async def test_revenue_is_worked_out_when_all_is_known(
    sim: Simulator, sqlite_store: Store, services_of: ServicesOf
) -> None:
    """Also where the last walk brought nothing new: its end is what links without revenue wait for."""
    async with connected(sim, sqlite_store, services_of) as (services, account):
        await sync.sync_account(job(account, only=["tracking_links"]), services)
        with sqlite_store.read() as conn:
            assert outbox.live(conn, "links.revenue", account) is None
        await sync.sync_account(job(account, only=["claimers"]), services)
    with sqlite_store.read() as conn:
        assert outbox.live(conn, "links.revenue", account) is not None


async def test_killed_sync_goes_on_where_it_was(sim: Simulator, sqlite_store: Store, services_of: ServicesOf) -> None:
    """A walk that ends in the middle leaves its cursor; the next one asks only for the pages that are missing."""
    pages = 0

    async def dies(_: Mapping[str, Any]) -> None:
        nonlocal pages
        pages += 1
        if pages == 2:
            raise KeyboardInterrupt

    async with connected(sim, sqlite_store, services_of) as (services, account):
        broken = job(account, only=["fans"])
        broken.report = dies
        with pytest.raises(KeyboardInterrupt):
            await sync.sync_account(broken, services)
        sim.clear_requests()
        await sync.sync_account(job(account, only=["fans"]), services)
    asked = [r["path"] for r in sim.requests if "/subscribers" in r["path"]]
    assert "offset=20" in asked[0]
    assert count(sqlite_store, "fans") == SMALL["fans"]


async def test_a_chat_that_traffic_has_seen_is_read_all_the_same(
    sim: Simulator, sqlite_store: Store, services_of: ServicesOf
) -> None:
    """That the last message of a chat is known, from somebody who looked at the chats, says nothing about those before."""
    who = sim.world.creators[0]
    fan = next(chat.fan_id for chat in who.chats.values() if not who.fans[chat.fan_id].deleted)
    async with connected(sim, sqlite_store, services_of) as (services, account):
        await sync.sync_account(job(account), services)
        for text, mine in (("from the fan", False), ("the answer", True)):
            sim.happen("message", fan=fan, text=text, mine=mine)
        before = count(sqlite_store, "messages")
        client = await services.parts["upstream"].of(account)
        await client.call("chats-list", query={"limit": 100})
        assert count(sqlite_store, "messages") == before + 1
        await sync.sync_account(job(account), services)
    assert count(sqlite_store, "messages") == before + 2
    truth = sim.truth.last_reply(who.id)[fan]
    with sqlite_store.read() as conn:
        (at,) = conn.exec_driver_sql(f"SELECT last_reply_at FROM fans WHERE fan_id = {fan}").one()
    assert datetime.fromtimestamp(at / 1_000_000, UTC).isoformat(timespec="seconds") == truth


async def test_a_killed_walk_of_chats_goes_on_with_the_next_chat(
    sim: Simulator, sqlite_store: Store, services_of: ServicesOf
) -> None:
    """Chats that were read before a kill are not read again, also within one page of them."""

    class Killed(Exception):
        pass

    async def dies(report: Mapping[str, Any]) -> None:
        if report["items"] == 3:
            raise Killed

    def read() -> list[str]:
        return [r["path"] for r in sim.requests if "/messages?" in r["path"]]

    async with connected(sim, sqlite_store, services_of, sync={"max_parallel": 1}) as (services, account):
        broken = job(account, only=["messages"])
        broken.report = dies
        with pytest.raises(ExceptionGroup):
            await sync.sync_account(broken, services)
        first = read()
        sim.clear_requests()
        await sync.sync_account(job(account, only=["messages"]), services)
        assert len(set(first) & set(read())) <= 1  # the one that was under way
    assert count(sqlite_store, "messages") == SMALL["messages"]


async def test_full_is_full_also_after_an_interrupted_short_walk(
    sim: Simulator, sqlite_store: Store, services_of: ServicesOf
) -> None:
    """`--full` does not go on with a walk that only asked for what is new."""
    async with connected(sim, sqlite_store, services_of) as (services, account):
        await sync.sync_account(job(account, only=["fans"]), services)
        with sqlite_store.write() as conn:
            cursor = cursors.get(conn, account, "fans")
            assert cursor is not None
            left = {
                **cursor.position,
                "full": False,
                "began_at": cursor.position["seen_at"],
                "query": "limit=50&offset=50",
            }
            cursors.save(conn, account, "fans", left)
        sim.clear_requests()
        await sync.sync_account(job(account, only=["fans"], full=True), services)
    asked = [r["path"] for r in sim.requests if "/subscribers" in r["path"]]
    assert all("latest" not in path for path in asked)
    assert len(asked) > 1


async def test_outage_is_tried_later(sim: Simulator, sqlite_store: Store, services_of: ServicesOf) -> None:
    """Upstream down: the job is tried again, and nothing that was stored is lost."""
    sim.faults.add("server_error", path="/payouts/transactions", count=0)
    async with connected(sim, sqlite_store, services_of) as (services, account):
        with pytest.raises(RetryLater):
            await sync.sync_account(job(account), services)
        assert count(sqlite_store, "fans") == SMALL["fans"]
        sim.faults.clear()
        sim.clear_requests()
        await sync.sync_account(job(account), services)
    assert count(sqlite_store, "transactions") == len(sim.truth.transactions(sim.creators[0].id))


async def test_refused_collection_does_not_end_the_sync(
    sim: Simulator, sqlite_store: Store, services_of: ServicesOf
) -> None:
    """A list that upstream forbids is noted as an error, and the others are walked."""
    sim.faults.add("forbidden", path="/payouts/chargebacks", count=0)
    reports: list[Mapping[str, Any]] = []

    async def keep(report: Mapping[str, Any]) -> None:
        reports.append(dict(report))

    async with connected(sim, sqlite_store, services_of) as (services, account):
        one = job(account, only=["chargebacks", "trial_links"])
        one.report = keep
        await sync.sync_account(one, services)
    assert list(reports[-1]["errors"]) == ["chargebacks"]
    assert reports[-1]["done"] == ["trial_links"]


async def test_lists_that_upstream_does_not_have_are_no_error(
    sim: Simulator, sqlite_store: Store, services_of: ServicesOf
) -> None:
    """Where upstream keeps links that others share is not known for certain: without them the sync is whole."""
    sim.faults.add("not_found", path="/shared-", count=0)
    reports: list[Mapping[str, Any]] = []

    async def keep(report: Mapping[str, Any]) -> None:
        reports.append(dict(report))

    async with connected(sim, sqlite_store, services_of) as (services, account):
        one = job(account, only=["shared_tracking_links", "shared_trial_links", "trial_links"])
        one.report = keep
        await sync.sync_account(one, services)
    assert reports[-1]["absent"] == ["shared_tracking_links", "shared_trial_links"]
    assert (reports[-1]["errors"], reports[-1]["done"]) == ({}, ["trial_links"])


async def test_what_cannot_work_is_given_up(sim: Simulator, sqlite_store: Store, services_of: ServicesOf) -> None:
    """Unknown accounts and collections, and dead sessions, fail at once with a text that says so."""
    async with connected(sim, sqlite_store, services_of) as (services, account):
        with pytest.raises(GiveUp, match="no connected account"):
            await sync.sync_account(job("acct_none"), services)
        with pytest.raises(GiveUp, match="unknown collection"):
            await sync.sync_account(job(account, only=["nonsense"]), services)
        sim.faults.add("dead_session", count=0)
        with pytest.raises(GiveUp, match="connect the account again"):
            await sync.sync_account(job(account), services)


async def test_accounts_are_synced_when_due(sim: Simulator, sqlite_store: Store, services_of: ServicesOf) -> None:
    """The schedule enqueues one sync per account whose last one is too long ago, and not twice."""
    async with connected(sim, sqlite_store, services_of, sync={"interval_s": 900}) as (services, account):
        for _ in range(2):
            await sync.schedule(Job(1, "sync.schedule", None, {}), services)
        with sqlite_store.read() as conn:
            assert [j.key for j in outbox.list_jobs(conn, kind=sync.KIND)] == [account]
        await sync.sync_account(job(account, only=["trial_links"]), services)
        with sqlite_store.write() as conn:
            outbox.cancel(conn, outbox.list_jobs(conn, kind=sync.KIND)[0].id)
        await sync.schedule(Job(1, "sync.schedule", None, {}), services)
        with sqlite_store.read() as conn:
            assert [j.state for j in outbox.list_jobs(conn, kind=sync.KIND)] == ["cancelled"]
