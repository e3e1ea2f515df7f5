"""Following `next_page` to null visits every row exactly once."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from addons.pipeline.exchange import Response, UpstreamRequest
from addons.pipeline.pagination import PageSpec, next_query
from tests.addons.pipeline.harness import Bench, json_answer


@pytest.mark.parametrize(
    ("spec", "query", "body", "expected"),
    [
        # offset: by limit, whatever came; hasMore decides
        (PageSpec("offset"), "limit=5&q=a%20b", '{"list":[1],"hasMore":true}', "limit=5&q=a%20b&offset=5"),
        (PageSpec("offset"), "offset=5&limit=5", '{"list":[],"hasMore":true}', "offset=10&limit=5"),
        (PageSpec("offset"), "", '{"users":[1],"hasMore":true}', "offset=10&limit=10"),
        (PageSpec("offset", 3), "", '{"items":[1]}', "offset=3&limit=3"),
        (PageSpec("offset"), "", '{"list":[1,2,3],"hasMore":false}', None),
        (PageSpec("offset"), "", '{"list":[]}', None),
        (PageSpec("offset"), "", "[1,2]", "offset=10&limit=10"),
        (PageSpec("offset"), "", "[]", None),
        (PageSpec("offset"), "", "{broken", None),
        (PageSpec("offset"), "", '"text"', None),
        # marker: upstream's own; the same again would never end
        (
            PageSpec("marker"),
            "startDate=-30days",
            '{"list":[],"hasMore":true,"nextMarker":17}',
            "startDate=-30days&marker=17",
        ),
        (PageSpec("marker"), "", '{"list":[],"marker":"a b"}', "marker=a%20b"),
        (PageSpec("marker"), "marker=17", '{"list":[],"hasMore":true,"nextMarker":17}', None),
        (PageSpec("marker"), "", '{"hasMore":false,"nextMarker":17}', None),
        (PageSpec("marker"), "", '{"hasMore":true,"nextMarker":null,"marker":null}', None),
        # cursor: below the last id, or from the one after it
        (PageSpec("cursor"), "limit=2", '{"list":[{"id":9},{"id":8}],"hasMore":true}', "limit=2&first_id=8"),
        (
            PageSpec("cursor"),
            "order=asc&last_id=1",
            '{"list":[{"id":1},{"id":3}],"hasMore":true}',
            "order=asc&last_id=4",
        ),
        (PageSpec("cursor"), "", '{"list":[],"hasMore":true}', None),
        (PageSpec("cursor"), "", '{"list":[{"id":' + "9" * 30 + '}],"hasMore":true}', "first_id=" + "9" * 30),
    ],
)
def test_the_next_query(spec: PageSpec, query: str, body: str, expected: str | None) -> None:
    """One table over the three kinds."""
    assert next_query(spec, query, body.encode()) == expected


ROWS = list(range(100, 153))


def answer(request: UpstreamRequest) -> Response:
    """An upstream with pages that are short or empty, and with all three ways of paging."""
    asked = {k: v[-1] for k, v in parse_qs(urlsplit(request.url).query).items()}
    limit = int(asked.get("limit", 10))
    if "messages" in request.url:
        cursor, asc = int(asked.get("id", 0)), asked.get("order") == "asc"
        rows = [r for r in ROWS if r >= cursor] if asc else [r for r in reversed(ROWS) if not cursor or r < cursor]
        return json_answer({"list": [{"id": r} for r in rows[:limit]], "hasMore": len(rows) > limit})
    if "payouts" in request.url:
        rows = [r for r in ROWS if r > int(asked.get("marker", 0))]
        shown = rows[:7]
        return json_answer({"list": [{"id": r} for r in shown], "nextMarker": shown[-1], "hasMore": len(rows) > 7})
    offset = int(asked.get("offset", 0))
    window = [r for r in ROWS[offset : offset + limit] if not 110 <= r < 120 and r % 3]
    return json_answer({"list": [{"id": r} for r in window], "hasMore": offset + limit < len(ROWS)})


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("fans/active?limit=10", [r for r in ROWS if not 110 <= r < 120 and r % 3]),
        ("fans/active", [r for r in ROWS if not 110 <= r < 120 and r % 3]),
        ("fans/active?limit=7&q=x", [r for r in ROWS if not 110 <= r < 120 and r % 3]),
        ("transactions?startDate=-30days", ROWS),
        ("chats/5/messages?limit=4", ROWS[::-1]),
        ("chats/5/messages?order=asc&limit=4", ROWS),
        ("chats/5/messages?order=asc&limit=1&last_id=100", ROWS),
    ],
)
async def test_following_next_page_visits_every_row_once(bench: Bench, path: str, expected: list[int]) -> None:
    """Short pages, an empty page in the middle, both orders; the URL is absolute and ours."""
    bench.upstream = answer
    seen: list[int] = []
    url: str | None = f"http://gw.test:8080/api/{bench.account.id}/{path}"
    for _ in range(100):
        assert url is not None
        assert url.startswith("http://gw.test:8080/api/")
        got = await bench.call("GET", url.removeprefix("http://gw.test:8080"))
        data = got.json["data"]
        seen += [row["id"] for row in (data if isinstance(data, list) else data["list"])]
        url = got.json["_pagination"]["next_page"]
        if url is None:
            break
    assert seen == expected


async def test_public_url_is_where_next_page_leads(bench: Bench) -> None:
    """Behind a front proxy, config says what clients see."""
    bench.gateway.parts.config = bench.gateway.parts.config.model_copy(update={"public_url": "https://api.example.com"})
    bench.upstream = answer
    got = await bench.api("{a}/fans/active")
    page = f"https://api.example.com/api/{bench.account.id}/fans/active?offset=10&limit=10"
    assert json.loads(got.body)["_pagination"] == {"next_page": page}
