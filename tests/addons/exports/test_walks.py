"""Rows asked of upstream: exact, each once, and none lost where a page is odd."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from addons.exports.walks import Walk, chat_messages, dig, followings, listed, parsed, payouts, profile_visitors
from addons.jobs.upstream_client import Unavailable
from ofapi_store.queries.exports_rows import Scope

START, END = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 2, 1, tzinfo=UTC)


class Client:
    """Upstream by rule: a list of pages, given in turn whatever the query is."""

    def __init__(self, pages: Mapping[str, list[bytes]]) -> None:
        self.pages = {rule: list(bodies) for rule, bodies in pages.items()}
        self.asked: list[tuple[str, str]] = []

    def rule(self, rule_id: str) -> Any:
        return SimpleNamespace(observe=(), id=rule_id)

    def target(self, rule: Any, params: Any, query: str) -> tuple[str, str]:
        return rule.id, query

    async def ask(self, rule_id: str, query: str) -> Any:
        self.asked.append((rule_id, query))
        return SimpleNamespace(body=self.pages[rule_id].pop(0))

    async def call(self, rule_id: str, params: Any, query: Mapping[str, Any]) -> Any:
        return await self.ask(rule_id, str(query["start_date"]))


def page(rows: list[Any], *, more: bool) -> bytes:
    return orjson.dumps({"list": rows, "hasMore": more})


async def walked(walk: Any, pages: Mapping[str, list[bytes]], **options: Any) -> tuple[list[dict[str, Any]], Client]:
    client, rows = Client(pages), []
    services = SimpleNamespace(clock=lambda: END, config=SimpleNamespace(sync=SimpleNamespace(max_parallel=2)))
    scope = Scope("acct_a", "A", START, END, END, options)
    await walk(Walk(services, client, scope, rows.append))  # type: ignore[arg-type]
    return rows, client


async def test_a_row_that_moved_to_the_next_page_comes_once() -> None:
    """And an empty page with more behind it is not the end."""
    row = {"id": 1, "amount": 5, "createdAt": "2025-01-05T00:00:00+00:00"}
    pages = [page([row], more=True), page([], more=True), page([row, {**row, "id": 2}], more=False)]
    rows, client = await walked(payouts, {"payouts-requests": pages})
    assert [r["payout_id"] for r in rows] == [1, 2]
    assert [query for _, query in client.asked] == ["limit=100", "limit=100&offset=100", "limit=100&offset=200"]


async def test_money_is_exact_and_the_period_is_half_open() -> None:
    """Amounts keep their digits; a row without a readable time is in."""
    times = ["2024-12-31T23:59:59+00:00", "2025-01-01T00:00:00+00:00", "2025-02-01T00:00:00+00:00", "soon"]
    body = b'{"list":[%s],"hasMore":false}' % b",".join(
        b'{"id":%d,"amount":10.10,"createdAt":"%s"}' % (n, at.encode()) for n, at in enumerate(times)
    )
    rows, _ = await walked(payouts, {"payouts-requests": [body]})
    assert [row["payout_id"] for row in rows] == [1, 3]
    assert rows[0]["amount"] == Decimal("10.10")


async def test_followings_by_kind_with_objects_as_text() -> None:
    """The option names the rule; what upstream sends as an object becomes JSON text, not an error."""
    row = {"id": 7, "username": "u", "name": {"odd": 1}, "subscribedBy": True, "subscribePrice": 4.99}
    rows, client = await walked(followings, {"following-active": [page([row], more=False)]}, type="active")
    assert (rows[0]["user_id"], rows[0]["name"], rows[0]["subscribe_price"]) == (7, '{"odd":1}', Decimal("4.99"))
    assert client.asked[0][0] == "following-active"


async def test_visitors_are_asked_for_each_day() -> None:
    """Counts that come as text are numbers; missing ones are empty."""
    day = orjson.dumps({"total": {"current": "12"}, "chart": {"duration": []}})
    rows, client = await walked(profile_visitors, {"statistics-profile-visitors": [day] * 31})
    assert len(client.asked) == 31
    assert rows[30]["date"] == "2025-01-31"
    assert (rows[0]["total_visitors"], rows[0]["guest_visitors"], rows[0]["average_view_duration"]) == (12, None, None)


async def test_messages_end_at_the_start_of_the_period() -> None:
    """Older pages are not asked for; the sides of the chat are told apart."""

    def message(number: int, day: int, *, mine: bool) -> dict[str, Any]:
        return {"id": number, "createdAt": f"2025-01-{day:02}T00:00:00+00:00", "isSentByMe": mine, "text": "t"}

    old = {"id": 1, "createdAt": "2024-12-01T00:00:00+00:00", "isSentByMe": True, "text": "t"}
    chats = page([{"withUser": {"id": 5, "username": "five"}}], more=False)
    first = page([message(9, 9, mine=True), message(8, 8, mine=False), old], more=True)
    rows, client = await walked(chat_messages, {"chats-list": [chats], "messages-list": [first]}, maxMessages=10)
    assert [(row["message_id"], row["from_fan"], row["fan_username"]) for row in rows] == [
        (9, False, "five"),
        (8, True, "five"),
    ]
    assert len(client.asked) == 2


class Slow(Client):
    """Messages by chat; the first chats answer last."""

    def target(self, rule: Any, params: Any, query: str) -> tuple[str, str]:
        return (f"{rule.id}/{params['chat_id']}" if params else rule.id), query

    async def ask(self, rule_id: str, query: str) -> Any:
        await asyncio.sleep(0.03 / (int(rule_id.partition("/")[2] or 0) + 1))
        return await super().ask(rule_id, query)


async def test_messages_come_in_the_same_order_however_fast_their_chats_are() -> None:
    """Chats are asked side by side, at most some pages ahead; an export with `maxMessages` holds the same rows each time."""
    chats = page([{"withUser": {"id": n}} for n in range(6)], more=False)
    at = "2025-01-05T00:00:00+00:00"
    pages = {"chats-list": [chats]} | {
        f"messages-list/{n}": [page([{"id": 10 * n + m, "createdAt": at}], more=m < 4) for m in range(5)]
        for n in range(6)
    }
    client, rows = Slow(pages), []
    services = SimpleNamespace(clock=lambda: END, config=SimpleNamespace(sync=SimpleNamespace(max_parallel=3)))
    scope = Scope("acct_a", "A", START, END, END, {"maxMessages": 12})
    await chat_messages(Walk(services, client, scope, rows.append))  # type: ignore[arg-type]
    assert [row["message_id"] for row in rows] == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14, 20, 21]
    assert {rule for rule, _ in client.asked if rule.endswith(("/4", "/5"))} <= {"messages-list/4"}


async def test_a_chat_that_cannot_be_read_ends_the_walk() -> None:
    """The problem is raised as it is, whatever the other chats do."""
    pages = {"chats-list": [page([{"withUser": {"id": 1}}, {"withUser": {"id": 2}}], more=False)]}
    pages |= {"messages-list/1": [page([{"id": 1}], more=False)], "messages-list/2": [b"<html>"]}
    services = SimpleNamespace(clock=lambda: END, config=SimpleNamespace(sync=SimpleNamespace(max_parallel=2)))
    scope, rows = Scope("acct_a", "A", START, END, END, {"maxMessages": 12}), list[Any]()
    with pytest.raises(Unavailable):
        await chat_messages(Walk(services, Slow(pages), scope, rows.append))  # type: ignore[arg-type]
    assert [row["message_id"] for row in rows] == [1]


async def test_amounts_have_two_places_as_those_of_the_store() -> None:
    """What upstream sends as 7, "7.5" or nothing; what is no amount stays as it came."""
    rows = [{"id": n, "amount": amount} for n, amount in enumerate([7, "7.5", None, "7.505", "much"])]
    found, _ = await walked(payouts, {"payouts-requests": [page(rows, more=False)]})
    assert [str(row["amount"]) for row in found] == ["7.00", "7.50", "None", "7.505", "much"]


def test_pages_of_any_shape() -> None:
    """Lists under each of upstream's names, bare lists, junk."""
    assert listed({"users": [{"id": 1}, 5]}) == listed([{"id": 1}]) == [{"id": 1}]
    assert listed({"list": "no"}) == listed(None) == []
    assert dig({"a": [1]}, "a.b.c") is None
    with pytest.raises(Unavailable):
        parsed(b"<html>")
