"""The request that reaches upstream."""

from __future__ import annotations

import sys
import types

import pytest

from addons.pipeline.upstream import load_signer
from tests.addons.pipeline.harness import Bench


@pytest.mark.parametrize(
    ("target", "url"),
    [
        # the default mapping keeps the query as sent
        ("/{a}/x/y", "https://up.test/api2/v2/x/y"),
        ("/api/{a}/x/y?b=1&a=%20&c[]=2&c[]=3", "https://up.test/api2/v2/x/y?b=1&a=%20&c[]=2&c[]=3"),
        # an encoded slash stays data, empty segments go
        ("/{a}/x//y%2Fz/", "https://up.test/api2/v2/x/y%2Fz"),
        # a rule: path parameters, its own query, its page size, renames and drops
        ("/{a}/fans/active", "https://up.test/api2/v2/subscriptions/subscribers?type=active&format=infinite&limit=10"),
        (
            "/{a}/fans/active?limit=5&q=a%20b&fresh=1&type=all",
            "https://up.test/api2/v2/subscriptions/subscribers?format=infinite&limit=5&query=a%20b&type=all",
        ),
        ("/{a}/chats/a%2Fb/messages?first_id=7", "https://up.test/api2/v2/chats/a%2Fb/messages?id=7"),
    ],
)
async def test_paths_and_queries_upstream(bench: Bench, target: str, url: str) -> None:
    """Rule template or default mapping; what nothing names goes up as it was sent."""
    await bench.call("GET", target)
    assert bench.sent[0].url == url


async def test_bodies_go_up_as_sent(bench: Bench) -> None:
    """Checked bodies too: bytes, content type, method."""
    body = b' {"text" : "a", "price": 1.10 } '
    for target in ("/{a}/x/y", "/{a}/chats/5/messages"):
        await bench.call("POST", target, body=body, headers={"Content-Type": "application/json"})
    assert [(r.method, r.body) for r in bench.sent] == [("POST", body)] * 2
    assert bench.sent[0].headers.get("content-type") == "application/json"


async def test_wrong_fields_of_a_forwarded_body_stay_here(bench: Bench) -> None:
    """422 before anything leaves; multipart is left to upstream."""
    got = await bench.call("POST", "/{a}/chats/5/messages", body=b'{"text":5}')
    assert got.status == 422
    assert bench.sent == []
    form = {"Content-Type": "multipart/form-data; boundary=b"}
    assert (await bench.call("POST", "/{a}/chats/5/messages", body=b"--b--", headers=form)).status == 200


async def test_conditions_and_ranges_go_up_where_nothing_is_edited(bench: Bench) -> None:
    """An edited answer must come whole, and in an encoding that is cheap to undo."""
    sent = {"Range": "bytes=0-1", "If-None-Match": '"x"', "Accept-Encoding": "br, gzip"}
    await bench.raw("{a}/x/y", headers=sent)
    await bench.raw("{a}/fans/active", headers=sent)
    plain, hybrid = bench.sent
    assert (plain.headers.get("range"), plain.headers.get("accept-encoding")) == ("bytes=0-1", "br, gzip")
    assert "range" not in hybrid.headers
    assert "if-none-match" not in hybrid.headers
    assert hybrid.headers.get("accept-encoding") == "gzip"


async def test_head_uses_the_get_rule(bench: Bench) -> None:
    """And goes up as HEAD."""
    got = await bench.call("HEAD", "/{a}/fans/active")
    assert got.exchange.rule_id == "fans-active"
    assert bench.sent[0].method == "HEAD"


async def test_the_operators_signer_adds_headers(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A callable from config; one that fails is a clear 502, and nothing is sent."""
    module = types.ModuleType("signer_for_test")
    module.sign = lambda request: {"sign": request.url[-3:]}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "signer_for_test", module)
    bench.gateway.parts.signer = load_signer("signer_for_test:sign")
    await bench.raw("{a}/x/y")
    assert bench.sent[0].headers.get("sign") == "x/y"
    bench.gateway.parts.signer = lambda _: 1 / 0
    got = await bench.raw("{a}/x/y")
    assert (got.status, got.json["error"]) == (502, "upstream_signer_failed")
    assert len(bench.sent) == 1
    assert await bench.gateway.parts.meter.balance(bench.team.id) == 999
