"""All twelve hybrid endpoints through both dialects, field by field against what upstream itself answers."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest

from scripts.cli.stack import Stack
from scripts.simulator import Simulator
from scripts.simulator.model import Creator
from tests.e2e.client.things import Things
from tests.e2e.waiting import until

MEDIA = re.compile(r"(https://cdn\d+\.onlyfans\.com|https?://[^/\"]+/cdn)/[^\"\\ <]*")
WARM_CHATS = 4

LAST_REPLY = "lastReplyAt"
REVENUE = {"total", "revenuePerSubscriber", "spendersCount", "chargebacks", "calculatedAt", "isLoading"}


def text(value: Any) -> str:
    """JSON with its key order. Media URLs are left out: their signatures differ, and cached ones are swapped."""
    return MEDIA.sub("<media>", json.dumps(value, ensure_ascii=False))


def shown(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


class Asked:
    """One path through the raw dialect, the envelope dialect and upstream itself."""

    def __init__(self, stack: Stack, simulator: Simulator, t: Things, ours: str, theirs: str) -> None:
        login = simulator.creators[0]
        headers = {"User-Agent": login["user_agent"], "Cookie": login["cookies"], "x-bc": login["xbc"]}
        self.upstream = self._get(f"{simulator.api_url}/api2/v2/{theirs}", headers)
        self.raw = self._get(f"{stack.base_url}/{t.account}/{ours}", stack.auth)
        envelope = self._get(f"{stack.base_url}/api/{t.account}/{ours}", stack.auth)
        assert {"data", "_meta"} <= set(envelope) <= {"data", "_meta", "_pagination"}
        self.data = envelope["data"]

    @staticmethod
    def _get(url: str, headers: dict[str, str]) -> Any:
        answer = httpx.get(url, headers=headers, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()


Ask = Callable[[str, str], Asked]


@pytest.fixture(scope="module")
def ask(stack: Stack, simulator: Simulator, t: Things) -> Ask:
    return lambda ours, theirs: Asked(stack, simulator, t, ours, theirs)


def last_reply(who: Creator, fan_id: int) -> str | None:
    """The newest message that the fan sent, as the simulated world knows it."""
    chat = who.chats.get(fan_id)
    sent = [row.created for row in chat.messages if not row.mine] if chat else []
    return shown(max(sent)) if sent else None


@pytest.fixture(scope="module")
def warm(stack: Stack, creator: Creator, t: Things) -> Iterator[set[int]]:
    """Fans whose whole chats have passed by, so that the store knows their last reply."""
    chats = [c for c in creator.chats.values() if c.messages and not creator.fans[c.fan_id].deleted]
    chats = [creator.chats[int(t.chat)], *(c for c in chats if c.fan_id != int(t.chat))][:WARM_CHATS]
    for chat in chats:
        url: str | None = f"{stack.base_url}/api/{t.account}/chats/{chat.fan_id}/messages?limit=100"
        while url:
            url = httpx.get(url, headers=stack.auth, timeout=30).json()["_pagination"]["next_page"]
    for chat in chats:
        wait_for(stack, t, chat.fan_id, last_reply(creator, chat.fan_id))
    yield {chat.fan_id for chat in chats}


def wait_for(stack: Stack, t: Things, fan_id: int, expected: str | None) -> None:
    """Rows are stored after the answer has gone out."""
    url = f"{stack.base_url}/{t.account}/users/{fan_id}"
    until(lambda: httpx.get(url, headers=stack.auth).json().get(LAST_REPLY), lambda value: value == expected)


def take(row: dict[str, Any], *names: str) -> dict[str, Any]:
    """The named fields, taken out of the row; each must be there."""
    return {name: row.pop(name) for name in names}


def check_reply(value: str | None, fan_id: int, who: Creator, warm: set[int]) -> None:
    """Exact where the whole chat has been seen; elsewhere null or a reply that the fan did send."""
    if fan_id in warm:
        assert value == last_reply(who, fan_id)
    elif value is not None:
        assert value in {shown(row.created) for row in who.chats[fan_id].messages if not row.mine}


def test_chats(ask: Ask, creator: Creator, warm: set[int]) -> None:
    """`lastReplyAt` on each chat and on its user; in the envelope a list, and the user is `fan`."""
    found = ask("chats?limit=40&skip_users=none", "chats?limit=40&skip_users=none")
    raw, data = copy.deepcopy(found.raw), copy.deepcopy(found.data)
    for row in raw["list"]:
        added = take(row, LAST_REPLY)[LAST_REPLY]
        assert take(row["withUser"], LAST_REPLY)[LAST_REPLY] == added
        check_reply(added, row["withUser"]["id"], creator, warm)
    for row in data:
        assert take(row, LAST_REPLY)[LAST_REPLY] == take(row["fan"], LAST_REPLY)[LAST_REPLY]
    assert text(raw) == text(found.upstream)
    assert text(data) == text(raw["list"]).replace('"withUser":', '"fan":')


def test_messages(ask: Ask, creator: Creator, t: Things, warm: set[int]) -> None:
    """`lastReplyAt` on the sender where the sender is the fan, never where it is the creator."""
    path = f"chats/{t.chat}/messages?limit=50"
    found = ask(path, path)
    raw = copy.deepcopy(found.raw)
    for row in raw["list"]:
        if not row["isSentByMe"]:
            assert take(row["fromUser"], LAST_REPLY)[LAST_REPLY] == last_reply(creator, int(t.chat))
        assert LAST_REPLY not in row["fromUser"]
    assert text(raw) == text(found.upstream)
    assert text(found.data) == text(found.raw["list"])


FAN_LISTS = [
    ("fans/all?limit=20", "subscriptions/subscribers?type=all&format=infinite&limit=20", "list"),
    ("fans/active?limit=20", "subscriptions/subscribers?type=active&format=infinite&limit=20", "list"),
    ("fans/expired?limit=20", "subscriptions/subscribers?type=expired&format=infinite&limit=20", "list"),
    ("fans/latest?limit=20", "subscriptions/subscribers/latest?limit=20", "users"),
    ("fans/top", "subscriptions/subscribers/top", "users"),
]


@pytest.mark.parametrize(("ours", "theirs", "inside"), FAN_LISTS, ids=[ours for ours, _, _ in FAN_LISTS])
def test_fan_lists(ask: Ask, creator: Creator, warm: set[int], ours: str, theirs: str, inside: str) -> None:
    """`lastReplyAt` on each fan, nothing else, in both dialects alike."""
    found = ask(ours, theirs)
    assert found.raw[inside]
    raw = copy.deepcopy(found.raw)
    for row in raw[inside]:
        check_reply(take(row, LAST_REPLY)[LAST_REPLY], row["id"], creator, warm)
    assert text(raw) == text(found.upstream)
    assert text(found.data) == text(found.raw)


def test_user_who_is_a_fan(ask: Ask, creator: Creator, t: Things, warm: set[int]) -> None:
    """`lastReplyAt` on the user, found by name."""
    found = ask(f"users/{t.username}", f"users/{t.username}")
    raw = copy.deepcopy(found.raw)
    assert take(raw, LAST_REPLY)[LAST_REPLY] == last_reply(creator, int(t.fan))
    assert text(raw) == text(found.upstream)
    assert text(found.data) == text(found.raw)


def test_user_who_is_no_fan(ask: Ask, simulator: Simulator) -> None:
    """Another creator's page is upstream's own."""
    other = simulator.world.creators[1].username
    found = ask(f"users/{other}", f"users/{other}")
    assert LAST_REPLY not in found.raw
    for body in (found.data, found.raw, found.upstream):
        del body["lastSeen"]  # upstream's clock
    assert text(found.data) == text(found.raw) == text(found.upstream)


def test_transactions(ask: Ask, creator: Creator) -> None:
    """`type` from the description, as the simulated world knows it; unknown ones are null."""
    query = "limit=100&startDate=2015-01-01"
    found = ask(f"transactions?{query}", f"payouts/transactions?{query}")
    truth = {row.id: row for row in creator.transactions}
    kinds = set()
    raw = copy.deepcopy(found.raw)
    for row in raw["list"]:
        kind = take(row, "type")["type"]
        kinds.add(kind)
        assert kind == (truth[row["id"]].kind or None)
    assert {"subs", "tips", "post", "chat_messages"} <= kinds
    for body in (found.upstream, found.raw, found.data, raw):
        del body["marker"]  # upstream's clock
    assert text(raw) == text(found.upstream)
    assert text(found.data) == text(found.raw)


def check_revenue(revenue: dict[str, Any], more: set[str]) -> None:
    """Calculated, or nulls and `isLoading`: never a zero that nobody has counted."""
    assert set(revenue) == REVENUE | more
    if revenue["calculatedAt"] is None:
        assert revenue["isLoading"] is True
        assert all(revenue[name] is None for name in revenue if name != "isLoading")


def test_tracking_links(ask: Ask, creator: Creator) -> None:
    """`tags`, `revenue` and the full `campaignUrl`; the envelope has the client's names of the counts."""
    found = ask(
        "tracking-links?limit=20", "campaigns?pagination=1&with_deleted=1&sorting_deleted=1&stats=true&limit=20"
    )
    raw = copy.deepcopy(found.raw)
    for row in raw["list"]:
        added = take(row, "tags", "revenue", "campaignUrl")
        assert added["tags"] == []
        assert added["campaignUrl"] == f"https://onlyfans.com/{creator.username}/c{row['campaignCode']}"
        check_revenue(added["revenue"], {"revenuePerClick"})
    assert text(raw) == text(found.upstream)
    for ours, theirs in zip(found.data["list"], found.raw["list"], strict=True):
        assert ours["subscribersCount"] == theirs["countSubscribers"]
        assert ours["clicksCount"] == theirs["countTransitions"]
        assert {"countSubscribers", "countTransitions"}.isdisjoint(ours)
        assert ours["links"]["related"]["subscribers"].endswith(f"/tracking-links/{ours['id']}/subscribers")


def test_trial_links(ask: Ask) -> None:
    """`tags` and `revenue`; the full URL is upstream's own."""
    found = ask("trial-links?limit=20", "trials?limit=20")
    raw = copy.deepcopy(found.raw)
    for row in raw["list"]:
        added = take(row, "tags", "revenue")
        assert added["tags"] == []
        assert row["url"].startswith("https://onlyfans.com/")
        check_revenue(added["revenue"], set())
    assert text(raw) == text(found.upstream)
    for ours in found.data["list"]:
        assert ours["links"]["related"]["subscribers"].endswith(f"/trial-links/{ours['id']}/subscribers")


SHAPES = [
    ("fans/active", "/subscribers", ("list", "users", None), "list"),
    ("fans/latest", "/subscribers/latest", ("list", "users", None), "users"),
    ("fans/top", "/subscribers/top", ("list", "users", None), "users"),
    ("chats", "/chats", ("list", None), None),
    ("chats/5/messages", "/chats/5/messages", ("list", None), None),
    ("transactions", "/transactions", ("list", None), "list"),
    ("tracking-links", "/campaigns", ("list", None), "list"),
    ("trial-links", "/trials", ("list", None), "list"),
]
ROW = {"id": 5, "withUser": {"id": 5}, "fromUser": {"id": 5}, "description": "Tip from x"}


@pytest.mark.parametrize(("ours", "path", "keys", "shown"), SHAPES, ids=[ours for ours, *_ in SHAPES])
def test_rows_are_found_wherever_upstream_puts_them(
    stack: Stack, simulator: Simulator, w: Things, ours: str, path: str, keys: tuple[str | None, ...], shown: str | None
) -> None:
    """A list under another name, or a bare one, is enriched all the same, and the envelope shows what clients expect."""
    auth = {
        "Authorization": f"Bearer {stack.seeded.other_api_key}"
    }  # what passes by is stored: not where tests count rows
    for key in keys:
        body = json.dumps([ROW] if key is None else {key: [ROW], "hasMore": False})
        simulator.faults.add("raw", path=path, body=body, count=2)
        raw = httpx.get(f"{stack.base_url}/{w.account}/{ours}", headers=auth).json()
        data = httpx.get(f"{stack.base_url}/api/{w.account}/{ours}", headers=auth).json()["data"]
        rows = raw if key is None else raw[key]
        assert "lastReplyAt" in json.dumps(rows) or {"type"} < set(rows[0]) or {"tags", "revenue"} < set(rows[0]), raw
        assert len(data if shown is None else data[shown]) == 1
    simulator.faults.clear()


def test_a_reply_shows_with_the_message_that_it_is(stack: Stack, simulator: Simulator, w: Things) -> None:
    """A fan's message that nobody has seen before is that fan's last reply in the very answer that brings it."""
    auth = {"Authorization": f"Bearer {stack.seeded.other_api_key}"}
    at = "2026-02-03T04:05:06+00:00"
    message = {"id": 1, "fromUser": {"id": 987}, "createdAt": at}
    chats = [{"withUser": {"id": 987}, "lastMessage": message}, {"withUser": {"id": 988}, "lastMessage": message}]
    try:
        simulator.faults.add("raw", path="/chats", body=json.dumps({"list": chats}))
        first, second = httpx.get(f"{stack.base_url}/{w.account}/chats", headers=auth).json()["list"]
        assert first[LAST_REPLY] == first["withUser"][LAST_REPLY] == at
        assert second[LAST_REPLY] is None
        newer = {**message, "id": 2, "createdAt": "2026-02-04T00:00:00Z"}
        sent = {"id": 3, "fromUser": {"id": 1}, "createdAt": "2027-01-01T00:00:00Z"}
        simulator.faults.add("raw", path="/chats/987/messages", body=json.dumps({"list": [sent, message, newer]}))
        rows = httpx.get(f"{stack.base_url}/{w.account}/chats/987/messages", headers=auth).json()["list"]
        assert [row["fromUser"].get(LAST_REPLY) for row in rows] == [None, *["2026-02-04T00:00:00+00:00"] * 2]
    finally:
        simulator.faults.clear()


def test_top_message(ask: Ask) -> None:
    """Counts and revenue stand beside the message's metadata, in both dialects."""
    query = "startDate=2015-01-01&endDate=2100-01-01"
    found = ask(f"engagement/messages/top-message?{query}", f"users/me/stats/top/message?{query}")
    best = found.raw["purchases"]
    assert {"id", "text", "sentCount", "viewedCount", "purchasedCount", "totalRevenueGenerated"} <= set(best)
    assert best["purchasedCount"] > 0
    for name, value in found.upstream["purchases"].items():
        if name != "stats":
            assert text(best[name]) == text(value)
    ours = found.data["purchases"]
    buyers = take(ours, "relationships")["relationships"]["buyers"]
    assert buyers["method"] == "GET"
    assert buyers["href"].endswith(f"/engagement/messages/{best['id']}/buyers")
    assert text(ours) == text(best)
