"""addons/compute/fan_index: `filter[max_total_spent]`, through all stages of the gateway and the real rules."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from addons.pipeline.exchange import UpstreamRequest
from ofapi_store import outbox
from ofapi_store.engine import Store
from ofapi_store.queries import fans, ingest, sync
from ofapi_store.secrets import SecretBox
from tests.addons.pipeline.harness import Bench, json_answer, make_bench

RULES = Path(__file__).parents[3] / "rules" / "fans.yaml"
SEEN = datetime.now(UTC) - timedelta(days=1)
ASKED = "{a}/fans/all?filter[max_total_spent]="


@pytest.fixture
async def bench(store: Store, secret_box: SecretBox, tmp_path: Path) -> AsyncIterator[Bench]:
    made = make_bench(store, secret_box, tmp_path, rules=RULES.read_text())
    yield made
    await made.gateway.close()


def know(bench: Bench, spent: Mapping[int, Any], **columns: Any) -> None:
    """Fans of the store, and what they spent."""
    rows = [{"fan_id": fan, "username": f"u{fan}", "total_spent": amount, **columns} for fan, amount in spent.items()]
    with bench.store.write() as conn:
        ingest.observe(conn, "fans", bench.account.id, rows, observed_at=SEEN)


def fan(number: int, total: Any, **more: Any) -> bytes:
    """A fan of upstream's, with a number that no decoder would give back as it is."""
    row = {"id": number, "username": f"u{number}", "subscribedOnData": {"totalSumm": total}} | more
    return json.dumps(row).encode()[:-1] + b', "odd":1.10}'


def says(bench: Bench, rows: Mapping[int, bytes]) -> None:
    """Upstream's answer: rows keyed by id, in an order of its own."""
    body = b"{" + b",".join(b'"%d":%b' % (number, rows[number]) for number in sorted(rows, reverse=True)) + b"}"
    bench.upstream = lambda _: json_answer(body)


def walked(bench: Bench, at: datetime = SEEN) -> None:
    with bench.store.write() as conn:
        sync.save(conn, bench.account.id, "fans", {"full_at": at.isoformat()}, completed=True)


def jobs(bench: Bench) -> list[tuple[str, Any]]:
    with bench.store.read() as conn:
        return [(job.kind, job.payload) for job in outbox.list_jobs(conn)]


async def test_rows_come_from_the_store_and_objects_from_upstream(bench: Bench) -> None:
    """Upstream is asked for the page's fans alone; each stands byte for byte as it came, with `lastReplyAt`, by id."""
    know(bench, {7: 5, 3: "12.5", 4: 12.51, 9: 0})
    walked(bench)
    said = {7: fan(7, 5), 3: fan(3, 12.5), 9: fan(9, 0)}
    says(bench, said)
    got = await bench.raw(f"{ASKED}12.50&limit=3")
    assert [request.url for request in bench.sent] == ["https://up.test/api2/v2/users/list?m[]=3&m[]=7&m[]=9"]
    rows = b",".join(said[n][:-1] + b',"lastReplyAt":null}' for n in (3, 7, 9))
    source = {
        "is_complete": True,
        "indexed_at": SEEN.isoformat(timespec="seconds"),
        "omitted_from_page": 0,
        "no_longer_matching": 0,
    }
    assert got.body.startswith(b'{"list":[' + rows + b'],"hasMore":false,"_source":')
    assert got.json["_source"] == source
    assert [e.pointer for e in got.exchange.edits] == ["", *(f"/list/{n}/lastReplyAt" for n in range(3))]
    assert got.exchange.edits[0].step == "index"


async def test_the_envelope_pages_by_offset(bench: Bench) -> None:
    """`next_page` goes on while the store has more, whatever upstream left out, and visits every fan once."""
    know(bench, dict.fromkeys(range(1, 8), 1))
    walked(bench)
    says(bench, {n: fan(n, 1) for n in (1, 2, 3, 5, 6, 7)})
    path, found = f"{ASKED}1&limit=3", []
    while path:
        body = (await bench.api(path)).json
        found.append([row["id"] for row in body["data"]["list"]])
        following = body["_pagination"]["next_page"]
        path = following.removeprefix("http://gw.test:8080/api/") if following else ""
    assert found == [[1, 2, 3], [5, 6], [7]]
    assert body["data"]["hasMore"] is False


@pytest.mark.parametrize(
    "row",
    [
        None,
        b"null",
        b"[]",
        b'{"id":3}',
        b'{"id":3,"subscribedOnData":null}',
        b'{"id":3,"subscribedOnData":{"totalSumm":null}}',
        b'{"id":3,"subscribedOnData":{"totalSumm":"much"}}',
        b'{"id":3,"subscribedOnData":7}',
    ],
)
async def test_what_upstream_says_nothing_usable_of_is_counted(bench: Bench, row: bytes | None) -> None:
    """`omitted_from_page`: deleted accounts and partial answers are left out, and told."""
    know(bench, {3: 1, 4: 1})
    says(bench, {4: fan(4, 1)} | ({3: row} if row is not None else {}))
    got = await bench.raw(ASKED + "1")
    assert [found["id"] for found in got.json["list"]] == [4]
    assert (got.json["_source"]["omitted_from_page"], got.json["_source"]["no_longer_matching"]) == (1, 0)


DATA = {"totalSumm": 5, "tipsSumm": 2, "subscribeAt": (SEEN - timedelta(days=70)).isoformat()}
SINCE = {"subscribed_at": DATA["subscribeAt"], "tips_spent": 2}
OVER = {**DATA, "expiredAt": SEEN.isoformat()}


@pytest.mark.parametrize(
    ("path", "live", "fits"),
    [
        ("fans/all?filter[max_total_spent]=5", {"subscribedOnData": DATA}, True),
        ("fans/all?filter[max_total_spent]=5", {"subscribedOnData": {**DATA, "totalSumm": 5.01}}, False),
        ("fans/all?filter[max_total_spent]=9&filter[total_spent]=5", {"subscribedOnData": DATA}, True),
        (
            "fans/all?filter[max_total_spent]=9&filter[total_spent]=5",
            {"subscribedOnData": {**DATA, "totalSumm": 4.99}},
            False,
        ),
        ("fans/all?filter[max_total_spent]=9&filter[tips]=2", {"subscribedOnData": DATA}, True),
        ("fans/all?filter[max_total_spent]=9&filter[tips]=2", {"subscribedOnData": {**DATA, "tipsSumm": 1}}, False),
        ("fans/all?filter[max_total_spent]=9&filter[duration]=2", {"subscribedOnData": DATA}, True),
        (
            "fans/all?filter[max_total_spent]=9&filter[duration]=2",
            {"subscribedOnData": {**DATA, "subscribeAt": SEEN.isoformat()}},
            False,
        ),
        ("fans/all?filter[max_total_spent]=9&query=U3", {"subscribedOnData": DATA}, True),
        ("fans/all?filter[max_total_spent]=9&query=u3", {"subscribedOnData": DATA, "username": "renamed"}, False),
        ("fans/active?filter[max_total_spent]=9", {"subscribedOnData": DATA, "subscribedOn": True}, True),
        ("fans/active?filter[max_total_spent]=9", {"subscribedOnData": DATA, "subscribedOnExpiredNow": True}, False),
        ("fans/all?type=active&filter[max_total_spent]=9", {"subscribedOnData": OVER}, False),
        ("fans/expired?filter[max_total_spent]=9", {"subscribedOnData": OVER}, True),
        ("fans/expired?type=active&filter[max_total_spent]=9", {"subscribedOnData": DATA, "subscribedOn": True}, False),
    ],
)
async def test_every_filter_is_checked_again(bench: Bench, path: str, live: dict[str, Any], fits: bool) -> None:
    """The store's figures may be old: what upstream says now decides."""
    know(bench, {3: 5}, **SINCE, is_active="expired" not in path, expired_at=SEEN.isoformat())
    says(bench, {3: fan(3, 5, **live)})
    got = await bench.raw("{a}/" + path)
    assert len(bench.sent) == 1
    assert [row["id"] for row in got.json["list"]] == ([3] if fits else [])
    assert got.json["_source"]["no_longer_matching"] == (0 if fits else 1)
    assert got.json["_source"]["omitted_from_page"] == 0


async def test_without_rows_upstream_is_not_asked(bench: Bench) -> None:
    """An empty page is an answer like any other: both dialects, one credit each."""
    walked(bench)
    raw, enveloped = await bench.raw(ASKED + "1"), await bench.api(ASKED + "1")
    assert bench.sent == []
    assert raw.json["list"] == enveloped.json["data"]["list"] == []
    assert raw.json["hasMore"] is False
    assert enveloped.json["_pagination"] == {"next_page": None}
    assert raw.headers.get("x-ofapi-credits-used") == "1"


async def test_an_empty_php_array_is_an_empty_answer(bench: Bench) -> None:
    """PHP writes an empty map as a list."""
    know(bench, {3: 1})
    bench.upstream = lambda _: json_answer(b"[]")
    assert (await bench.raw(ASKED + "1")).json["_source"]["omitted_from_page"] == 1


async def test_a_walk_does_not_move_the_rows_before_it(bench: Bench) -> None:
    """What upstream says of a page is not observed: the next page begins where this one ended."""
    know(bench, {3: 1, 4: 1})
    says(bench, {3: fan(3, 99)})
    await bench.raw(ASKED + "1&limit=1")
    with bench.store.read() as conn:
        assert fans.by_ids(conn, bench.account.id, [3])[3].total_spent == 100


async def test_an_incomplete_index_queues_one_walk(bench: Bench) -> None:
    """`is_complete: false` until the fans were walked to the end; a sync of them is queued, once."""
    for _ in range(2):
        assert (await bench.raw(ASKED + "1")).json["_source"]["is_complete"] is False
    assert jobs(bench) == [("sync.account", {"account": bench.account.id, "only": ["fans"], "full": True})]


@pytest.mark.parametrize(
    ("payload", "count"), [({}, 1), ({"only": ["fans"]}, 1), ({"only": ["transactions"]}, 2), ({"only": None}, 1)]
)
async def test_a_sync_that_walks_the_fans_anyway_is_enough(bench: Bench, payload: dict[str, Any], count: int) -> None:
    """One of other things is not."""
    with bench.store.write() as conn:
        outbox.enqueue(conn, "sync.account", {"account": bench.account.id, **payload}, key=bench.account.id)
    await bench.raw(ASKED + "1")
    assert len(jobs(bench)) == count


async def test_a_complete_index_queues_nothing(bench: Bench) -> None:
    """A walk that is under way again does not make it incomplete."""
    walked(bench)
    assert (await bench.raw(ASKED + "1")).json["_source"]["is_complete"] is True
    assert jobs(bench) == []


@pytest.mark.parametrize("value", ["1&filter[online]=1", "1&filter[online]=0", "-1", "abc", "NaN", "1e9999"])
async def test_bad_values_name_the_field(bench: Bench, value: str) -> None:
    """422, and nothing is asked or queued. Who is online is not in the store."""
    got = await bench.raw(ASKED + value)
    assert got.status == 422
    assert list(got.json["errors"]) == ["filter.max_total_spent"]
    assert bench.sent == []
    assert jobs(bench) == []


@pytest.mark.parametrize("value", ["1e300", "99999999999999999999", "0.009", "0"])
async def test_odd_numbers_are_numbers(bench: Bench, value: str) -> None:
    """Any size, and fractions of a cent, which nobody can have spent. At least 0 is what everybody has."""
    know(bench, {3: 0})
    says(bench, {3: fan(3, 0)})
    got = await bench.raw(f"{ASKED}{value}&filter[duration]=0&filter[tips]=0&filter[total_spent]=0")
    assert [row["id"] for row in got.json["list"]] == [3]


async def test_without_the_parameter_upstream_lists(bench: Bench) -> None:
    """Also where it is sent without a value, which goes nowhere."""
    bench.upstream = lambda _: json_answer({"list": [], "hasMore": False})
    for query in ("limit=3", "limit=3&filter[max_total_spent]="):
        got = await bench.raw("{a}/fans/all?" + query)
        assert got.json == {"list": [], "hasMore": False}
    expected = "https://up.test/api2/v2/subscriptions/subscribers?type=all&format=infinite&limit=3"
    assert [request.url for request in bench.sent] == [expected, expected]


async def test_upstreams_error_stays_its_own(bench: Bench) -> None:
    """What is no page of rows passes as it is."""
    know(bench, {3: 1})
    bench.upstream = lambda _: json_answer({"error": {"code": 1}}, 404)
    got = await bench.raw(ASKED + "1")
    assert (got.status, got.json) == (404, {"error": {"code": 1}})
    bench.upstream = lambda _: json_answer(b"<html>")
    assert (await bench.raw(ASKED + "1")).body == b"<html>"


async def test_head_tells_of_no_body(bench: Bench) -> None:
    """HEAD goes upstream, also where the page is empty."""
    methods: list[str] = []

    def answer(request: UpstreamRequest) -> Any:
        methods.append(request.method)
        return json_answer(b"")

    bench.upstream = answer
    got = await bench.call("HEAD", "/" + ASKED + "1")
    assert (got.status, got.body, methods) == (200, b"", ["HEAD"])
