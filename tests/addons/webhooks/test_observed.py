"""Events from observed bodies: once, with what the store knows of the fan, and never from history."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, update

from addons.pipeline.ingesting import ingest_sights
from addons.pipeline.observe import Sight
from addons.webhooks.service import opened
from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.queries import accounts
from ofapi_store.queries.accounts import ACCOUNTS, AccountRow
from ofapi_store.queries.events import EVENTS
from tests.addons.jobs.upstream import plan
from tests.addons.webhooks.conftest import Rig

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WANTED = ["messages.received", "messages.sent", "transactions.new", "subscriptions.expired"]


class Seen:
    """An account whose upstream bodies are observed."""

    def __init__(self, rig: Rig, account: AccountRow) -> None:
        self.rig = rig
        self.account = account

    async def sees(self, rule: str, body: Any, **params: str) -> None:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        sight = Sight(self.rig.team_id, self.account.id, plan().by_id[rule], params, text, self.rig.now.timestamp())
        await ingest_sights(self.rig.services, [sight])

    def events(self) -> list[tuple[str, dict[str, Any]]]:
        with self.rig.store.read() as conn:
            query = select(EVENTS.c.event, EVENTS.c.payload).order_by(EVENTS.c.id)
            return [(row.event, row.payload) for row in conn.execute(query)]


@pytest.fixture
async def seen(store: Store, rig_of: Callable[..., Rig]) -> Seen:
    rig = rig_of(store)
    rig.now = NOW
    rig.hook("https://example.com/", events=WANTED)
    with store.write() as conn:
        account = testing.make_account(conn, rig.team_id, onlyfans_id="42")
        conn.execute(update(ACCOUNTS).values(created_at=NOW - timedelta(days=10)))
    async with opened(rig.services):
        return Seen(rig, account)


def message(number: int, at: datetime, *, sender: int = 7, **more: Any) -> dict[str, Any]:
    return {"id": number, "createdAt": at.isoformat(), "fromUser": {"id": sender, "name": "Fan"}, "text": "t", **more}


def fan(number: int = 7, *, active: bool = True, until: datetime | None = None, **sums: Any) -> dict[str, Any]:
    on = {"expiredAt": (until or NOW + timedelta(days=9)).isoformat(), "totalSumm": 12.5, **sums}
    return {
        "id": number,
        "username": "u7",
        "name": "Fan",
        "subscribedOn": True if active else None,
        "subscribedOnData": on,
    }


async def test_a_message_gives_its_event_once_with_its_fan(seen: Seen) -> None:
    """The whole message as upstream sent it, `fan` with ids as text, `fanData` with spending and the reply before."""
    await seen.sees("fans-all", {"list": [fan()], "hasMore": False})
    page = {"list": [message(2, NOW, price=1.5), message(1, NOW - timedelta(hours=1))], "hasMore": False}
    for _ in range(3):
        await seen.sees("messages-list", page, chat_id="7")
    (_, first), (kind, second) = seen.events()
    assert (first["id"], kind, second["id"]) == (1, "messages.received", 2)
    assert (second["text"], second["price"]) == ("t", Decimal("1.5"))
    assert second["fan"] == {"id": "7", "username": "u7", "name": "Fan", "display_name": "Fan", "avatar": None}
    data = second["fanData"]
    assert (data["available"], data["spending"]["total"]) == (True, Decimal("12.5"))
    assert data["last_updated_at"] == NOW.isoformat()
    assert data["previous_reply_at"] == (NOW - timedelta(hours=1)).isoformat()
    assert first["fanData"]["previous_reply_at"] is None


async def test_who_wrote_decides_the_event(seen: Seen) -> None:
    """Received from the fan, sent by the creator; seen in the chat list first, it is the same fact."""
    mine = message(3, NOW, sender=42)
    await seen.sees("chats-list", {"list": [{"withUser": {"id": 7}, "lastMessage": mine}]})
    await seen.sees("messages-list", {"list": [mine, message(2, NOW)]}, chat_id="7")
    assert sorted(kind for kind, _ in seen.events()) == ["messages.received", "messages.sent"]
    assert all(body["fan"]["id"] == "7" for _, body in seen.events())
    assert seen.events()[0][1]["fanData"]["available"] is False


async def test_history_floods_nobody(seen: Seen) -> None:
    """From before the account was connected: nothing. From before the webhook was made: not to that webhook."""
    old = NOW - timedelta(days=11)
    await seen.sees("messages-list", {"list": [message(n, old) for n in range(1, 50)]}, chat_id="7")
    assert seen.events() == []
    late = seen.rig.hook("https://example.com/late", events=WANTED)
    with seen.rig.store.write() as conn:
        from ofapi_store.queries.events import WEBHOOKS

        conn.execute(update(WEBHOOKS).where(WEBHOOKS.c.id == late).values(created_at=NOW.replace(microsecond=999)))
    await seen.sees("messages-list", {"list": [message(60, NOW - timedelta(seconds=1)), message(61, NOW)]}, chat_id="7")
    assert [body["id"] for _, body in seen.events()] == [60, 61]
    assert len(seen.rig.states(late)) == 1


async def test_a_transaction_is_told_in_its_own_shape(seen: Seen) -> None:
    """snake_case, amounts exact, once even when its status changes."""
    row = {
        "id": "tx-1", "amount": 10.1, "net": 8.08, "fee": 2.02, "vatAmount": 0, "taxAmount": 0, "currency": "USD",
        "description": "Payment for message from <a>Fan</a>", "status": "loading", "createdAt": NOW.isoformat(),
        "user": {"id": 7, "name": "Fan", "username": "u7", "avatar": "https://a.test/x.jpg"},
    }  # fmt: skip
    await seen.sees("transactions-list", {"list": [row]})
    await seen.sees("transactions-list", {"list": [{**row, "status": "done"}]})
    ((kind, body),) = seen.events()
    assert kind == "transactions.new"
    assert (body["id"], body["type"], body["created_at"]) == ("tx-1", "message", "2026-03-01 12:00:00")
    assert (body["amount"], body["net_amount"], body["fee_amount"]) == (
        Decimal("10.1"),
        Decimal("8.08"),
        Decimal("2.02"),
    )
    assert (body["status"], body["fan"]["id"], body["fan"]["username"]) == ("loading", "7", "u7")


@pytest.mark.parametrize(
    ("ended_ago", "active", "told"),
    [
        (timedelta(hours=1), False, True),
        (timedelta(hours=47), False, True),
        # too late, not over yet, or upstream still calls it active
        (timedelta(hours=49), False, False),
        (timedelta(hours=-1), False, False),
        (timedelta(hours=1), True, False),
    ],
)
async def test_an_ended_subscription_is_told_once_within_48_hours(
    seen: Seen, ended_ago: timedelta, active: bool, told: bool
) -> None:
    """Contract 7.4; a renewal in between makes the next end another fact."""
    page = {"list": [fan(active=active, until=NOW - ended_ago)]}
    for _ in range(2):
        await seen.sees("fans-expired", page)
    assert [kind for kind, _ in seen.events()] == ["subscriptions.expired"] * told
    if told:
        body = seen.events()[0][1]
        assert (body["user"]["id"], body["expiredAt"]) == (7, (NOW - ended_ago).isoformat())
        seen.rig.pass_time(days=30)
        await seen.sees("fans-expired", {"list": [fan(active=False, until=seen.rig.now)]})
        assert len(seen.events()) == 2


async def test_what_nobody_wants_is_not_written(seen: Seen) -> None:
    """No webhook, no event."""
    with seen.rig.store.write() as conn:
        from ofapi_store.queries.events import WEBHOOKS

        conn.execute(update(WEBHOOKS).values(events=["posts.liked"]))
    await seen.sees("messages-list", {"list": [message(1, NOW)]}, chat_id="7")
    assert seen.events() == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"list":[{"id":"x"}]}', b'{"list":[null,1,{"id":1}]}'])
async def test_strange_bodies_give_nothing(seen: Seen, body: bytes) -> None:
    """And break nothing."""
    for rule, params in (("messages-list", {"chat_id": "7"}), ("fans-all", {}), ("transactions-list", {})):
        await seen.sees(rule, body, **params)
    assert seen.events() == []


async def test_an_account_of_another_team_is_not_told_here(seen: Seen) -> None:
    """Events go to the webhooks of the account's own team."""
    with seen.rig.store.write() as conn:
        other = testing.make_account(conn, testing.make_team(conn).id)
        row = accounts.by_id(conn, other.id)
    assert row is not None
    sight = Sight(
        row.team_id, row.id, plan().by_id["messages-list"], {"chat_id": "7"},
        json.dumps({"list": [message(1, NOW)]}).encode(), NOW.timestamp(),
    )  # fmt: skip
    await ingest_sights(seen.rig.services, [sight])
    assert seen.events() == []
