"""The stored link inventory, on both databases, through the whole gateway."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ofapi_store.engine import Store
from ofapi_store.queries import ingest, links, pools, tags
from ofapi_store.secrets import SecretBox
from tests.addons.links.making import make_smart
from tests.addons.pipeline.harness import Bench, json_answer, make_bench

FILES = ("stored-links", "tracking-links", "shared-links")
RULES = "".join((Path(__file__).parents[3] / "rules" / f"{name}.yaml").read_text() for name in FILES)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def campaign(number: int, **more: Any) -> dict[str, Any]:
    return {
        "link_id": number,
        "code": str(number),
        "name": f"Link {number}",
        "created_at": f"2025-01-{number:02}T00:00:00+00:00",
        **more,
    }


@pytest.fixture
async def bench(store: Store, secret_box: SecretBox, tmp_path: Path) -> AsyncIterator[Bench]:
    made = make_bench(store, secret_box, tmp_path, rules=RULES)
    with store.write() as conn:
        rows = [campaign(n, clicks_count=10, subscribers_count=4) for n in range(1, 6)]
        ingest.observe(conn, "tracking_links", made.account.id, rows, observed_at=NOW)
        owner = {"id": 9, "name": "O", "username": "o", "avatarThumbUrl": None}
        ingest.observe(conn, "shared_tracking_links", made.account.id, [campaign(1, owner=owner)], observed_at=NOW)
    yield made
    await made.gateway.close()


async def items(bench: Bench, query: str, kind: str = "tracking-links") -> list[dict[str, Any]]:
    got = await bench.call("GET", f"/api/{{a}}/stored/{kind}?{query}")
    assert got.status == 200, got.body
    found: list[dict[str, Any]] = got.json["data"]["list"]
    return found


async def test_pages_follow_to_the_end_newest_first(bench: Bench) -> None:
    """`hasMore` and `next_page` agree, and each link comes once."""
    seen, url = [], f"/api/{bench.account.id}/stored/tracking-links?limit=2"
    while url:
        got = (await bench.call("GET", url)).json
        seen += [item["id"] for item in got["data"]["list"]]
        next_page = got["_pagination"]["next_page"]
        assert got["data"]["hasMore"] is (next_page is not None)
        url = "/" + next_page.split("/", 3)[3] if next_page else ""
    assert seen == [5, 4, 3, 2, 1]
    assert bench.sent == []


async def test_search_tags_and_smart_links_filter(bench: Bench) -> None:
    """Search looks into name, code and URL in any case; a tag in any case; pool links only when asked for."""
    with bench.store.write() as conn:
        pk = links.ensure(conn, bench.account.id, "tracking", 2)
        tags.add(conn, bench.team.id, pk, ["Gold"])
        smart = links.ensure(conn, bench.account.id, "tracking", 3)
        conn.execute(links.LINKS.update().where(links.LINKS.c.id == smart).values(is_smart=True))
    assert [i["id"] for i in await items(bench, "filter[search]=LINK%202")] == [2]
    assert [(i["id"], i["tags"]) for i in await items(bench, "filter[tags][]=gold")] == [(2, ["Gold"])]
    assert [i["id"] for i in await items(bench, "limit=10")] == [5, 4, 2, 1]
    assert [i["id"] for i in await items(bench, "filter[include_smart_links]=1")] == [5, 4, 3, 2, 1]


async def test_search_ignores_the_case_of_any_letter(bench: Bench) -> None:
    """Not of ASCII letters alone; `%` and `_` are letters like any other."""
    with bench.store.read() as conn:
        if conn.exec_driver_sql("SELECT lower('É')").scalar() != "é":
            pytest.skip("this PostgreSQL was made with the locale C, which knows ASCII alone")
    with bench.store.write() as conn:
        for number, name in ((1, "ÉTÉ à Łódź"), (2, "100%_sure")):
            ingest.observe(conn, "tracking_links", bench.account.id, [campaign(number, name=name)], observed_at=NOW)
    for text, found in (
        ("%C3%A9t%C3%A9", [1]),
        ("%C5%81%C3%93D", [1]),
        ("%25_S", [2]),
        ("1_0", []),
        ("link", [5, 4, 3]),
    ):
        assert [i["id"] for i in await items(bench, f"filter[search]={text}")] == found


async def test_links_that_are_deleted_leave_the_inventory(bench: Bench) -> None:
    """Their reports stay; a pool loses the link and gets another one; a shared link is forgotten with its tags."""
    with bench.store.write() as conn:
        pk = links.ensure(conn, bench.account.id, "tracking", 5)
        smart = make_smart(conn, bench.team.id, bench.account.id)
        pools.add(conn, smart, ["p"], now=NOW)
        pools.made(conn, pools.of_smart(conn, smart)[0].id, link_pk=pk, url="u")
        shared = links.ensure(conn, bench.account.id, "shared_tracking", 1)
        tags.add(conn, bench.team.id, shared, ["x"])
    for path in ("tracking-links/5", "tracking-links/99", "shared-tracking-links/1"):
        assert (await bench.call("DELETE", f"/{{a}}/{path}")).status == 200
    assert [i["id"] for i in await items(bench, "")] == [4, 3, 2, 1]
    assert await items(bench, "", "shared-tracking-links") == []
    with bench.store.read() as conn:
        states = [row.state for row in pools.of_smart(conn, smart)]
        assert states == ["retired"] + ["making"] * bench.services.config.links.pool_size
        assert links.get(conn, bench.account.id, "shared_tracking", 1) is None


async def test_a_link_that_upstream_keeps_stays(bench: Bench) -> None:
    """What was not deleted is still there."""
    bench.upstream = lambda _: json_answer({"error": {"message": "no"}}, 403)
    await bench.call("DELETE", "/{a}/tracking-links/5")
    assert [i["id"] for i in await items(bench, "limit=1")] == [5]


@pytest.mark.parametrize("dialect", ["", "/api"])
async def test_a_link_is_known_once_it_was_made_or_read(bench: Bench, dialect: str) -> None:
    """Without waiting for a list; upstream writes counts of one link as text."""
    row = {"id": 70, "campaignCode": 70, "campaignName": "New", "countSubscribers": 0, "countTransitions": 0}
    row |= {"createdAt": "2026-01-01T00:00:00+00:00", "endDate": None}
    bench.upstream = lambda _: json_answer([row])
    body = json.dumps({"name": "New", "tags": ["t"]}).encode()
    made = await bench.call(
        "POST", f"{dialect}/{{a}}/tracking-links", body=body, headers={"Content-Type": "application/json"}
    )
    assert made.status == 200
    assert [(i["id"], i["tags"]) for i in await items(bench, "limit=1")] == [(70, ["t"])]
    bench.upstream = lambda _: json_answer(
        {**row, "id": 71, "createdAt": "2026-01-02T00:00:00+00:00", "countTransitions": "9"}
    )
    await bench.call("GET", f"{dialect}/{{a}}/tracking-links/71")
    assert [(i["id"], i["clicksCount"]) for i in await items(bench, "limit=1")] == [(71, 9)]


async def test_revenue_is_null_until_it_was_calculated(bench: Bench) -> None:
    """Not yet calculated: nulls and isLoading, never 0; then exact amounts and averages."""
    with bench.store.write() as conn:
        pk = links.ensure(conn, bench.account.id, "tracking", 5)
        links.store_revenue(conn, pk, total=12000, spenders=3, chargebacks=550, now=NOW)
    five, four = (await items(bench, "limit=2"))[:2]
    assert five["revenue"] == {
        "total": 120,
        "revenuePerSubscriber": 30,
        "revenuePerClick": 12,
        "spendersCount": 3,
        "chargebacks": 5.5,
        "calculatedAt": "2026-01-01T00:00:00+00:00",
        "isLoading": False,
    }
    assert four["revenue"] == {**dict.fromkeys(five["revenue"]), "isLoading": True}
    assert (five["cost"]["clickSourceCount"], five["cost"]["perClick"], five["cost"]["subscriberSourceCount"]) == (
        10,
        None,
        4,
    )
    assert five["campaignUrl"] == f"https://onlyfans.com/{bench.account.username}/c5"


async def test_shared_links_show_their_owner_and_no_revenue(bench: Bench) -> None:
    """What the other creator's link earned is not ours to show."""
    (item,) = await items(bench, "", "shared-tracking-links")
    assert item["owner"]["username"] == "o"
    assert item["isDeleted"] is False
    assert not {"revenue", "cost"} & set(item)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("offset=-1", "offset"),
        ("filter[search]=" + "x" * 256, "filter.search"),
        ("filter=red", "filter"),
    ],
)
async def test_bad_parameters_are_named(bench: Bench, query: str, field: str) -> None:
    """Bounds of contract 6.11; 422 names the field, nested ones with a dot as Laravel does."""
    got = await bench.call("GET", f"/api/{{a}}/stored/tracking-links?{query}")
    assert got.status == 422
    assert field in got.json["errors"]


async def test_a_link_that_was_only_tagged_is_not_listed(bench: Bench) -> None:
    """The tag of a link that was just made may be stored before the link is; the list waits for the link."""
    with bench.store.write() as conn:
        links.ensure(conn, bench.account.id, "tracking", 99)
    assert 99 not in [i["id"] for i in await items(bench, "limit=100")]
