"""Smart links: made, listed, shown, tagged and deleted from our own tables, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ofapi_store import outbox, testing
from ofapi_store.engine import Store
from ofapi_store.queries import links, pools
from ofapi_store.secrets import SecretBox
from tests.addons.compute.beyond import post
from tests.addons.pipeline.harness import Bench, make_bench

RULES = (Path(__file__).parents[3] / "rules" / "smart-links.yaml").read_text()
NOW = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)


@pytest.fixture
async def bench(store: Store, secret_box: SecretBox, tmp_path: Path) -> AsyncIterator[Bench]:
    made = make_bench(store, secret_box, tmp_path, rules=RULES)
    made.services.clock = lambda: NOW
    yield made
    await made.gateway.close()


async def make(bench: Bench, name: str = "Autumn", **values: Any) -> dict[str, Any]:
    body = {"account_id": bench.account.id, "link_type": "tracking_link", "name": name, **values}
    got = await post(bench, "smart-links", **body)
    assert got.status == 201, got.body
    data: dict[str, Any] = got.json["data"]
    return data


async def show(bench: Bench, smart: str) -> dict[str, Any]:
    got = await bench.api(f"smart-links/{smart}")
    assert got.status == 200, got.body
    data: dict[str, Any] = got.json["data"]
    return data


async def test_making_stores_and_queues_and_asks_nobody(bench: Bench) -> None:
    """201 at once; the real links are a job's, in the same transaction; a visitor's URL is there already."""
    made = await make(bench, "  Autumn ")
    assert (made["name"], made["free_trial_days"], made["revenue"]) == ("Autumn", None, "0.00")
    assert made["traffic_redirect_url"] == f"http://gw.test:8080/go/{made['id']}"
    assert made["created_at"] == "2026-01-31T23:59:59+00:00"
    with bench.store.read() as conn:
        assert outbox.live(conn, "links.pool", made["id"]) is not None
        assert [row.state for row in pools.of_smart(conn, made["id"])] == [
            "making"
        ] * bench.services.config.links.pool_size
    assert bench.sent == []


async def test_what_cannot_be_made_names_its_field(bench: Bench) -> None:
    """A trial without days, a name of blanks, no account; another team's account is as unknown as none."""
    with bench.store.write() as conn:
        foreign = testing.make_account(conn, testing.make_team(conn).id, box=bench.box).id
    good = {"account_id": bench.account.id, "link_type": "tracking_link", "name": "x"}
    for change, field in (
        ({"link_type": "free_trial"}, "free_trial_days"),
        ({"name": " \t"}, "name"),
        ({"name": "a\u0007b"}, "name"),
        ({"account_id": None}, "account_id"),
        ({"account_id": ""}, "account_id"),
    ):
        got = await post(bench, "smart-links", **{**good, **change})
        assert (got.status, list(got.json["errors"])) == (422, [field])
    for account in (foreign, "acct_none"):
        got = await post(bench, "smart-links", **{**good, "account_id": account})
        assert (got.status, got.json["error"]) == (404, "account_not_found")
    got = await post(bench, f"{bench.account.id}/smart-links", **{**good, "account_id": foreign})
    assert (got.status, list(got.json["errors"])) == (422, ["account_id"])
    assert (await bench.api("smart-links")).json["data"] == []


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"account_id", "link_type", "name"}),
        ({"link_type": "free_trial"}, {"account_id", "name", "free_trial_days"}),
        ({"link_type": "banner", "name": " ", "account_id": 5}, {"account_id", "link_type", "name"}),
        ({"link_type": "free_trial", "name": "\n", "free_trial_days": 361}, {"account_id", "name", "free_trial_days"}),
    ],
)
async def test_everything_that_is_wrong_is_named_at_once(bench: Bench, body: dict[str, Any], fields: set[str]) -> None:
    """One 422 for all fields; below an account the path names it, and no `account_id` is asked for."""
    got = await post(bench, "smart-links", **body)
    assert (got.status, set(got.json["errors"])) == (422, fields)
    got = await post(bench, f"{bench.account.id}/smart-links", **{k: v for k, v in body.items() if k != "account_id"})
    assert (got.status, set(got.json["errors"])) == (422, fields - {"account_id"})


async def test_lists_are_newest_first_and_as_wide_as_the_key(bench: Bench) -> None:
    """By name, by account, page by page; a restricted key sees its accounts alone; nothing has pixels."""
    ids = []
    for n in range(3):
        bench.services.clock = lambda n=n: NOW + timedelta(minutes=n)
        ids.append((await make(bench, f"L{n}"))["id"])

    async def listed(query: str = "", **more: Any) -> list[str]:
        return [row["id"] for row in (await bench.api(f"smart-links?{query}", **more)).json["data"]]

    assert await listed() == ids[::-1]
    assert await listed("limit=1&offset=1") == [ids[1]]
    assert await listed("name=L2") == [ids[2]]
    assert await listed("pixel_ids=5") == []
    assert await listed(f"account_ids={bench.account.id},x") == ids[::-1]
    with bench.store.write() as conn:
        other = testing.make_account(conn, bench.team.id, box=bench.box)
        key = testing.make_key(conn, bench.team.id, account_ids=[other.id]).token
    assert await listed(token=key) == []
    assert await listed(f"account_ids={other.id}") == []


async def test_the_pool_is_making_ready_then_exhausted(bench: Bench) -> None:
    """None ready: making. A free one: ready. All held by recent clicks: exhausted, and free again after the hold."""
    smart = (await make(bench))["id"]
    assert (await show(bench, smart))["pool"]["state"] == "making"
    with bench.store.write() as conn:
        first, *rest = pools.of_smart(conn, smart)
        pools.made(conn, first.id, link_pk=links.ensure(conn, bench.account.id, "tracking", 1), url="https://x.test/c1")
    pool = (await show(bench, smart))["pool"]
    assert (pool["state"], pool["ready"], pool["held"], pool["making"]) == ("ready", 1, 0, len(rest))
    with bench.store.write() as conn:
        held = pools.POOL.update().where(pools.POOL.c.id == first.id)
        conn.execute(held.values(held_until=NOW + timedelta(hours=6)))
    assert (await show(bench, smart))["pool"]["state"] == "exhausted"
    bench.services.clock = lambda: NOW + timedelta(hours=6)
    assert (await show(bench, smart))["pool"]["state"] == "ready"


async def test_a_deleted_link_is_gone_for_readers_and_for_the_redirect(bench: Bench) -> None:
    """The redirect forgets it at once; a second time it is as unknown as one that never was."""
    forgotten: list[str] = []

    class Redirects:
        def forget(self, smart_link_id: str) -> None:
            forgotten.append(smart_link_id)

    bench.services.parts["redirects"] = Redirects()
    smart = (await make(bench))["id"]
    assert (await bench.call("DELETE", f"/api/smart-links/{smart}")).json["data"] == {"success": True}
    assert forgotten == [smart]
    assert (await bench.call("DELETE", f"/api/smart-links/{smart}")).status == 404
    assert (await bench.api(f"smart-links/{smart}")).status == 404


async def test_tags_keep_their_first_case_and_find_their_links(bench: Bench) -> None:
    """Adding is idempotent, removing ignores case, and a tag that cannot be changes nothing."""
    smart = (await make(bench))["id"]
    path = f"smart-links/{smart}/tags"
    assert (await post(bench, path, tags=[" Sun ", "b"])).json["data"] == {"tags": ["b", "Sun"]}
    assert (await post(bench, path, tags=["SUN"])).json["data"] == {"tags": ["b", "Sun"]}
    assert (await post(bench, path, tags=["ok", "x" * 51])).status == 422
    assert [row["id"] for row in (await bench.api("smart-links?filter[tags]=sun")).json["data"]] == [smart]
    gone = await bench.call("DELETE", f"/api/{path}", body=b'{"tags":["sun","none"]}')
    assert gone.json["data"] == (await bench.api(path)).json["data"] == {"tags": ["b"]}
