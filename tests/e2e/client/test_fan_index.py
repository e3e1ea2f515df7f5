"""`filter[max_total_spent]` against the simulated world's own figures: both dialects, the strict client, the backfill."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from onlyfansapi import OnlyFansAPI
from sqlalchemy import delete

from ofapi_store.engine import Store
from ofapi_store.queries import ingest
from ofapi_store.queries.fans import FANS
from scripts.cli.stack import Stack
from scripts.simulator import Simulator
from scripts.simulator.model import Creator, Fan
from tests.e2e.client.things import Things
from tests.e2e.waiting import until, until_idle

GONE = 77


def get(stack: Stack, path: str) -> Any:
    answer = httpx.get(f"{stack.base_url}{path}", headers=stack.auth, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def indexed(stack: Stack, t: Things) -> str:
    """The first request says that the index is not complete, and that alone has the fans walked to the end."""
    path = f"/{t.account}/fans/all?filter[max_total_spent]=0&limit=1"
    until(lambda: get(stack, path)["_source"], lambda source: source["is_complete"])
    until_idle(stack.store_url)
    return t.account


@pytest.fixture
def gone(stack: Stack, indexed: str) -> Iterator[str]:
    """The name of a fan whom the store has and upstream does not know any more."""
    row = {"fan_id": GONE, "username": "goner", "total_spent": "0.03"}
    with contextlib.closing(Store.open(stack.store_url)) as store:
        with store.write() as conn:
            ingest.observe(conn, "fans", indexed, [row], observed_at=datetime.now(UTC))
        yield "goner"
        with store.write() as conn:
            conn.execute(delete(FANS).where(FANS.c.account_id == indexed, FANS.c.fan_id == GONE))


def walk(stack: Stack, path: str) -> list[Any]:
    found: list[Any] = []
    url: str | None = f"{stack.base_url}/api{path}"
    while url:
        body = httpx.get(url, headers=stack.auth, timeout=30).json()
        assert body["data"]["hasMore"] is (body["_pagination"]["next_page"] is not None)
        found += body["data"]["list"]
        url = body["_pagination"]["next_page"]
    return found


CASES: list[tuple[str, str, Callable[[Fan, datetime], bool]]] = [
    ("all", "filter[max_total_spent]=12", lambda fan, now: sum(fan.sums.values()) <= 1200),
    ("all", "filter[max_total_spent]=20.5&limit=7", lambda fan, now: sum(fan.sums.values()) <= 2050),
    (
        "all",
        "filter[max_total_spent]=90&filter[total_spent]=12&limit=20",
        lambda fan, now: 1200 <= sum(fan.sums.values()) <= 9000,
    ),
    (
        "all",
        "filter[max_total_spent]=900&filter[tips]=5&limit=20",
        lambda fan, now: fan.sums["tips"] >= 500 and sum(fan.sums.values()) <= 90000,
    ),
    (
        "all",
        "filter[max_total_spent]=900&filter[duration]=4&limit=20",
        lambda fan, now: (now - fan.spans[0].start).days // 30 >= 4 and sum(fan.sums.values()) <= 90000,
    ),
    (
        "all",
        "type=active&filter[max_total_spent]=30",
        lambda fan, now: fan.active_at(now) and sum(fan.sums.values()) <= 3000,
    ),
    (
        "all",
        "filter[max_total_spent]=900&query=A&limit=20",
        lambda fan, now: "a" in (fan.username + fan.name).lower() and sum(fan.sums.values()) <= 90000,
    ),
    ("active", "filter[max_total_spent]=30", lambda fan, now: fan.active_at(now) and sum(fan.sums.values()) <= 3000),
    (
        "expired",
        "filter[max_total_spent]=30",
        lambda fan, now: not fan.active_at(now) and sum(fan.sums.values()) <= 3000,
    ),
]


@pytest.mark.parametrize(("kind", "query", "fits"), CASES, ids=[f"{kind}?{query}" for kind, query, _ in CASES])
def test_every_fan_that_fits_once(
    stack: Stack,
    simulator: Simulator,
    creator: Creator,
    indexed: str,
    kind: str,
    query: str,
    fits: Callable[[Fan, datetime], bool],
) -> None:
    """By id, none left out, none twice, each with `lastReplyAt`, and whatever else upstream says of it."""
    now = simulator.world.now()
    wanted = sorted(fan.id for fan in creator.fans.values() if not fan.deleted and fan.spans and fits(fan, now))
    assert wanted
    rows = walk(stack, f"/{indexed}/fans/{kind}?{query}")
    assert [row["id"] for row in rows] == wanted
    first = get(stack, f"/{indexed}/users/list?ids={wanted[0]}")[str(wanted[0])]
    assert "lastReplyAt" in rows[0]
    assert {k: v for k, v in rows[0].items() if k != "lastReplyAt" and "avatar" not in k} == {
        k: v for k, v in first.items() if "avatar" not in k
    }


def test_both_dialects_say_the_same(stack: Stack, indexed: str) -> None:
    """The raw one in place, the envelope below `data`."""
    query = f"/{indexed}/fans/all?filter[max_total_spent]=30&limit=3"
    raw, enveloped = get(stack, query), get(stack, f"/api{query}")
    assert list(raw) == ["list", "hasMore", "_source"]
    assert list(enveloped["data"]) == list(raw)
    assert [row["id"] for row in raw["list"]] == [row["id"] for row in enveloped["data"]["list"]]
    assert raw["_source"] == enveloped["data"]["_source"]


def test_the_official_client_reads_it(client: OnlyFansAPI, indexed: str) -> None:
    """Strict, on all three lists."""
    for ask in (client.fans.list_all, client.fans.list_active, client.fans.list_expired):
        found = ask(indexed, limit=20, filter={"max_total_spent": 30.5})
        assert found.data is not None
        assert found.data.list
        assert found.data.to_dict()["_source"]["is_complete"] is True


def test_a_fan_who_is_gone_is_counted(stack: Stack, indexed: str, gone: str) -> None:
    """The page is one shorter, and says so."""
    found = get(stack, f"/{indexed}/fans/all?filter[max_total_spent]=0.03&query={gone}")
    assert (found["list"], found["_source"]["omitted_from_page"]) == ([], 1)
