from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from scripts.simulator import Simulator

Get = Callable[..., Any]
OFFSET = [
    (
        "/subscriptions/subscribers?type=all&format=infinite",
        "list",
        lambda who: {fan.id for fan in who.fans.values() if not fan.deleted},
    ),
    ("/chats", "list", lambda who: {chat.messages[-1].id for chat in who.chats.values()}),
    ("/campaigns?pagination=1&with_deleted=1", "list", lambda who: {link.id for link in who.link_list("campaign")}),
    ("/trials", "list", lambda who: {link.id for link in who.link_list("trial")}),
    ("/vault/media", "list", lambda who: set(who.vault)),
    ("/posts", "list", lambda who: {number for number, row in who.posts.items() if not row["archived"]}),
    ("/users/notifications", "list", lambda who: {row["id"] for row in who.notifications}),
    ("/lists?format=infinite", "list", lambda who: set(who.lists)),
    ("/payouts/requests", "list", lambda who: {row["id"] for row in who.payouts}),
    ("/promotions", "items", lambda who: set(who.promotions)),
    ("/users/me/stats/messages/group?startDate=2020-01-01", "items", lambda who: set(who.mass)),
    ("/stories/archive", "list", lambda who: set(who.stories)),
]


@pytest.mark.parametrize(("path", "key", "expected"), OFFSET, ids=[row[0].split("?")[0] for row in OFFSET])
def test_offset_visits_each_row_once(
    sim: Simulator, get: Get, path: str, key: str, expected: Callable[[Any], set[Any]]
) -> None:
    """Stepping the offset by the limit until hasMore is false gives every row exactly once."""
    path, _, query = path.partition("?")
    fixed = dict(part.split("=") for part in query.split("&") if part)
    seen: list[Any] = []
    offset, more = 0, True
    while more:
        page = get(path, **fixed, limit=7, offset=offset)
        seen += [row["lastMessage"]["id"] if path == "/chats" else row["id"] for row in page[key]]
        more, offset = page.get("hasMore", len(page[key]) == 7), offset + 7
    assert len(seen) == len(set(seen))
    assert set(seen) == expected(sim.world.creators[0])


def test_short_and_empty_pages_are_not_the_end(sim: Simulator, get: Get) -> None:
    """Deleted fans are counted when slicing: pages may be short or empty while hasMore is true."""
    pages = [get("/subscriptions/subscribers", format="infinite", limit=3, offset=offset) for offset in range(0, 60, 3)]
    assert any(not page["list"] and page["hasMore"] for page in pages)


@pytest.mark.parametrize("order", ["desc", "asc"])
def test_message_cursor_visits_each_once(sim: Simulator, get: Get, order: str) -> None:
    """`id` (older than) walks down; ascending, `last_id` is the first row of the next page."""
    chat = max(sim.world.creators[0].chats.values(), key=lambda one: len(one.messages))
    seen: list[int] = []
    cursor: dict[str, Any] = {}
    more = True
    while more:
        page = get(f"/chats/{chat.fan_id}/messages", limit=20, order=order, **cursor)
        rows = [row["id"] for row in page["list"]]
        seen += rows if order == "desc" or not seen else rows[1:]
        cursor = {"id" if order == "desc" else "last_id": rows[-1]}
        more = page["hasMore"]
    assert seen == sorted((row.id for row in chat.messages), reverse=order == "desc")


def test_marker_visits_each_transaction_once(sim: Simulator, get: Get) -> None:
    """`nextMarker` leads through the whole ledger, newest first."""
    seen: list[str] = []
    page = get("/payouts/transactions", limit=30, startDate="2020-01-01 00:00:00")
    while True:
        seen += [row["id"] for row in page["list"]]
        if not page["hasMore"]:
            break
        page = get("/payouts/transactions", limit=30, startDate="2020-01-01 00:00:00", marker=page["nextMarker"])
    assert seen == [row.id for row in sim.world.creators[0].transactions]


def test_claimers_give_each_claim_once(sim: Simulator, get: Get) -> None:
    """Every claim of a link is one row, except of fans who deleted their account."""
    who = sim.world.creators[0]
    for link in who.links.values():
        path = f"/{'campaigns' if link.kind == 'campaign' else 'trials'}/{link.id}/claimers"
        rows, offset, more = [], 0, True
        while more:
            page = get(path, limit=2, offset=offset)
            rows += [row["id"] for row in page["list"]]
            offset, more = offset + 2, page["hasMore"]
        assert sorted(rows) == sorted(claim.fan_id for claim in link.claims if not who.fans[claim.fan_id].deleted)


def test_dates_select(sim: Simulator, get: Get) -> None:
    """`startDate` takes upstream's relative form, and dates bound the ledger."""
    day = get("/payouts/transactions", limit=1000, startDate="-3days")["list"]
    month = get("/payouts/transactions", limit=1000)["list"]
    assert 0 < len(day) < len(month) < len(sim.world.creators[0].transactions)
    assert len(get("/payouts/transactions", limit=1000, startDate="-3days", endDate="2026-10-01")["list"]) == 0


@pytest.mark.parametrize("kind", ["subscribes", "tips", "post", "chat_messages", "stream"])
def test_type_selects_by_true_kind(sim: Simulator, get: Get, kind: str) -> None:
    """`type` gives exactly the rows of that kind."""
    rows = get("/payouts/transactions", limit=1000, startDate="2020-01-01", type=kind)["list"]
    wanted = {"subscribes": "subs"}.get(kind, kind)
    assert [row["id"] for row in rows] == [row.id for row in sim.world.creators[0].transactions if row.kind == wanted]
