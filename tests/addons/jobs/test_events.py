"""Looks at accounts: what is news since the last, once, whatever upstream does in between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import select

from addons.jobs import events as looking
from addons.jobs.registry import GiveUp, Job, RetryLater
from addons.pipeline.services import Services
from addons.webhooks.service import opened
from ofapi_store import outbox, testing
from ofapi_store.engine import Store
from ofapi_store.queries import accounts, events, sync, webhooks
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

    async def look(self) -> None:
        await looking.look(Job(1, looking.KIND, None, {"account": self.account_id}), self.services)

    def happen(self, kind: str, **values: Any) -> Any:
        return self.sim.happen(kind, creator=self.creator.id, **values)

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


@pytest.mark.parametrize("body", [b"", b"<html>", b"7", b'{"list": 5}', b'[1, null, "x"]', b'{"list": null}'])
def test_strange_lists_have_no_rows(body: bytes) -> None:
    """Upstream in trouble sends anything."""
    assert looking.rows_of(body) == []


def test_strange_notifications_move_the_cursor_and_tell_nothing(sqlite_store: Store) -> None:
    """One that has no user is told without a fan; unknown ones are passed over."""
    with sqlite_store.write() as conn:
        team = testing.make_team(conn)
        account = testing.make_account(conn, team.id)
        webhooks.create(conn, team.id, url="https://e.test/", events=["tips.received"], account_scope="global")
        found = [{"id": 3, "type": "tip", "createdAt": "never", "user": None}, {"id": 4, "type": "system", "user": 5}]
        looking.write_notifications(conn, team.id, account.id, found, looking.datetime.now(looking.UTC))
        cursor = sync.get(conn, account.id, looking.STREAM)
        assert cursor is not None
        assert cursor.position == {"id": 4}
        (payload,) = conn.execute(select(EVENTS.c.payload)).scalars()
        assert payload["fan"] is None
        assert events.wanted(conn, team.id, account.id) == {"tips.received"}
