"""Tags of links, on both databases, through the whole gateway."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from addons.pipeline.exchange import UpstreamRequest
from ofapi_store.engine import Store
from ofapi_store.queries import links
from ofapi_store.secrets import SecretBox
from tests.addons.pipeline.harness import Bench, Got, json_answer, make_bench

FOLDER = Path(__file__).parents[3] / "rules"
KINDS: tuple[links.Kind, ...] = ("tracking", "trial", "shared_tracking", "shared_trial")
CREATE = """
- id: tracking-links-create
  match: POST /{account}/tracking-links
  source: passthrough
  why: Makes a tracking link.
  body: {name: {type: string}, tags: {type: array, items: {type: string, max_length: 50}}}
  upstream: POST /api2/v2/campaigns
  request:
    - {addon: rename, each: $, set: {name: campaignName}}
    - {addon: remove, each: $, fields: [tags]}
  then: link_tags.created
  args: {kind: tracking}
- id: tracking-links-list
  match: GET /{account}/tracking-links
  source: passthrough
  why: The links.
  upstream: GET /api2/v2/campaigns
  observe:
    - {into: tracking_links, each: '$.list[*]', columns: {link_id: id, name: campaignName}}
"""


@pytest.fixture
async def bench(store: Store, secret_box: SecretBox, tmp_path: Path) -> AsyncIterator[Bench]:
    made = make_bench(store, secret_box, tmp_path, rules=(FOLDER / "link-tags.yaml").read_text() + CREATE)
    with store.write() as conn:
        for kind in KINDS:
            for number in (1, 7):
                links.ensure(conn, made.account.id, kind, number)
    yield made
    await made.gateway.close()


async def send(bench: Bench, method: str, path: str, **body: Any) -> Got:
    headers = {"Content-Type": "application/json"}
    return await bench.call(method, f"/api/{path}", body=json.dumps(body).encode(), headers=headers)


async def tags_of(bench: Bench, path: str) -> Any:
    return (await bench.call("GET", f"/api/{path}")).json["data"]["tags"]


@pytest.mark.parametrize("kind", ["tracking-links", "trial-links", "shared-tracking-links", "shared-trial-links"])
async def test_adding_keeps_what_is_there_and_removing_ignores_case(bench: Bench, kind: str) -> None:
    """Each kind of link: add is idempotent, the case of the first use stays, remove takes a body, upstream is not asked."""
    path = f"{{a}}/{kind}/7/tags"
    assert (await send(bench, "POST", path, tags=["VIP", " b "])).json["data"]["tags"] == ["b", "VIP"]
    assert (await send(bench, "POST", path, tags=["vip"])).json["data"]["tags"] == ["b", "VIP"]
    assert (await send(bench, "DELETE", path, tags=["Vip", "never"])).json["data"]["tags"] == ["b"]
    assert await tags_of(bench, path) == ["b"]
    assert bench.sent == []


async def test_the_team_list_knows_kinds(bench: Bench) -> None:
    """One namespace: shared links count with their own kind, and a type without links has no tags."""
    await send(bench, "POST", "{a}/tracking-links/1/tags", tags=["t"])
    await send(bench, "POST", "{a}/shared-trial-links/1/tags", tags=["s", "T"])
    assert await tags_of(bench, "link-tags") == ["s", "t"]
    assert await tags_of(bench, "link-tags?type=tracking_links") == ["t"]
    assert await tags_of(bench, "link-tags?type=trial_links") == ["s", "t"]


@pytest.mark.parametrize(
    ("body", "field"),
    [({"tags": ["x" * 51]}, "tags.0"), ({"tags": ["ok", "  "]}, "tags.1"), ({}, "tags"), ({"tags": "x"}, "tags")],
)
async def test_a_tag_that_cannot_be_changes_nothing(bench: Bench, body: dict[str, Any], field: str) -> None:
    """422 names the field, and the good tags of the same request are not added either."""
    got = await send(bench, "POST", "{a}/tracking-links/7/tags", **body)
    assert got.status == 422
    assert field in got.json["errors"]
    assert await tags_of(bench, "{a}/tracking-links/7/tags") == []


@pytest.mark.parametrize("link", ["abc", "99999999999999999999", "-1", "%C2%B2"])
async def test_a_link_id_that_is_none_is_not_found(bench: Bench, link: str) -> None:
    """Link ids are whole numbers; anything else is 404, never an error of the store."""
    got = await bench.call("GET", f"/api/{{a}}/tracking-links/{link}/tags")
    assert (got.status, got.json["error"]) == (404, "not_found")


@pytest.mark.parametrize("kind", ["tracking-links", "trial-links", "shared-tracking-links", "shared-trial-links"])
async def test_a_link_that_is_not_known_has_no_tags(bench: Bench, kind: str) -> None:
    """404 to read, add and remove, as for its reports: a mistyped id is told, and makes no link. Upstream is not asked."""
    path = f"{{a}}/{kind}/99/tags"
    found = [await bench.call("GET", f"/api/{path}")]
    found += [await send(bench, method, path, tags=["x"]) for method in ("POST", "DELETE")]
    assert [(got.status, got.json["error"]) for got in found] == [(404, "not_found")] * 3
    assert "list the account's links once" in found[0].json["message"]
    assert await tags_of(bench, "link-tags") == []
    assert bench.sent == []


async def test_a_link_of_an_answer_can_be_tagged_at_once(bench: Bench) -> None:
    """Its row is stored after the answer has gone out; the tag waits for that."""
    bench.upstream = lambda _: json_answer({"list": [{"id": 55, "campaignName": "n"}], "hasMore": False})
    assert (await bench.call("GET", "/api/{a}/tracking-links", settle=False)).status == 200
    assert (await send(bench, "POST", "{a}/tracking-links/55/tags", tags=["x"])).json["data"]["tags"] == ["x"]


async def test_tags_given_when_a_link_is_made_stay_here(bench: Bench) -> None:
    """Upstream gets the name alone; the tags are on the link when the answer comes, which upstream's own bytes make."""

    def upstream(_: UpstreamRequest) -> Any:
        return json_answer([{"id": 12, "campaignName": "n"}])

    bench.upstream = upstream
    got = await send(bench, "POST", "{a}/tracking-links", name="n", tags=["new"])
    assert got.json["data"] == [{"id": 12, "campaignName": "n"}]
    assert json.loads(bench.sent[0].body or b"") == {"campaignName": "n"}
    assert await tags_of(bench, "{a}/tracking-links/12/tags") == ["new"]
