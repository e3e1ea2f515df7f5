"""A client's own look at the notifications: webhooks hear of it at once, and the answer stays upstream's."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from ofapi_store.engine import Store
from ofapi_store.errors import StoreUnavailable
from ofapi_store.queries import sync, webhooks
from ofapi_store.queries.events import EVENTS
from ofapi_store.secrets import SecretBox
from ofapi_store.types import show_time
from tests.addons.pipeline.harness import Bench, json_answer, make_bench

RULES = (Path(__file__).parents[3] / "rules" / "notifications.yaml").read_text()


@pytest.fixture
async def bench(store: Store, secret_box: SecretBox, tmp_path: Path) -> AsyncIterator[Bench]:
    made = make_bench(store, secret_box, tmp_path, rules=RULES)
    yield made
    await made.gateway.close()


def want(bench: Bench) -> None:
    with bench.store.write() as conn:
        names = ["tips.received", "posts.liked"]
        webhooks.create(conn, bench.team.id, url="https://a.test", events=names, account_scope="global")


def tip(bench: Bench, number: int, *, ago_s: float = 0, **user: Any) -> dict[str, Any]:
    at = show_time(bench.services.clock() - timedelta(seconds=ago_s))
    pairs = {"{AMOUNT}": "$5.00"}
    return {"id": number, "type": "tip", "createdAt": at, "replacePairs": pairs, "user": {"id": 7, **user}}


def told(bench: Bench) -> list[Any]:
    with bench.store.read() as conn:
        return list(conn.execute(select(EVENTS.c.payload).order_by(EVENTS.c.id)).scalars())


async def test_what_a_client_sees_is_told_once(bench: Bench) -> None:
    """With the fan; seen again it is no second event, and upstream's bytes go on as they came."""
    want(bench)
    rows = [tip(bench, 2, username="fan7"), {"id": 1, "type": "system", "createdAt": "x"}, "junk", {"id": "9"}]
    bench.upstream = lambda _: json_answer({"list": rows, "hasMore": False})
    for _ in range(2):
        got = await bench.raw("{a}/notifications")
        assert got.body == json.dumps({"list": rows, "hasMore": False}).encode()
    (payload,) = told(bench)
    assert (payload["id"], payload["fan"]["id"], payload["fan"]["username"]) == (2, "7", "fan7")
    assert payload["amountGross"] == 5


async def test_what_is_no_news_is_not_told(bench: Bench) -> None:
    """From before the account or the webhook, below the cursor of looks, or about a fan whom nobody can name yet."""
    bench.upstream = lambda _: json_answer([tip(bench, 5, username="u")])
    await bench.raw("{a}/notifications")
    assert told(bench) == []
    want(bench)
    with bench.store.write() as conn:
        sync.save(conn, bench.account.id, "notifications", {"id": 5})
    rows = [tip(bench, 5, username="u"), tip(bench, 6, ago_s=90_000, username="u"), tip(bench, 7)]
    bench.upstream = lambda _: json_answer(rows)
    await bench.raw("{a}/notifications")
    assert told(bench) == []


async def test_without_looks_it_is_told_as_it_is(bench: Bench) -> None:
    """`look_interval_s: 0`: nobody would tell it better later."""
    hooks = bench.services.config.webhooks.model_copy(update={"look_interval_s": 0})
    bench.services.config = bench.services.config.model_copy(update={"webhooks": hooks})
    want(bench)
    bench.upstream = lambda _: json_answer([tip(bench, 7)])
    await bench.raw("{a}/notifications")
    assert [payload["fan"]["username"] for payload in told(bench)] == [None]


async def test_a_store_in_trouble_costs_no_answer(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The look tells it later."""
    want(bench)
    bench.upstream = lambda _: json_answer([tip(bench, 7, username="u")])

    def fails(*_args: object, **_more: object) -> frozenset[str]:
        raise StoreUnavailable("locked")

    monkeypatch.setattr("ofapi_store.queries.events.wanted", fails)
    assert (await bench.raw("{a}/notifications")).status == 200
