"""Postbacks over HTTP: settings, bad input by field, who may see what, on both databases."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.queries import postbacks, smart_links
from ofapi_store.queries.postbacks import POSTBACKS
from ofapi_store.secrets import SecretBox
from tests.addons.links.making import START, make_smart, ulid
from tests.addons.pipeline.harness import Bench, Got, make_bench

RULES = (Path(__file__).parents[3] / "rules" / "smart-link-postbacks.yaml").read_text(encoding="utf-8")
GOOD: dict[str, Any] = {
    "url": "https://example.com/pb?cid={external_click_id}&amount={amount_gross}",
    "conversion_types": ["new_subscriber", "new_transaction"],
    "smart_link_scope": "global",
}
PATH = "smart-link-postbacks"


@pytest.fixture
async def bench(store: Store, secret_box: SecretBox, tmp_path: Path) -> AsyncIterator[Bench]:
    made = make_bench(store, secret_box, tmp_path, rules=RULES)
    yield made
    await made.gateway.close()


async def send(bench: Bench, method: str, path: str = PATH, body: Any = None, token: str | None = "") -> Got:
    headers = {"Content-Type": "application/json"} if body is not None else {}
    data = json.dumps(body).encode() if body is not None else None
    return await bench.call(method, f"/api/{path}", body=data, headers=headers, token=token)


async def made(bench: Bench, **values: Any) -> dict[str, Any]:
    got = await send(bench, "POST", body={**GOOD, **values})
    assert got.status == 200, got.body
    data: dict[str, Any] = got.json["data"]
    return data


def smart(bench: Bench, number: int = 1, **values: Any) -> str:
    with bench.store.write() as conn:
        return make_smart(conn, bench.team.id, bench.account.id, number, **values)


async def test_a_postback_is_made_read_changed_and_deleted(bench: Bench) -> None:
    """The contract's fields (6.9); GET by default; what a change leaves out stays, but for what it must name."""
    link = smart(bench)
    headers = [{"name": "X-Key", "value": "k {click_id}"}]
    pb = await made(bench, http_method="POST", body='{"c": "{click_id}"}', headers=headers)
    assert (pb["url"], pb["http_method"], pb["body"], pb["headers"]) == (
        GOOD["url"],
        "POST",
        '{"c": "{click_id}"}',
        headers,
    )
    assert (pb["smart_link_scope"], pb["smart_link_ids"], pb["smart_links"]) == ("global", [], [])
    assert (pb["traffic_source_ids"], pb["traffic_sources"], pb["latest_response"]) == ([], [], None)
    with bench.store.read() as conn:
        stored = conn.execute(select(POSTBACKS.c.headers)).scalar()
    assert bench.box.decrypt_json(stored) == headers
    assert "X-Key" not in stored
    one = f"{PATH}/{pb['id']}"
    assert (await send(bench, "GET")).json["data"] == [(await send(bench, "GET", one)).json["data"]] == [pb]
    change = {**GOOD, "smart_link_scope": "campaign_specific", "smart_link_ids": [link, link.lower()]}
    changed = (await send(bench, "PATCH", one, change)).json["data"]
    assert (changed["http_method"], changed["body"], changed["headers"]) == ("POST", pb["body"], headers)
    assert changed["smart_link_ids"] == [link]
    assert changed["smart_links"] == [
        {
            "link_ulid": link,
            "name": "link 1",
            "account_prefixed_id": bench.account.id,
            "account_display_name": bench.account.display_name,
        }
    ]
    emptied = (await send(bench, "PATCH", one, {**GOOD, "body": None, "headers": []})).json["data"]
    assert (emptied["body"], emptied["headers"], emptied["smart_link_ids"]) == (None, [], [])
    assert (await send(bench, "DELETE", one)).status == 200
    assert (await send(bench, "GET", one)).status == 404
    assert (await made(bench))["http_method"] == "GET"


async def test_the_latest_response_is_shown(bench: Bench) -> None:
    """The last try, in the list and by itself."""
    pb = await made(bench)
    tried = {"conversion_id": 1, "conversion_type": "new_subscriber", "status_code": 500, "succeeded": False}
    tried |= {"error_type": "status", "error_message": "no", "postback_url": "https://example.com/pb?cid=1"}
    with bench.store.write() as conn:
        postbacks.record(conn, pb["id"], {**tried, "status_code": 404}, now=START)
        postbacks.record(conn, pb["id"], tried, now=START)
        postbacks.record(conn, 999, tried, now=START)
    (listed,) = (await send(bench, "GET")).json["data"]
    last = listed["latest_response"]
    assert {**last, "id": 0} == {
        **{k: v for k, v in tried.items() if k != "conversion_id"},
        "id": 0,
        "created_at": "2026-01-01T00:00:00+00:00",
    }
    assert (await send(bench, "GET", f"{PATH}/{pb['id']}")).json["data"]["latest_response"] == last


BAD: list[tuple[dict[str, Any], str]] = [
    # where
    ({"url": None}, "url"),
    ({"url": ""}, "url"),
    ({"url": 7}, "url"),
    ({"url": "example.com/{click_id}"}, "url"),
    ({"url": "ftp://example.com/"}, "url"),
    ({"url": "https://"}, "url"),
    ({"url": "https://[::1"}, "url"),
    ({"url": "https://h:99999/"}, "url"),
    ({"url": "https://user:pw@example.com/"}, "url"),
    ({"url": "https://10.0.0.1/"}, "url"),
    ({"url": "https://{click_id}.example.com/"}, "url"),
    ({"url": "https://example.com/?c={clikc_id}"}, "url"),
    ({"url": "https://example.com/\u0000"}, "url"),
    ({"url": "https://example.com/" + "x" * 4096}, "url"),
    # when
    ({"conversion_types": None}, "conversion_types"),
    ({"conversion_types": []}, "conversion_types"),
    ({"conversion_types": "new_subscriber"}, "conversion_types"),
    ({"conversion_types": ["new_fan"]}, "conversion_types.0"),
    ({"conversion_types": ["new_subscriber", 1]}, "conversion_types.1"),
    # of what
    ({"smart_link_scope": None}, "smart_link_scope"),
    ({"smart_link_scope": "some"}, "smart_link_scope"),
    ({"smart_link_scope": "campaign_specific"}, "smart_link_ids"),
    ({"smart_link_scope": "campaign_specific", "smart_link_ids": []}, "smart_link_ids"),
    ({"smart_link_scope": "campaign_specific", "smart_link_ids": [ulid(9)]}, "smart_link_ids"),
    ({"smart_link_scope": "campaign_specific", "smart_link_ids": ["none"]}, "smart_link_ids"),
    ({"smart_link_scope": "campaign_specific", "smart_link_ids": ["\u0000"]}, "smart_link_ids.0"),
    ({"smart_link_scope": "campaign_specific", "smart_link_ids": [1]}, "smart_link_ids.0"),
    ({"smart_link_ids": "x"}, "smart_link_ids"),
    # how
    ({"http_method": "PUT"}, "http_method"),
    ({"body": 5}, "body"),
    ({"body": "{nope}"}, "body"),
    ({"body": "a\u0000"}, "body"),
    ({"body": "x" * 65537}, "body"),
    ({"headers": "X: 1"}, "headers"),
    ({"headers": ["X: 1"]}, "headers.0"),
    ({"headers": [{"value": "1"}]}, "headers.0.name"),
    ({"headers": [{"name": "X Y", "value": "1"}]}, "headers.0.name"),
    ({"headers": [{"name": "X:"}]}, "headers.0.name"),
    ({"headers": [{"name": "Content-Length", "value": "1"}]}, "headers.0.name"),
    ({"headers": [{"name": "x" * 101, "value": "1"}]}, "headers.0.name"),
    ({"headers": [{"name": "X", "value": 1}]}, "headers.0.value"),
    ({"headers": [{"name": "X", "value": "a\r\nY: b"}]}, "headers.0.value"),
    ({"headers": [{"name": "X", "value": "{nope}"}]}, "headers.0.value"),
    ({"headers": [{"name": "X", "value": "x" * 2001}]}, "headers.0.value"),
    ({"headers": [{"name": "X", "value": "1"}] * 51}, "headers"),
]


async def test_bad_input_names_its_field(bench: Bench) -> None:
    """422 in the contract's shape (2.2), for POST and PATCH alike; nothing is made or changed."""
    pb = await made(bench)
    for change, field in BAD:
        body = {k: v for k, v in {**GOOD, **change}.items() if v is not None}
        for method, path in (("POST", PATH), ("PATCH", f"{PATH}/{pb['id']}")):
            got = await send(bench, method, path, body)
            assert got.status == 422, (change, got.body)
            assert list(got.json["errors"]) == [field], change
            assert got.json["message"] == got.json["errors"][field][0]
    assert (await send(bench, "GET")).json["data"] == [pb]


async def test_unknown_ids_are_404(bench: Bench) -> None:
    """Whatever is written there."""
    for wrong in ("0", "7", "-1", "1.5", "x", "9" * 30, "%E0%A4", "٣"):
        for method, body in (("GET", None), ("PATCH", GOOD), ("DELETE", None)):
            assert (await send(bench, method, f"{PATH}/{wrong}", body)).status in (400, 404)


async def test_another_teams_postbacks_and_links_are_unknown(bench: Bench) -> None:
    """404, and 422 for its smart links, as for what does not exist."""
    pb, link = await made(bench), smart(bench)
    with bench.store.write() as conn:
        other = testing.make_team(conn)
        token = testing.make_key(conn, other.id).token
    assert (await send(bench, "GET", token=token)).json["data"] == []
    for method, body in (("GET", None), ("PATCH", GOOD), ("DELETE", None)):
        theirs = await send(bench, method, f"{PATH}/{pb['id']}", body, token=token)
        none = await send(bench, method, f"{PATH}/12345", body, token=token)
        assert (theirs.status, theirs.body) == (none.status, none.body) == (404, none.body)
    chosen = {**GOOD, "smart_link_scope": "campaign_specific", "smart_link_ids": [link]}
    assert (await send(bench, "POST", body=chosen, token=token)).status == 422
    assert (await send(bench, "POST", body=chosen)).status == 200
    assert (await send(bench, "GET", token=None)).status == 401


async def test_deleted_links_leave_the_postback(bench: Bench) -> None:
    """A deleted smart link is no longer shown, nor can it be chosen."""
    link = smart(bench)
    chosen = {"smart_link_scope": "campaign_specific", "smart_link_ids": [link]}
    pb = await made(bench, **chosen)
    with bench.store.write() as conn:
        smart_links.mark_deleted(conn, link, now=START)
    assert (await send(bench, "GET", f"{PATH}/{pb['id']}")).json["data"]["smart_link_ids"] == []
    assert (await send(bench, "POST", body={**GOOD, **chosen})).status == 422


async def test_a_restricted_key_sees_its_accounts_postbacks(bench: Bench) -> None:
    """Those for links of its accounts; it cannot make one for all links."""
    with bench.store.write() as conn:
        second = testing.make_account(conn, bench.team.id)
        theirs = make_smart(conn, bench.team.id, second.id, 2)
        token = testing.make_key(conn, bench.team.id, account_ids=[bench.account.id]).token
    link = smart(bench)
    await made(bench)
    foreign = await made(bench, smart_link_scope="campaign_specific", smart_link_ids=[theirs])
    own = await made(bench, smart_link_scope="campaign_specific", smart_link_ids=[link])
    assert (await send(bench, "GET", token=token)).json["data"] == [own]
    assert (await send(bench, "GET", f"{PATH}/{foreign['id']}", token=token)).status == 404
    assert (await send(bench, "POST", body=GOOD, token=token)).status == 403
    wrong = {**GOOD, "smart_link_scope": "campaign_specific", "smart_link_ids": [theirs]}
    assert (await send(bench, "POST", body=wrong, token=token)).status == 422


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"url", "conversion_types", "smart_link_scope"}),
        ({"url": "ftp://x/"}, {"url", "conversion_types", "smart_link_scope"}),
        (
            {"url": "https://e.com/{nope}", "body": "{nope}", "headers": [{"name": "X:"}], "smart_link_scope": "all"},
            {"url", "body", "headers.0.name", "smart_link_scope", "conversion_types"},
        ),
        (
            {"url": "https://e.com/", "headers": [5, {"name": "X:"}], "conversion_types": ["new_subscriber"]},
            {"headers.0", "smart_link_scope"},  # what stands in a list that is wrong has no number
        ),
        (
            {"url": "https://10.0.0.1/", "conversion_types": ["x"], "smart_link_scope": "campaign_specific"},
            {"url", "conversion_types.0", "smart_link_ids"},
        ),
    ],
)
async def test_everything_that_is_wrong_is_named_at_once(bench: Bench, body: dict[str, Any], fields: set[str]) -> None:
    """One 422, whether the rule says it or only the handler can."""
    for method, path in (("POST", "smart-link-postbacks"), ("PATCH", "smart-link-postbacks/1")):
        got = await send(bench, method, path, body)
        assert (got.status, set(got.json["errors"])) == (422, fields), got.json
