"""Hybrid rules meet bodies that are not what they expect: no error, no change (design, invariant 2 and 4)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from addons.pipeline.exchange import Headers, Response
from ofapi_store.engine import Store
from ofapi_store.secrets import SecretBox
from tests.addons.pipeline.harness import Bench, make_bench

RULES = Path(__file__).parents[2] / "rules"

HYBRID = [
    ("chats.yaml", "chats"),
    ("messages.yaml", "chats/5/messages"),
    ("fans.yaml", "fans/all"),
    ("fans.yaml", "fans/active"),
    ("fans.yaml", "fans/expired"),
    ("fans.yaml", "fans/latest"),
    ("fans.yaml", "fans/top"),
    ("users.yaml", "users/anna"),
    ("transactions.yaml", "transactions"),
    ("tracking-links.yaml", "tracking-links"),
    ("trial-links.yaml", "trial-links"),
    ("engagement.yaml", "engagement/messages/top-message"),
]

ODD = [
    # nothing there
    b"{}",
    b"[]",
    b"null",
    b'{"list": [], "hasMore": false}',
    b'{"users":[],"purchases":null}',
    # something else where a list or an object was expected
    b'{"list": {"a": 1}, "users": "x", "purchases": [1]}',
    b'{"list":[null,5,"x",[],true],"users":[null,7],"purchases":7}',
    b'"a text"',
    # numbers that must survive
    b'{"list": [ ], "big": 123456789012345678901234567890, "money": 1.10, "twice": 1, "twice": 2}',
    # no JSON at all
    b'{"list": [',
    b"<html>not today</html>",
    b"",
]


@pytest.fixture
async def bench(
    request: pytest.FixtureRequest, sqlite_store: Store, secret_box: SecretBox, tmp_path: Path
) -> AsyncIterator[Bench]:
    text = (RULES / request.param).read_text().replace("handler: link_reports", "handler: later.link_reports")
    made = make_bench(sqlite_store, secret_box, tmp_path, rules=text)
    yield made
    await made.gateway.close()


@pytest.mark.parametrize(("bench", "path"), HYBRID, ids=[path for _, path in HYBRID], indirect=["bench"])
async def test_odd_bodies_stay_as_they_are(bench: Bench, path: str) -> None:
    """The raw dialect sends upstream's bytes, the envelope answers; nothing is stored, nothing fails."""
    for body in ODD:
        bench.upstream = lambda _, body=body: Response(200, Headers([("Content-Type", "application/json")]), body)  # type: ignore[misc]
        raw = await bench.raw("{a}/" + path)
        assert (raw.status, raw.body) == (200, body), body
        assert raw.exchange.edits == []
        enveloped = await bench.api("{a}/" + path)
        assert enveloped.status in (200, 502), body
        assert enveloped.headers.get("content-type", "").startswith("application/json")


@pytest.mark.parametrize("bench", ["chats.yaml"], indirect=True)
async def test_a_row_without_a_key_does_not_stop_the_others(bench: Bench) -> None:
    """Dead rows are left as they are and counted; the rows beside them are enriched."""
    body = b'{"list":[{"withUser":null},{"withUser":{"id":"x"}},{"withUser":{"id":5}}],"hasMore":false}'
    bench.upstream = lambda _: Response(200, Headers([("Content-Type", "application/json")]), body)
    rows = (await bench.raw("{a}/chats")).json["list"]
    assert rows[0] == {"withUser": None}
    assert rows[2] == {"withUser": {"id": 5, "lastReplyAt": None}, "lastReplyAt": None}
