"""Following `_pagination.next_page` to its end visits every row exactly once, on each live list that pages (contract 1.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from scripts.cli.stack import Stack
from scripts.simulator import Simulator
from scripts.simulator.model import Creator
from tests.e2e.client.things import Things

MAX_PAGES = 400
FAR = "startDate=2015-01-01&endDate=2100-01-01"

Expected = Callable[[Creator, Simulator], set[Any]]


def alive(who: Creator) -> set[Any]:
    return {fan.id for fan in who.fans.values() if not fan.deleted}


def by_state(active: bool) -> Expected:
    def wanted(who: Creator, sim: Simulator) -> set[Any]:
        now = sim.world.now()
        return {number for number in alive(who) if who.fans[number].active_at(now) == active}

    return wanted


def links(kind: str) -> Expected:
    return lambda who, sim: {link.id for link in who.link_list(kind) if kind == "campaign" or not link.deleted}


def shared(kind: str) -> Expected:
    return lambda who, sim: {link.id for link in who.shared.values() if link.kind == kind}


def nothing_known(who: Creator, sim: Simulator) -> set[Any]:
    """The walk is compared with one big page instead."""
    return set()


# path below the account, rows inside `data`, what there is
WALKS: list[tuple[str, str, Expected]] = [
    ("chats?limit=7", "", lambda who, sim: {c.fan_id for c in who.chats.values() if c.messages and not c.hidden}),
    (
        "chats?limit=9&order=old",
        "",
        lambda who, sim: {c.fan_id for c in who.chats.values() if c.messages and not c.hidden},
    ),
    ("chats/{chat}/messages?limit=11", "", nothing_known),
    ("chats/{chat}/messages?limit=11&order=asc", "", nothing_known),
    ("fans/all?limit=20", "list", lambda who, sim: alive(who)),
    ("fans/all", "list", lambda who, sim: alive(who)),
    ("fans/active?limit=13", "list", by_state(True)),
    ("fans/expired?limit=13", "list", by_state(False)),
    ("fans/latest?limit=17&start_date=2015-01-01&end_date=2100-01-01", "users", lambda who, sim: alive(who)),
    ("following/all?limit=3", "list", lambda who, sim: set(who.following)),
    ("following/active?limit=3", "list", nothing_known),
    ("following/expired?limit=3", "list", nothing_known),
    ("transactions?limit=50&startDate=2015-01-01", "list", lambda who, sim: {row.id for row in who.transactions}),
    ("transactions?type=tips&startDate=2015-01-01", "list", nothing_known),
    ("tracking-links?limit=7", "list", links("campaign")),
    ("trial-links?limit=3", "list", links("trial")),
    ("shared-tracking-links?limit=1", "list", shared("campaign")),
    ("shared-trial-links?limit=1", "list", shared("trial")),
    (f"engagement/messages/direct-messages?limit=100&{FAR}", "items", nothing_known),
    (f"engagement/messages/mass-messages?limit=4&{FAR}", "items", lambda who, sim: set(who.mass)),
    ("engagement/messages/{mass}/buyers?limit=2", "list", nothing_known),
    ("release-forms/taggable-users?limit=2", "items", nothing_known),
]


def key(row: dict[str, Any]) -> Any:
    """What tells two rows apart: a chat by its fan, all else by id."""
    return row["fan"]["id"] if "fan" in row else row["id"]


def walk(url: str, headers: dict[str, str], inside: str) -> list[Any]:
    """The keys of all rows, page by page."""
    found: list[Any] = []
    for _ in range(MAX_PAGES):
        answer = httpx.get(url, headers=headers, timeout=30)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        rows = body["data"][inside] if inside else body["data"]
        found += [key(row) for row in rows]
        url = body["_pagination"]["next_page"]
        if url is None:
            return found
    raise AssertionError(f"no end after {MAX_PAGES} pages")


@pytest.mark.parametrize(("path", "inside", "expected"), WALKS, ids=[path for path, _, _ in WALKS])
def test_every_row_is_visited_once(
    stack: Stack, simulator: Simulator, creator: Creator, t: Things, path: str, inside: str, expected: Expected
) -> None:
    """No row twice, none left out."""
    url = f"{stack.base_url}/api/{t.account}/{path.format(chat=t.chat, mass=t.mass)}"
    found = walk(url, stack.auth, inside)
    assert len(found) == len(set(found))
    wanted = expected(creator, simulator)
    if wanted:
        assert set(found) == wanted
    else:
        assert found


def test_next_page_keeps_the_other_parameters(stack: Stack, t: Things) -> None:
    """What the client asked for stays in the link to the next page, which is absolute."""
    url = f"{stack.base_url}/api/{t.account}/fans/all?query=a&limit=2&filter[total_spent]=1"
    following = httpx.get(url, headers=stack.auth).json()["_pagination"]["next_page"]
    assert following.startswith(f"{stack.base_url}/api/{t.account}/fans/all?")
    assert {"query=a", "limit=2", "offset=2"} <= set(following.partition("?")[2].split("&"))
    assert "total_spent" in following


def test_the_raw_dialect_has_no_pagination(stack: Stack, t: Things) -> None:
    """Paging links are part of the envelope alone."""
    body = httpx.get(f"{stack.base_url}/{t.account}/fans/all?limit=2", headers=stack.auth).json()
    assert set(body) == {"list", "hasMore"}
