"""The invariants of design 3, through all stages of the gateway."""

from __future__ import annotations

from typing import Any

import pytest

from addons.pipeline.exchange import Entry, Headers, Request, Response, UpstreamFailure
from ofapi_store import testing
from ofapi_store.errors import StoreUnavailable
from ofapi_store.secrets import SecretBox
from tests.addons.pipeline.harness import Bench, json_answer

ODD_BODIES = [
    b'{"a":1,"a":2}',
    b'{"n":' + b"9" * 80 + b',"m":1.10,"e":1E400}',
    b'  {"a" : [ 1 , 2 ] }\n',
    b'"text"',
    b'{"bad":"\xff\xfe"}',
]
NOT_JSON = [b'{"broken":', b"<html><body>no</body></html>", b"", b"NaN", b"[" * 50_000]


@pytest.mark.parametrize("body", ODD_BODIES + NOT_JSON, ids=range(10))
async def test_passthrough_is_byte_identical(bench: Bench, body: bytes) -> None:
    """Invariant 1: body, status and content type, whatever the bytes; the very same object where nothing changed."""
    answer = json_answer(body, 200)
    bench.upstream = lambda _: answer
    got = await bench.raw("{a}/anything/else?x=1")
    assert got.status == 200
    assert got.body is answer.body
    assert got.headers.get("content-type") == "application/json"


@pytest.mark.parametrize("body", ODD_BODIES + NOT_JSON, ids=range(10))
async def test_the_envelope_splices_upstreams_bytes(bench: Bench, body: bytes) -> None:
    """Invariant 1: JSON goes into `data` unchanged; what is no JSON passes as it is."""
    bench.upstream = lambda _: json_answer(body)
    got = await bench.api("{a}/anything/else")
    if body in NOT_JSON:
        assert got.body == body
    else:
        assert got.body.startswith(b'{"data":' + body + b',"_meta":')


async def test_hybrid_differs_only_in_the_named_fields(bench: Bench) -> None:
    """Invariant 2: number text, key order, unknown fields and duplicate keys survive an edit."""
    body = b'{"list":[{"id":5,"x":1.10,"big":' + b"8" * 80 + b',"x":2}],"hasMore":false,"z":{}}'
    bench.upstream = lambda _: json_answer(body)
    got = await bench.raw("{a}/fans/active")
    assert got.body == body.replace(b',"x":2}', b',"x":2,"lastReplyAt":null}')
    assert [e.pointer for e in got.exchange.edits] == ["/list/0/lastReplyAt"]


async def test_computed_never_calls_upstream(bench: Bench) -> None:
    """Invariant 3: handlers answer while upstream is down."""
    bench.upstream = lambda _: UpstreamFailure("connect", "down")
    for path in ("whoami", "accounts"):
        assert (await bench.api(path)).status == 200
    assert bench.sent == []


async def test_a_failing_step_leaves_the_body_as_if_it_had_not_run(bench: Bench) -> None:
    """Invariant 4: enrichment that cannot run never breaks an answer."""
    bench.upstream = lambda _: json_answer({"list": {"id": 1}, "hasMore": False})
    got = await bench.raw("{a}/fans/active")
    assert got.json == {"list": {"id": 1}, "hasMore": False}


async def test_the_clients_key_never_reaches_upstream(bench: Bench) -> None:
    """Invariant 7, upwards: no key, no client cookie, no proxy header; the account's own login instead."""
    sent = {
        "Authorization": f"Bearer {bench.token}",
        "X-API-Key": bench.token,
        "Cookie": "sess=mine",
        "Proxy-Authorization": "Basic x",
        "X-Forwarded-For": "1.2.3.4",
        "Forwarded": "for=1.2.3.4",
        "Via": "1.1 x",
        "Connection": "keep-alive, X-Secret",
        "X-Secret": bench.token,
        "Idempotency-Key": bench.token,
        "User-Agent": "client",
        "Accept-Language": "de",
    }
    for path in ("{a}/fans/active", "{a}/anything/else"):
        await bench.raw(path, headers=sent)
    for request in bench.sent:
        flat = repr(request.headers.items())
        assert bench.token not in flat + request.url
        assert "1.2.3.4" not in flat
        assert request.headers.get("cookie", "").startswith("sess=s")
        assert request.headers.get("user-agent") == "test"
        assert request.headers.get("x-bc") == "x"
        assert request.headers.get("accept-language") == "de"


async def test_upstreams_cookies_and_internals_never_reach_the_client(bench: Bench) -> None:
    """Invariant 7, downwards: an allow-list of headers comes down, streamed or not."""
    internals = {"Set_Cookie": "a=b", "Server": "x", "CF_Ray": "1", "X_Internal": "1", "Via": "1.1 up", "ETag": '"v"'}
    for status in (200, 404, 500):
        bench.upstream = lambda _, s=status: json_answer({}, s, **internals)
        for got in (await bench.raw("{a}/x/y"), await bench.api("{a}/x/y")):
            names = {k.lower() for k, _ in got.headers}
            assert not names & {"set-cookie", "server", "cf-ray", "x-internal", "via"}


async def test_another_teams_account_is_as_unknown(bench: Bench, secret_box: SecretBox) -> None:
    """Invariant 7: same status, same bytes, same headers for another team's account and one that does not exist."""
    with bench.store.write() as conn:
        other = testing.make_account(conn, testing.make_team(conn).id, box=secret_box)
    seen = []
    for account in (other.id, "acct_unknown"):
        for path in (f"{account}/fans/active", f"{account}/anything/else", f"api/{account}/notes"):
            got = await bench.raw(path)
            if "notes" not in path:
                assert got.status == 404
                assert got.json["error"] == "account_not_found"
            seen.append((got.status, got.body, [k for k, _ in got.headers]))
    assert seen[:3] == seen[3:]
    assert bench.sent == []


async def test_no_key_is_a_401_whatever_the_path(bench: Bench) -> None:
    """Absent, unknown and malformed keys look the same."""
    for token in (None, "wrong", "Bearer x"):
        for path in ("whoami", "{a}/fans/active", "nothing/here"):
            got = await bench.raw(path, token=token)
            assert got.status == 401
            assert set(got.json) == {"error", "message"}
    assert (await bench.raw("whoami", token=None, headers={"X-API-Key": bench.token})).status == 200


async def test_any_exception_is_a_500_without_a_trace(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours says nothing but its request id."""

    async def broken(*_: object) -> Response:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(bench.gateway.parts.directory, "principal", broken)
    got = await bench.raw("whoami")
    assert got.status == 500
    assert got.json["error"] == "internal_error"
    assert b"secret" not in got.body
    assert got.exchange.id in got.json["message"]


async def test_every_answer_carries_its_request_id_and_counters(bench: Bench) -> None:
    """Contract 1.5: the same headers in both dialects, on errors too."""
    for got in (await bench.raw("{a}/x/y"), await bench.api("whoami"), await bench.raw("{a}/fans/active?limit=99")):
        for name in (
            "X-OFAPI-Request-Id",
            "X-OFAPI-Credits-Used",
            "X-OFAPI-Credits-Balance",
            "X-Rate-Limit-Limit-Minute",
        ):
            assert got.headers.get(name) is not None


async def test_streamed_answers_get_the_same_head(bench: Bench) -> None:
    """`finish_head` filters as `finish` does and keeps what the encoded body needs."""
    from addons.pipeline.exchange import Entry, Request, ResponseHead

    request = Request("GET", f"/{bench.account.id}/files/1", Headers([("Authorization", f"Bearer {bench.token}")]))
    x = bench.gateway.begin(request, Entry("reverse", "http", "gw.test", 80, "127.0.0.1"))
    await bench.gateway.admit(x)
    await bench.gateway.prepare(x)
    head = ResponseHead(
        206,
        Headers(
            [
                ("Content-Type", "video/mp4"),
                ("Content-Range", "bytes 0-1/9"),
                ("Content-Length", "2"),
                ("Set-Cookie", "a=b"),
            ]
        ),
    )
    assert bench.gateway.response_mode(x, head).value == "stream"
    out = bench.gateway.finish_head(x, head)
    await bench.gateway.after(x)
    assert out.status == 206
    assert out.headers.get("content-range") == "bytes 0-1/9"
    assert "set-cookie" not in out.headers
    assert out.headers.get("X-OFAPI-Credits-Used") == "1"


def take_down(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """No call of the store succeeds any more, and nothing that was read a moment ago is fresh."""

    async def fails(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("the store is down")

    for name in ("aread", "aread_slow", "awrite"):
        monkeypatch.setattr(bench.store, name, fails)
    bench.gateway.parts.directory._cache.clear()
    for known in bench.gateway.parts.meter._known.values():
        known.at -= 60


async def test_live_answers_go_out_while_the_store_is_down(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Passthrough unchanged, hybrid without what the store would add, each counted; what needs the store is a 503."""
    body = b'{"list":[{"id":5,"x":1.10}],"hasMore":false}'
    bench.upstream = lambda _: json_answer(body)
    assert b"lastReplyAt" in (await bench.raw("{a}/fans/active")).body
    monkeypatch.setattr("addons.pipeline.credits._RETRY_S", ())
    monkeypatch.setattr("addons.pipeline.observe.RETRY_S", ())
    monkeypatch.setattr("addons.pipeline.patience.PAUSE_S", 0.0)
    with monkeypatch.context() as broken:
        take_down(bench, broken)
        for path in ("{a}/fans/active", "{a}/x/y"):
            got = await bench.raw(path)
            assert (got.status, got.body, got.headers.get("X-OFAPI-Credits-Used")) == (200, body, "1")
        assert (await bench.api("{a}/fans/active")).json["data"] == {"list": [{"id": 5, "x": 1.1}], "hasMore": False}
        for path in ("accounts", "acct_never_seen/x/y"):
            got = await bench.api(path)
            assert (got.status, got.json["error"]) == (503, "SERVICE_UNAVAILABLE")
            assert got.headers.get("retry-after") == "5"
        refused = await bench.raw("whoami", token="no-such-key")
        assert refused.status == 503  # not a 401: nobody knows
        text = bench.gateway.parts.metrics.render().decode()
        assert 'ofapi_steps_skipped_total{rule="fans-active",step="lookup"} 2.0' in text
    assert (await bench.raw("accounts")).status == 200


async def test_a_media_index_that_fails_leaves_urls_alone(bench: Bench) -> None:
    """Upstream's own URLs are as good."""

    def breaks(*_: Any) -> bytes:
        raise OSError("index damaged")

    bench.services.parts["media_swap"] = breaks
    answer = json_answer(b'{"a":1}')
    bench.upstream = lambda _: answer
    got = await bench.raw("{a}/x/y")
    assert got.body is answer.body
    assert got.exchange.notes.skipped == [("media", "OSError")]


async def test_nothing_is_served_that_was_not_admitted(bench: Bench) -> None:
    """Whatever goes wrong before: without the check of key and account no request is prepared."""
    request = Request("GET", f"/{bench.account.id}/fans/active", Headers())
    x = bench.gateway.begin(request, Entry("reverse", "http", "gw.test", 8080, "127.0.0.1"))
    await bench.gateway.prepare(x)
    assert x.response is not None
    assert (x.response.status, x.upstream) == (500, None)
