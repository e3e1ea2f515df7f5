"""Tags of links, on both databases, through the whole gateway."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from addons.pipeline.exchange import UpstreamRequest
from ofapi_store.engine import Store
from ofapi_store.secrets import SecretBox
from tests.addons.pipeline.harness import Bench, Got, json_answer, make_bench

FOLDER = Path(__file__).parents[3] / "rules"
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
"""


@pytest.fixture
async def bench(store: Store, secret_box: SecretBox, tmp_path: Path) -> AsyncIterator[Bench]:
    made = make_bench(store, secret_box, tmp_path, rules=(FOLDER / "link-tags.yaml").read_text() + CREATE)
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


async def test_tags_given_when_a_link_is_made_stay_here(bench: Bench) -> None:
    """Upstream gets the name alone; the tags are on the link when the answer comes, which upstream's own bytes make."""

    def upstream(_: UpstreamRequest) -> Any:
        return json_answer([{"id": 12, "campaignName": "n"}])

    bench.upstream = upstream
    got = await send(bench, "POST", "{a}/tracking-links", name="n", tags=["new"])
    assert got.json["data"] == [{"id": 12, "campaignName": "n"}]
    assert json.loads(bench.sent[0].body or b"") == {"campaignName": "n"}
    assert await tags_of(bench, "{a}/tracking-links/12/tags") == ["new"]
