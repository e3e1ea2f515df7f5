"""Key, account, rate limit, route and parameters are checked before anything leaves."""

from __future__ import annotations

import json

import pytest

from addons.pipeline.admit import auth_cookie, request_mode
from addons.pipeline.exchange import BodyMode, Entry, Headers, Request
from ofapi_store import testing
from ofapi_store.queries import accounts, keys
from tests.addons.pipeline.harness import Bench


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=abc", "limit"),
        ("limit=21", "limit"),
        ("limit=0", "limit"),
        ("offset=-1", "offset"),
        ("filter.online=1", "filter.online"),
        ("filter[total_spent]=x", "filter.total_spent"),
    ],
)
async def test_wrong_parameters_are_a_422_in_both_dialects(bench: Bench, query: str, field: str) -> None:
    """Laravel's shape, naming the field; nothing is sent or charged."""
    for prefix in ("", "api/"):
        got = await bench.raw(f"{prefix}{{a}}/fans/active?{query}")
        assert got.status == 422
        assert got.json["error"] == "VALIDATION_ERROR"
        assert list(got.json["errors"]) == [field]
        assert got.json["message"] == got.json["errors"][field][0]
    assert bench.sent == []
    assert await bench.gateway.parts.meter.balance(bench.team.id) == 1000


async def test_scopes_limit_methods(both: Bench) -> None:
    """A read key reads; writing and deleting need their own permission."""
    with both.store.write() as conn:
        token = testing.make_key(conn, both.team.id, scopes=["read"]).token
    assert (await both.raw("{a}/x/y", token=token)).status == 200
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        got = await both.call(method, "/{a}/x/y", token=token)
        assert (got.status, got.json["error"]) == (403, "forbidden")


async def test_restricted_keys_see_their_accounts_only(bench: Bench) -> None:
    """Another account of the team is forbidden, and not listed."""
    with bench.store.write() as conn:
        second = testing.make_account(conn, bench.team.id, box=bench.box)
        token = testing.make_key(conn, bench.team.id, account_ids=[second.id]).token
    assert (await bench.raw(f"{second.id}/x/y", token=token)).status == 200
    assert (await bench.raw("{a}/x/y", token=token)).status == 403
    assert [a["id"] for a in (await bench.raw("accounts", token=token)).json] == [second.id]


async def test_revoked_keys_stop_within_a_second(bench: Bench) -> None:
    """The cache holds a key for a second at most."""
    assert (await bench.raw("whoami")).status == 200
    with bench.store.write() as conn:
        (key,) = keys.list_for_team(conn, bench.team.id)
        keys.revoke(conn, key.id)
    bench.gateway.parts.directory.forget()  # what the second does
    assert (await bench.raw("whoami")).status == 401


async def test_the_rate_limit_counts_per_team_and_says_when(sqlite_store, secret_box, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """429 with Retry-After; counters in the headers and in `_meta`; the code is not upstream's."""
    from tests.addons.pipeline.harness import make_bench

    bench = make_bench(sqlite_store, secret_box, tmp_path, requests_per_minute=2)
    first = await bench.api("{a}/x/y")
    assert first.json["_meta"]["_rate_limits"] == {
        "limit_minute": 2,
        "limit_day": None,
        "remaining_minute": 1,
        "remaining_day": None,
    }
    assert (await bench.api("{a}/x/y")).headers.get("X-Rate-Limit-Remaining-Minute") == "0"
    refused = await bench.api("{a}/x/y")
    assert (refused.status, refused.json["error"]) == (429, "rate_limit_exceeded")
    assert 0 < int(refused.headers.get("Retry-After") or 0) <= 60
    assert len(bench.sent) == 2
    await bench.gateway.close()


async def test_a_team_without_a_limit_of_its_own_has_the_configs(sqlite_store, secret_box, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """And another team's requests do not count."""
    from tests.addons.pipeline.harness import make_bench

    config = {"upstream": {"base_url": "https://up.test"}, "limits": {"requests_per_minute": 1}}
    bench = make_bench(sqlite_store, secret_box, tmp_path, requests_per_minute=0, config=config)
    assert [(await bench.raw("whoami")).status for _ in range(2)] == [200, 429]
    await bench.gateway.close()


@pytest.mark.parametrize(
    ("state", "status", "code"),
    [
        ("reauthenticating", 503, "SERVICE_UNAVAILABLE"),
        ("authenticating", 503, "SERVICE_UNAVAILABLE"),
        ("session_expired", 200, None),  # upstream alone knows; see test_finish
    ],
)
async def test_accounts_that_cannot_be_used_now(bench: Bench, state: str, status: int, code: str | None) -> None:
    """While a login runs: 503 with Retry-After."""
    with bench.store.write() as conn:
        accounts.set_state(conn, bench.account.id, state)
    got = await bench.raw("{a}/x/y")
    assert got.status == status
    if code:
        assert got.json["error"] == code
        assert got.headers.get("Retry-After")


async def test_an_account_without_login_needs_one(bench: Bench) -> None:
    """401 that tells what to do, not upstream's."""
    with bench.store.write() as conn:
        account = testing.make_account(conn, bench.team.id)
    got = await bench.raw(f"{account.id}/x/y")
    assert (got.status, got.json["error"]) == (401, "SESSION_EXPIRED:NEEDS_REAUTHENTICATION")
    assert bench.sent == []


@pytest.mark.parametrize("declared", [True, False])
async def test_bodies_over_their_limit_are_a_413(bench: Bench, declared: bool) -> None:
    """By the declared length before the body is read, else by its size."""
    headers = {"Content-Type": "application/json"}
    body = None if declared else b'"' + b"x" * 10_000_001 + b'"'
    if declared:
        headers["Content-Length"] = "10000001"
    for target in ("/{a}/notes", "/{a}/x/y"):
        got = await bench.call("POST", target, body=body, headers=headers)
        assert (got.status, got.json["error"]) == (413, "payload_too_large")


@pytest.mark.parametrize(("target", "status"), [("/{a}/notes", 413), ("/{a}/chats/5/messages", 413), ("/{a}/x/y", 200)])
async def test_only_what_is_streamed_has_the_limit_of_uploads(bench: Bench, target: str, status: int) -> None:
    """A multipart body that a handler or a rule reads is held, and so as limited as JSON."""
    headers = {"Content-Type": "multipart/form-data; boundary=x", "Content-Length": "10000001"}
    assert (await bench.call("POST", target, headers=headers)).status == status


@pytest.mark.parametrize("body", [b"{", b"<x/>", b"", b"[1]", b'{"name":5}'])
async def test_bad_bodies_of_computed_endpoints_are_a_422(bench: Bench, body: bytes) -> None:
    """Not JSON, no object, a wrong field: named, never a 500."""
    got = await bench.call("POST", "/api/{a}/notes", body=body)
    assert got.status == 422
    assert got.json["errors"]


@pytest.mark.parametrize(
    ("target", "kind", "mode"),
    [
        ("/{a}/media/upload", "multipart/form-data; boundary=x", BodyMode.STREAM),
        ("/{a}/x/y", "video/mp4", BodyMode.STREAM),
        ("/{a}/x/y", "application/json", BodyMode.BUFFER),
        ("/{a}/notes", "multipart/form-data; boundary=x", BodyMode.BUFFER),
        ("/{a}/chats/5/messages", "multipart/form-data; boundary=x", BodyMode.BUFFER),
    ],
)
async def test_only_uploads_that_no_rule_reads_are_streamed(
    bench: Bench, target: str, kind: str, mode: BodyMode
) -> None:
    """Handlers and body rules need the whole body."""
    headers = Headers([("Authorization", f"Bearer {bench.token}"), ("Content-Type", kind)])
    request = Request("POST", target.replace("{a}", bench.account.id), headers)
    x = bench.gateway.begin(request, Entry("reverse", "http", "gw", 80, "127.0.0.1"))
    await bench.gateway.admit(x)
    assert request_mode(x) is mode


@pytest.mark.parametrize(
    ("cookie", "expected"),
    [
        ("a=b; auth_id=123; c=d", "123"),
        ('a={"b": [1, 2]}; auth_id="123"', "123"),
        ("auth_id=x", None),
        ("xauth_id=1", None),
        ("auth_id=\u0663", None),
        ("", None),
        (None, None),
        ("auth_id=1\x00", None),
    ],
)
def test_the_user_id_is_read_from_the_cookie(cookie: str | None, expected: str | None) -> None:
    """Digits only."""
    assert auth_cookie(cookie) == expected


async def test_errors_are_the_same_json_in_both_dialects(bench: Bench) -> None:
    """One way to read errors."""
    raw, envelope = await bench.raw("acct_x/fans/active"), await bench.api("acct_x/fans/active")
    assert raw.body == envelope.body
    assert set(json.loads(raw.body)) == {"error", "message"}
