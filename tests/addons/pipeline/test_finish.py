"""Upstream's answers, good and bad, in both dialects."""

from __future__ import annotations

from typing import Any

import pytest

from addons.pipeline.exchange import Entry, Headers, Response, ResponseHead, UpstreamFailure
from ofapi_store.queries import accounts
from tests.addons.pipeline.harness import Bench, json_answer


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (json_answer({"error": {"code": 0, "message": "x"}}, 401), 401, "SESSION_EXPIRED:NEEDS_REAUTHENTICATION"),
        (json_answer({"error": {"code": 101, "message": "x"}}, 400), 401, "SESSION_EXPIRED:NEEDS_REAUTHENTICATION"),
        (json_answer({}, 429, Retry_After="7"), 429, "ONLYFANS_COM_RATE_LIMIT_ERROR"),
        (json_answer({"error": {"code": 8, "message": "User not found"}}, 404), 404, "ONLYFANS_COM_ERROR"),
        (json_answer({"error": {"code": 301, "message": "Wrong user."}}, 403), 403, "ONLYFANS_COM_ERROR"),
        (json_answer([1], 400), 400, "ONLYFANS_COM_ERROR"),
        (Response(500, Headers([("Content-Type", "text/html")]), b"<h1>oops</h1>"), 500, "ONLYFANS_COM_ERROR"),
        (Response(503, Headers([]), b""), 503, "ONLYFANS_COM_ERROR"),
    ],
)
async def test_upstreams_errors_are_translated_in_the_envelope_only(
    bench: Bench, answer: Response, status: int, code: str
) -> None:
    """Contract 2.2 at `/api`; upstream's own error, unchanged, at the root. Never HTML in the envelope."""
    bench.upstream = lambda _: answer
    got = await bench.api("{a}/x/y")
    assert (got.status, got.json["error"]) == (status, code)
    assert got.headers.get("content-type") == "application/json"
    assert b"<" not in got.body
    raw = await bench.raw("{a}/x/y")
    assert (raw.status, raw.body) == (answer.status, answer.body)
    if answer.headers.get("retry-after"):
        assert got.headers.get("retry-after") == raw.headers.get("retry-after") == "7"


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("connect", 502, "upstream_unreachable"),
        ("closed", 502, "upstream_unreachable"),
        ("protocol", 502, "upstream_unreachable"),
        ("too_large", 502, "upstream_unreachable"),
        ("timeout", 504, "upstream_timeout"),
    ],
)
async def test_no_answer_from_upstream(bench: Bench, kind: Any, status: int, code: str) -> None:
    """A clear error in both dialects, and the credits come back."""
    bench.upstream = lambda _: UpstreamFailure(kind, "detail")
    for prefix in ("", "api/"):
        got = await bench.raw(prefix + "{a}/x/y")
        assert (got.status, got.json["error"]) == (status, code)
        assert got.headers.get("X-OFAPI-Credits-Used") == "0"
    assert await bench.gateway.parts.meter.balance(bench.team.id) == 1000


async def test_a_dead_session_marks_the_account_once_and_life_unmarks_it(both: Bench) -> None:
    """The state is in the store before the answer is out; events are told of each change once."""
    told: list[tuple[str, str]] = []

    class Events:
        async def session_changed(self, account: Any, state: str) -> None:
            told.append((account.id, state))

    both.services.parts["events"] = Events()

    def state() -> str:
        with both.store.read() as conn:
            row = accounts.by_id(conn, both.account.id)
        assert row is not None
        return row.state

    both.upstream = lambda _: json_answer({}, 401)
    for path in ("api/{a}/x/y", "{a}/x/y", "{a}/fans/active"):
        assert (await both.raw(path)).status == 401
        assert state() == "session_expired"
    shown = (await both.raw("accounts")).json[0]
    assert (shown["is_authenticated"], shown["state"]) == (False, "session_expired")
    both.upstream = lambda _: json_answer({})
    assert (await both.raw("{a}/x/y")).status == 200
    assert state() == "authenticated"
    assert told == [(both.account.id, "session_expired"), (both.account.id, "authenticated")]


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_body_stay_so(bench: Bench, status: int) -> None:
    """204 and 304 have no envelope; validators come down."""
    bench.upstream = lambda _: Response(status, Headers([("ETag", '"v"')]), b"")
    for prefix in ("", "api/"):
        got = await bench.raw(prefix + "{a}/x/y")
        assert (got.status, got.body, got.headers.get("etag")) == (status, b"", '"v"')
        assert got.headers.get("X-OFAPI-Credits-Used") == "1"


async def test_validators_of_edited_bodies_do_not_come_down(bench: Bench) -> None:
    """Upstream's ETag names upstream's bytes, not ours."""
    bench.upstream = lambda _: json_answer({"list": [{"id": 1}], "hasMore": False}, ETag='"v"')
    assert (await bench.raw("{a}/fans/active")).headers.get("etag") is None
    assert (await bench.raw("{a}/x/y")).headers.get("etag") == '"v"'


@pytest.mark.parametrize(
    ("path", "status", "kept"),
    [
        ("{a}/x/y", 200, ["Content-Type", "Content-Length", "ETag"]),
        ("{a}/fans/active", 200, ["Content-Type"]),
        ("{a}/fans/active", 404, ["Content-Type", "Content-Length", "ETag"]),
        ("api/{a}/fans/active", 200, ["Content-Type"]),
        ("api/{a}/x/y", 200, ["Content-Type", "ETag"]),
        ("api/{a}/x/y", 500, ["Content-Type", "ETag"]),
        ("api/{a}/stats", 200, ["Content-Type", "Content-Length", "ETag"]),
    ],
)
async def test_head_says_nothing_of_a_body_that_get_would_change(
    bench: Bench, path: str, status: int, kept: list[str]
) -> None:
    """Upstream's length is not that of an edited, wrapped or translated body."""
    fields = Headers([("Content-Type", "application/json"), ("Content-Length", "9"), ("ETag", '"v"')])
    x = await bench.admitted("HEAD", f"/{path}")
    got = bench.gateway.finish_head(x, ResponseHead(status, fields))
    assert got.status == status
    assert [k for k, _ in got.headers if not k.startswith("X-")] == kept


async def test_bare_rules_have_no_envelope(bench: Bench) -> None:
    """Contract 1.3."""
    bench.upstream = lambda _: json_answer({"total_amount": 1})
    assert (await bench.api("{a}/stats")).json == {"total_amount": 1}


async def test_cached_media_urls_are_swapped_before_the_envelope(bench: Bench) -> None:
    """The hook sees the edited body; the same object back means that nothing changed."""
    bench.services.parts["media_swap"] = lambda body, x: body.replace(b"cdn2", b"ours")
    bench.upstream = lambda _: json_answer({"u": "https://cdn2/x"})
    assert (await bench.api("{a}/x/y")).json["data"] == {"u": "https://ours/x"}


@pytest.mark.parametrize("tag", ['"v"', 'W/"v"'])
async def test_a_swapped_body_keeps_its_tag_as_a_weak_one(bench: Bench, tag: str) -> None:
    """Upstream signs the addresses of files anew each time too: its tag names all the rest, so a client may ask by it."""
    bench.services.parts["media_swap"] = lambda body, x: body.replace(b"cdn2", b"ours")
    bench.upstream = lambda _: json_answer(
        {"u": "https://cdn2/x"}, ETag=tag, Last_Modified="Mon, 1 Jan 2024 00:00:00 GMT"
    )
    for prefix in ("", "api/"):
        headers = (await bench.raw(prefix + "{a}/x/y")).headers
        assert (headers.get("etag"), headers.get("last-modified")) == ('W/"v"', None)


@pytest.mark.parametrize(
    ("upstream", "expected"),
    [
        ("/api2/v2/users/5?x=1", "/{a}/users/5?x=1"),
        ("https://up.test/api2/v2/users/5", "/{a}/users/5"),
        ("https://cdn.test/file", "https://cdn.test/file"),
        ("/login", None),
        ("javascript:alert(1)", None),
        ("http://[::1/no-address", None),
    ],
)
async def test_redirects_lead_to_us_or_away_never_to_upstreams_api(
    bench: Bench, upstream: str, expected: str | None
) -> None:
    """API paths become ours; what we cannot map is dropped."""
    bench.upstream = lambda _: Response(302, Headers([("Location", upstream)]), b"")
    got = await bench.raw("{a}/x/y")
    assert got.headers.get("location") == (expected.replace("{a}", bench.account.id) if expected else None)


async def test_a_redirect_of_upstream_itself_stays_there(bench: Bench) -> None:
    """A proxy client that addresses upstream follows upstream's own paths."""
    bench.upstream = lambda _: Response(302, Headers([("Location", "https://up.test/api2/v2/users/5?x=1")]), b"")
    entry = Entry("proxy_upstream", "https", "onlyfans.com", 443, "127.0.0.1")
    got = await bench.raw("api2/v2/users/4", headers={"X-OFAPI-Account": bench.account.id}, entry=entry)
    assert got.headers.get("location") == "/api2/v2/users/5?x=1"


async def test_the_meta_of_the_envelope(bench: Bench) -> None:
    """Contract 1.1, all three parts."""
    meta = (await bench.api("{a}/costly")).json["_meta"]
    assert meta["_credits"] == {"used": 7, "balance": 993, "note": "Always"}
    assert meta["_cache"] == {"is_cached": False, "note": "Cache disabled for this endpoint"}
    assert set(meta["_rate_limits"]) == {"limit_minute", "limit_day", "remaining_minute", "remaining_day"}
