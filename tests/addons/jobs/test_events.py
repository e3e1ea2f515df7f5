"""Looks at accounts: what is news since the last, once, whatever upstream does in between."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from addons.jobs import events as looking
from addons.jobs.registry import GiveUp, Job, RetryLater
from addons.pipeline.services import Services
from addons.webhooks.service import opened
from ofapi_store import outbox, testing
from ofapi_store.engine import Store
from ofapi_store.queries import accounts, events, ingest, sync, webhooks
from ofapi_store.queries.events import EVENTS
from scripts.simulator import Simulator
from tests.addons.jobs.upstream import SMALL, connected


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator.start(**SMALL) as running:
        yield running


class Watched:
    """An account with a webhook for all that can be looked for."""

    def __init__(self, services: Services, sim: Simulator, account_id: str) -> None:
        self.services, self.sim, self.account_id = services, sim, account_id
        self.creator = sim.world.creators[0]
        with services.store.write() as conn:
            row = accounts.by_id(conn, account_id)
            assert row is not None
            names = sorted(looking.LOOKED_FOR)
            webhooks.create(conn, row.team_id, url="https://example.com/", events=names, account_scope="global")

    def since(self, ago: timedelta) -> None:
        """As if the account and its webhook had been there for that long."""
        at = datetime.now(UTC) - ago
        with self.services.store.write() as conn:
            conn.execute(update(accounts.ACCOUNTS).values(created_at=at))
            conn.execute(update(events.WEBHOOKS).values(created_at=at))

    async def look(self) -> None:
        await looking.look(Job(1, looking.KIND, None, {"account": self.account_id}), self.services)

    def happen(self, kind: str, **values: Any) -> Any:
        return self.sim.happen(kind, creator=self.creator.id, **values)

    def active(self) -> list[int]:
        """Subscribed fans, the last of upstream's list first."""
        now = self.sim.world.now()
        return [number for number, fan in sorted(self.creator.fans.items()) if fan.active_at(now)]

    def told(self) -> list[str]:
        with self.services.store.read() as conn:
            return list(conn.execute(select(EVENTS.c.event).order_by(EVENTS.c.id)).scalars())


@pytest.fixture
async def watched(sqlite_store: Store, services_of: Callable[..., Services], sim: Simulator) -> AsyncIterator[Watched]:
    async with connected(sim, sqlite_store, services_of) as (services, account_id), opened(services):
        yield Watched(services, sim, account_id)


async def test_history_is_not_news(watched: Watched) -> None:
    """A first look at an account with years of notifications, messages and money tells nothing."""
    await watched.look()
    assert watched.told() == []


async def test_every_message_between_two_looks_is_told(watched: Watched) -> None:
    """Not only the last one of a chat, in order, and none twice."""
    await watched.look()
    fan = next(iter(watched.creator.chats))
    numbers = [watched.happen("message", fan=fan, text=str(n))["message_id"] for n in range(130)]
    for _ in range(2):
        await watched.look()
    with watched.services.store.read() as conn:
        bodies = list(conn.execute(select(EVENTS.c.payload).order_by(EVENTS.c.id)).scalars())
    assert sorted(body["id"] for body in bodies) == sorted(numbers)
    assert all(body["fan"]["id"] == str(fan) for body in bodies)


async def test_what_traffic_has_stored_hides_nothing_before_it(watched: Watched) -> None:
    """A client's look at the chats stores each last message only; the ones before it are told by the next look."""
    await watched.look()
    fan = next(iter(watched.creator.chats))
    numbers = [watched.happen("message", fan=fan, text=str(n))["message_id"] for n in range(3)]
    client = await watched.services.parts["upstream"].of(watched.account_id)
    await client.call("chats-list", query={"limit": 10, "skip_users": "none"})
    assert watched.told() == ["messages.received"]
    await watched.look()
    with watched.services.store.read() as conn:
        bodies = list(conn.execute(select(EVENTS.c.payload)).scalars())
    assert sorted(body["id"] for body in bodies) == sorted(numbers)


async def test_a_look_that_was_cut_short_goes_on(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """At its page of the chats; what it had left is told, what it told is not doubled."""
    monkeypatch.setattr(looking, "PAGE", 4)
    await watched.look()
    for fan in watched.creator.chats:
        watched.happen("message", fan=fan)
    watched.sim.faults.add("server_error", path=r"/chats\?.*offset=8", count=0)
    with pytest.raises(RetryLater):
        await watched.look()
    assert len(watched.told()) == 8
    watched.sim.faults.clear()
    asked = len(watched.sim.requests)
    await watched.look()
    assert watched.told() == ["messages.received"] * len(watched.creator.chats)
    again = [record["path"] for record in watched.sim.requests[asked:] if "/chats?" in record["path"]]
    assert "offset=8" in again[0]


async def test_money_beyond_a_page_is_told(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything since the last look, also after the gateway was down; then one page a look does."""
    monkeypatch.setattr(looking, "PAGE", 5)
    watched.since(timedelta(minutes=2))
    await watched.look()
    before, now = watched.told().count("transactions.new"), watched.sim.world.now()
    for n in range(12):
        watched.happen("tip", amount=500, at=(now - timedelta(seconds=60 - 2 * n)).isoformat())
    await watched.look()
    assert watched.told().count("transactions.new") == before + 12
    asked = len(watched.sim.requests)
    await watched.look()
    pages = [record["path"] for record in watched.sim.requests[asked:] if "/payouts/transactions" in record["path"]]
    assert len(pages) == 1


@pytest.mark.parametrize("synced", [False, True])
async def test_an_end_anywhere_in_the_list_is_told(watched: Watched, *, synced: bool) -> None:
    """Upstream sorts ended fans by id: the last of them is found, whether the store knew the fan or not, once each."""
    if synced:
        client = await watched.services.parts["upstream"].of(watched.account_id)
        for page in range(3):
            await client.call("fans-all", query={"limit": 20, "offset": 20 * page})
    lowest = watched.active()
    watched.happen("expire", fan=lowest[1])
    await watched.look()
    assert watched.told() == ["subscriptions.expired"]
    watched.happen("expire", fan=lowest[0])
    asked = len(watched.sim.requests)
    await watched.look()
    assert watched.told() == ["subscriptions.expired"] * 2
    await watched.look()
    pages = [record["path"] for record in watched.sim.requests[asked:] if "type=expired" in record["path"]]
    assert len(pages) <= 3


async def test_a_fan_whose_time_is_over_is_asked_for(watched: Watched) -> None:
    """By name, also where upstream's list and count say nothing; one who is still active is not asked for again at once."""
    watched.since(timedelta(minutes=2))
    await watched.look()
    at = watched.sim.world.now() - timedelta(seconds=30)
    gone, renewed, deleted = [fan for fan in watched.active() if fan not in watched.creator.chats][:3]
    rows = [{"fan_id": fan, "is_active": True, "expired_at": at.isoformat()} for fan in (gone, renewed, deleted)]
    with watched.services.store.write() as conn:
        ingest.observe(conn, "fans", watched.account_id, rows, observed_at=at - timedelta(hours=1))
    watched.happen("expire", fan=gone, at=at.isoformat())
    watched.happen("subscribe", fan=renewed, renew=True, price=0)
    watched.happen("delete-account", fan=deleted)
    watched.sim.faults.add("not_found", path="count/all|type=expired", count=0)
    for _ in range(2):
        asked = len(watched.sim.requests)
        with contextlib.suppress(GiveUp):
            await watched.look()
    assert [record for record in watched.sim.requests[asked:] if re.search(r"/users/\d", record["path"])] == []
    assert watched.told().count("subscriptions.expired") == 1


async def test_notifications_are_told_once(watched: Watched) -> None:
    """The cursor stands at the newest; a lost cursor doubles nothing, because the fact is the same."""
    fan = next(iter(watched.creator.chats))
    watched.happen("tip", fan=fan, amount=500)
    watched.happen("like-post", fan=fan)
    await watched.look()
    assert sorted(set(watched.told()) - {"transactions.new"}) == ["posts.liked", "tips.received"]
    before = watched.told()
    with watched.services.store.write() as conn:
        cursor = sync.get(conn, watched.account_id, looking.STREAM)
        assert cursor is not None
        sync.save(conn, watched.account_id, looking.STREAM, {"id": 0})
    await watched.look()
    assert watched.told() == before


async def test_what_upstream_refuses_does_not_hide_the_rest(watched: Watched, sim: Simulator) -> None:
    """The look fails with what was refused, and the other parts were told."""
    watched.happen("tip", amount=500)
    sim.faults.add("forbidden", path="/users/notifications", count=0)
    with pytest.raises(GiveUp, match="notifications"):
        await watched.look()
    sim.faults.clear()
    assert watched.told() == ["transactions.new"]
    await watched.look()
    assert watched.told() == ["transactions.new", "tips.received"]


async def test_a_dead_session_ends_the_look(watched: Watched) -> None:
    """The account is marked and told of by the client's own rules; looking again is not for this job."""
    watched.happen("kill-session")
    with pytest.raises(GiveUp, match="connect the account again"):
        await watched.look()


async def test_an_upstream_that_is_down_is_looked_at_later(watched: Watched, sim: Simulator) -> None:
    """RetryLater."""
    watched.services.config = watched.services.config.model_copy(
        update={"upstream": watched.services.config.upstream.model_copy(update={"base_url": "http://127.0.0.1:9"})}
    )
    with pytest.raises(RetryLater):
        await watched.look()


async def test_only_accounts_that_a_webhook_wants_are_looked_at(watched: Watched) -> None:
    """One live job each."""
    with watched.services.store.write() as conn:
        testing.make_account(conn, testing.make_team(conn).id, box=watched.services.secrets)
    for _ in range(2):
        await looking.schedule(Job(1, "events.schedule", None, {}), watched.services)
    with watched.services.store.read() as conn:
        assert [job.key for job in outbox.list_jobs(conn, kind=looking.KIND)] == [watched.account_id]
    with watched.services.store.write() as conn:
        accounts.set_state(conn, watched.account_id, "session_expired")
        job = outbox.list_jobs(conn, kind=looking.KIND)[0]
        outbox.cancel(conn, job.id)
    await looking.schedule(Job(1, "events.schedule", None, {}), watched.services)
    with watched.services.store.read() as conn:
        assert outbox.live(conn, looking.KIND, watched.account_id) is None


def test_strange_notifications_move_the_cursor_and_tell_nothing(sqlite_store: Store) -> None:
    """One that has no user is told without a fan; unknown ones are passed over."""
    with sqlite_store.write() as conn:
        team = testing.make_team(conn)
        account = testing.make_account(conn, team.id)
        webhooks.create(conn, team.id, url="https://e.test/", events=["tips.received"], account_scope="global")
        found = [{"id": 3, "type": "tip", "createdAt": "never", "user": None}, {"id": 4, "type": "system", "user": 5}]
        looking.write_notifications(conn, team.id, account.id, found, datetime.now(UTC))
        cursor = sync.get(conn, account.id, looking.STREAM)
        assert cursor is not None
        assert cursor.position == {"id": 4}
        (payload,) = conn.execute(select(EVENTS.c.payload)).scalars()
        assert payload["fan"] is None
        assert events.wanted(conn, team.id, account.id) == {"tips.received"}
