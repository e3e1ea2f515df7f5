"""What cannot be served at all is refused before anything else, always as JSON."""

from __future__ import annotations

import pytest

from addons.pipeline.exchange import Entry
from ofapi_store import testing
from tests.addons.pipeline.harness import Bench, json_answer


@pytest.mark.parametrize(
    ("method", "target", "status", "code"),
    [
        # methods
        ("BREW", "/whoami", 405, "method_not_allowed"),
        ("TRACE", "/{a}/fans/active", 405, "method_not_allowed"),
        ("PATCH", "/whoami", 405, "method_not_allowed"),
        ("POST", "/api/accounts", 405, "method_not_allowed"),
        ("POST", "/_ofapi/health", 405, "method_not_allowed"),
        # paths
        ("GET", "/{a}/../whoami", 400, "bad_request"),
        ("GET", "/{a}/%2e%2e/whoami", 400, "bad_request"),
        ("GET", "/{a}/x%00y", 400, "bad_request"),
        ("GET", "/{a}/x%zzy", 400, "bad_request"),
        ("GET", "/_ofapi/%2e%2e/x", 400, "bad_request"),
        # nothing there
        ("GET", "/nothing", 404, "route_not_found"),
        ("GET", "/api/nothing/here", 404, "route_not_found"),
        ("GET", "/apiary/whoami", 404, "route_not_found"),
        ("GET", "/{a}", 404, "route_not_found"),
        ("GET", "/_ofapi/secrets", 404, "route_not_found"),
        ("GET", "/go/01J", 404, "route_not_found"),
        ("GET", "/", 404, "route_not_found"),
        # too long
        ("GET", "/whoami?" + "q" * 17_000, 414, "uri_too_long"),
    ],
)
async def test_bad_requests_get_their_code(bench: Bench, method: str, target: str, status: int, code: str) -> None:
    """One table of methods, paths and lengths."""
    got = await bench.call(method, target)
    assert (got.status, got.json["error"]) == (status, code)
    assert got.headers.get("content-type") == "application/json"
    assert bench.sent == []
    if status == 405:
        assert got.headers.get("allow")


async def test_headers_over_the_limit_are_a_431(bench: Bench) -> None:
    """70 KB of headers, in one field or in many."""
    for headers in ({"X-Big": "a" * 70_000}, {f"X-{n}": "a" * 1000 for n in range(70)}):
        got = await bench.raw("whoami", headers=headers)
        assert (got.status, got.json["error"]) == (431, "headers_too_large")


async def test_mounts_choose_the_dialect(bench: Bench) -> None:
    """`/api` is the envelope, the root is raw, spelled or encoded."""
    assert (await bench.raw("{a}/x/y")).json == {}
    assert set((await bench.raw("api/{a}/x/y")).json) == {"data", "_meta"}
    assert set((await bench.raw("%61pi/{a}/x/y")).json) == {"data", "_meta"}


async def test_absolute_targets_are_read_as_paths(bench: Bench) -> None:
    """A proxy may send `http://host/path`."""
    got = await bench.call("GET", "http://gw.test/api/whoami")
    assert got.status == 200


async def test_requests_straight_to_upstream_match_by_upstream_path(bench: Bench) -> None:
    """The regular proxy: same rule, raw dialect, account by header or by the user id in the client's cookie."""
    entry = Entry("proxy_upstream", "https", "onlyfans.com", 443, "127.0.0.1")
    target = "/api2/v2/subscriptions/subscribers?type=active&limit=3"
    got = await bench.call("GET", target, entry=entry, headers={"X-OFAPI-Account": bench.account.id})
    assert got.exchange.rule_id == "fans-active"
    assert bench.sent[0].url == f"https://up.test{target}"
    cookie = {"Cookie": f"auth_id={bench.account.onlyfans_id}; sess=theirs"}
    await bench.call("GET", target, entry=entry, headers=cookie)
    assert bench.sent[1].headers.get("cookie", "").startswith("sess=s")
    assert "x-ofapi-account" not in bench.sent[0].headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"X-OFAPI-Account": "acct_other"}, 404), ({"Cookie": "auth_id=1"}, 404)],
)
async def test_the_proxy_needs_an_account_of_the_team(bench: Bench, headers: dict[str, str], status: int) -> None:
    """No account, no login: nothing goes up."""
    entry = Entry("proxy_upstream", "https", "onlyfans.com", 443, "127.0.0.1")
    got = await bench.call("GET", "/api2/v2/users/me", entry=entry, headers=headers)
    assert got.status == status
    assert bench.sent == []


async def test_a_key_of_one_account_need_not_name_it(bench: Bench) -> None:
    """With several, the error says how to name one."""
    entry = Entry("proxy_upstream", "https", "onlyfans.com", 443, "127.0.0.1")
    got = await bench.call("GET", "/api2/v2/users/me", entry=entry)
    assert (got.status, got.exchange.account and got.exchange.account.id) == (200, bench.account.id)
    with bench.store.write() as conn:
        testing.make_account(conn, bench.team.id)
    bench.gateway.parts.directory.forget()
    got = await bench.call("GET", "/api2/v2/users/me", entry=entry)
    assert (got.status, list(got.json["errors"])) == (422, ["X-OFAPI-Account"])
    assert len(bench.sent) == 1


async def test_sessions_of_their_own_need_permission(bench: Bench) -> None:
    """Without `proxy.allow_sessions` a client's cookies are no credential."""
    entry = Entry("proxy_upstream", "https", "onlyfans.com", 443, "127.0.0.1")
    cookie = {"Cookie": f"auth_id={bench.account.onlyfans_id}; sess=theirs"}
    got = await bench.call("GET", "/api2/v2/users/me", entry=entry, headers=cookie, token=None)
    assert got.status == 401


async def test_a_stranger_with_a_session_of_its_own_gets_upstreams_answer(bench: Bench) -> None:
    """With `proxy.allow_sessions`: its own cookies go up, and without an account of ours nothing is added."""
    proxy = bench.gateway.parts.config.proxy.model_copy(update={"allow_sessions": True})
    bench.gateway.parts.config = bench.gateway.parts.config.model_copy(update={"proxy": proxy})
    entry = Entry("proxy_upstream", "https", "onlyfans.com", 443, "127.0.0.1")
    target = "/api2/v2/subscriptions/subscribers?type=active"
    bench.upstream = lambda _: json_answer({"list": [{"id": 1}]}, Set_Cookie="sess=new")
    for user, edits in (("1", 0), (bench.account.onlyfans_id, 1)):
        bench.gateway.parts.directory.forget()
        cookie = {"Cookie": f"auth_id={user}; sess=theirs", "sign": "s"}
        got = await bench.call("GET", target, entry=entry, headers=cookie, token=None)
        assert (got.status, len(got.exchange.edits)) == (200, edits)
        assert bench.sent[-1].headers.get("cookie") == cookie["Cookie"]
        assert bench.sent[-1].headers.get("sign") == "s"
        assert got.headers.get("set-cookie") == "sess=new"
