"""What we answer ourselves: handlers in both dialects, mounts without keys."""

from __future__ import annotations

import pytest

from addons.compute.api import Answer, Call, NextPage
from addons.pipeline.errors import NotFound
from addons.pipeline.exchange import Headers, Response, UpstreamRequest
from tests.addons.pipeline.harness import Bench

BODY = {"Content-Type": "application/json"}


def handle(bench: Bench, answer: Answer | Exception) -> None:
    """Make `notes.add` answer that."""

    async def handler(call: Call) -> Answer:
        if isinstance(answer, Exception):
            raise answer
        return answer

    bench.gateway.parts.handlers = {**bench.gateway.parts.handlers, "notes.add": handler}


async def test_a_handlers_answer_in_both_dialects(bench: Bench) -> None:
    """Data itself, or `{data, _meta}`; times and counters as everywhere."""
    raw = await bench.call("POST", "/{a}/notes", body=b'{"name":"x","n":1.10}', headers=BODY)
    assert raw.body == b'{"note":{"n":1.10,"name":"x"},"at":"2025-01-01T01:01:01+00:00"}'
    wrapped = await bench.call("POST", "/api/{a}/notes", body=b'{"name":"x"}', headers=BODY)
    assert wrapped.json["data"]["note"] == {"name": "x"}
    assert wrapped.json["_meta"]["_credits"]["used"] == 1


async def test_pages_bare_answers_and_other_bodies(bench: Bench) -> None:
    """`page`, `meta`, `bare`, `raw`, 204."""
    handle(bench, Answer([1], page=NextPage({"offset": 5}), meta={"x": 1}, status=201))
    got = await bench.call("POST", "/api/{a}/notes?limit=5", body=b'{"name":"x"}')
    assert got.status == 201
    assert got.json["_pagination"]["next_page"].endswith("/notes?limit=5&offset=5")
    assert got.json["_meta"]["x"] == 1
    handle(bench, Answer({"a": 1}, bare=True))
    assert (await bench.call("POST", "/api/{a}/notes", body=b'{"name":"x"}')).json == {"a": 1}
    handle(bench, Answer(raw=b"plain", headers=[("Content-Type", "text/plain")]))
    plain = await bench.call("POST", "/api/{a}/notes", body=b'{"name":"x"}')
    assert (plain.body, plain.headers.get("content-type")) == (b"plain", "text/plain")


@pytest.mark.parametrize(("error", "status", "balance"), [(NotFound("no"), 404, 1000), (RuntimeError("x"), 500, 1000)])
async def test_failing_handlers_cost_nothing(bench: Bench, error: Exception, status: int, balance: int) -> None:
    """ApiErrors are the answer, anything else a 500."""
    handle(bench, error)
    got = await bench.call("POST", "/api/{a}/notes", body=b'{"name":"x"}')
    await bench.gateway.parts.meter.flush()
    assert got.status == status
    assert await bench.gateway.parts.meter.balance(bench.team.id) == balance


async def test_a_handler_that_is_not_installed_says_so(bench: Bench) -> None:
    """501 that names it."""
    bench.gateway.parts.handlers = {}
    got = await bench.raw("whoami")
    assert (got.status, got.json["error"]) == (501, "not_available")
    assert "accounts.whoami" in got.json["message"]


async def test_head_of_a_computed_answer_has_its_length_and_no_body(bench: Bench) -> None:
    """As GET would have it."""
    whole = await bench.raw("whoami")
    head = await bench.call("HEAD", "/whoami")
    assert head.body == b""
    assert abs(int(head.headers.get("content-length") or 0) - len(whole.body)) < 30


async def test_public_mounts_are_answered_by_who_registered_them(bench: Bench) -> None:
    """A response of theirs, or a hop to our own file server; no key is asked for."""

    async def go(x: object) -> Response:
        return Response(302, Headers([("Location", "https://t.test")]))

    async def cdn(x: object) -> UpstreamRequest:
        return UpstreamRequest("GET", "http://127.0.0.1:1/f", Headers(), internal=True)

    bench.services.parts["mounts"] = {"redirect": go, "cdn": cdn}
    assert (await bench.raw("go/01J", token=None)).headers.get("location") == "https://t.test"
    bench.upstream = lambda _: Response(200, Headers([("Content-Type", "image/png"), ("X-Own", "1")]), b"png")
    got = await bench.raw("cdn/a", token=None)
    assert (got.body, got.headers.get("X-Own")) == (b"png", "1")
    assert bench.sent[0].internal


async def test_who_prices_its_own_work_is_believed(bench: Bench) -> None:
    """Media handlers and our file server charge by size: their figure is the one the client sees, once."""
    handle(bench, Answer({}, headers=[("X-OFAPI-Credits-Used", "12")]))
    got = await bench.call("POST", "/{a}/notes", body=b'{"name":"x"}')
    assert got.headers.get_all("X-OFAPI-Credits-Used") == ["12"]
    assert got.exchange.notes.credits == 12
