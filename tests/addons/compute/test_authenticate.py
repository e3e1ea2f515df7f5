"""addons/compute/authenticate: shapes, fields and rights of `/authenticate…`; upstream is never asked here."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.queries import accounts
from ofapi_store.secrets import SecretBox
from tests.addons.pipeline.harness import Bench, Got, make_bench

RULES = (Path(__file__).resolve().parents[3] / "rules" / "accounts.yaml").read_text(encoding="utf-8")
LOGIN = {"email": "new@example.test", "password": "planted-secret"}
SESSION = {"auth_type": "raw_data", "auth_id": "5", "cookies": "sess=1", "user_agent": "UA", "xbc": "x"}


@pytest.fixture
async def bench(sqlite_store: Store, secret_box: SecretBox, tmp_path: Path) -> AsyncIterator[Bench]:
    config = {"upstream": {"base_url": "https://up.test"}, "public_url": "https://gw.test"}
    made = make_bench(sqlite_store, secret_box, tmp_path, rules=RULES, config=config)
    yield made
    assert made.sent == []
    await made.gateway.close()


async def send(bench: Bench, method: str, path: str, body: Any = None, **options: Any) -> Got:
    data = json.dumps(body).encode() if body is not None else None
    headers = {"Content-Type": "application/json", **options.pop("headers", {})}
    return await bench.call(method, path, body=data, headers=headers, **options)


async def start(bench: Bench, **body: Any) -> dict[str, Any]:
    got = await send(bench, "POST", "/api/authenticate", body)
    assert got.status == 200, got.body
    found: dict[str, Any] = got.json
    return found


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_start_and_poll_are_bare(bench: Bench, prefix: str) -> None:
    """Contract 9.1, 9.2: the polling URL is of the dialect that was spoken."""
    started = (await send(bench, "POST", f"{prefix}/authenticate", LOGIN)).json
    assert set(started) == {"attempt_id", "message", "polling_url"}
    assert started["polling_url"] == f"https://gw.test{prefix}/authenticate/{started['attempt_id']}"
    polled = (await send(bench, "GET", f"{prefix}/authenticate/{started['attempt_id']}")).json
    assert (polled["state"], polled["progress"]) == ("authenticating", "started")
    assert set(polled["lastAttempt"]) >= {"started_at", "completed_at", "success", "error_code", "error_message"}
    assert "planted" not in str(polled)


async def test_a_pending_account_is_listed(bench: Bench) -> None:
    """Not authenticated, without user name and user data (contract 9.5)."""
    await start(bench, **LOGIN)
    pending = (await send(bench, "GET", "/api/accounts")).json[-1]
    assert (pending["is_authenticated"], pending["onlyfans_username"]) == (False, None)
    assert (pending["display_name"], pending["authentication_progress"]) == ("new@example.test", "started")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"email", "password"}),
        ({"auth_type": "magic"}, {"auth_type"}),
        ({"auth_type": "raw_data", "auth_id": "5"}, {"cookies", "user_agent", "xbc"}),
        ({**LOGIN, "force_connect": "maybe"}, {"force_connect"}),
        ({**LOGIN, "proxyCountry": "fr"}, {"proxyCountry"}),
        ({**LOGIN, "customProxy": {"host": "p.test"}}, {"customProxy.port"}),
        ({"email": {"a": 1}, "password": 5}, {"email", "password"}),
        ([], {"body"}),
    ],
)
async def test_wrong_fields_are_named(bench: Bench, body: Any, fields: set[str]) -> None:
    """422 with every wrong field; no account is made."""
    got = await send(bench, "POST", "/api/authenticate", body)
    assert (got.status, set(got.json["errors"])) == (422, fields)
    assert len((await send(bench, "GET", "/api/accounts")).json) == 1


async def test_restricted_keys_connect_nothing(bench: Bench) -> None:
    """A key for some accounts cannot make others, and does not see attempts of others."""
    with bench.store.write() as conn:
        key = testing.make_key(conn, bench.team.id, account_ids=[bench.account.id])
    assert (await send(bench, "POST", "/api/authenticate", LOGIN, token=key.token)).status == 403
    attempt = (await start(bench, **LOGIN))["attempt_id"]
    assert (await send(bench, "GET", f"/api/authenticate/{attempt}", token=key.token)).status == 404


async def test_codes_at_the_wrong_time(bench: Bench) -> None:
    """409 while none is wanted; 422 for what is no code; 404 for attempts that do not exist."""
    attempt = (await start(bench, **LOGIN))["attempt_id"]
    got = await send(bench, "PUT", f"/api/authenticate/{attempt}", {"code": "123456"})
    assert (got.status, got.json["error"]) == (409, "not_waiting")
    for body in ({}, {"code": "!"}, {"code": "123456", "selfie_verification_completed": True}):
        assert (await send(bench, "PUT", f"/api/authenticate/{attempt}", body)).status == 422
    assert (await send(bench, "PUT", "/api/authenticate/auth_none", {"code": "123456"})).status == 404
    got = await send(bench, "POST", f"/api/authenticate/{attempt}/send-email-to-creator")
    assert (got.status, got.json["error"]) == (409, "not_waiting")


async def test_connected_already(bench: Bench) -> None:
    """409 naming the account; with force the login is for that account."""
    body = {**SESSION, "auth_id": bench.account.onlyfans_id}
    got = await send(bench, "POST", "/api/authenticate", body)
    assert (got.status, got.json["error"]) == (409, "ACCOUNT_ALREADY_CONNECTED")
    assert bench.account.id in got.json["message"]
    attempt = (await start(bench, **body, force_connect=True))["attempt_id"]
    polled = (await send(bench, "GET", f"/api/authenticate/{attempt}")).json
    assert polled["account"]["id"] == bench.account.id


async def test_reauthenticate(bench: Bench) -> None:
    """A login with what is kept; a second one meanwhile is 409; without anything kept the text says what to send."""
    got = await send(bench, "POST", f"/api/authenticate/{bench.account.id}/reauthenticate")
    assert (got.status, set(got.json)) == (200, {"success", "message", "polling_url"})
    assert (await send(bench, "POST", f"/api/authenticate/{bench.account.id}/reauthenticate")).status == 409
    with bench.store.write() as conn:
        bare = accounts.create(conn, bench.team.id, display_name="No login", state="session_expired")
    got = await send(bench, "POST", f"/api/authenticate/{bare.id}/reauthenticate")
    assert (got.status, got.json["error"]) == (409, "no_credentials")
    assert "/credentials" in got.json["message"]
    got = await send(bench, "PUT", f"/api/authenticate/{bare.id}/credentials", LOGIN)
    assert (got.status, got.json["success"]) == (200, True)
    assert (await send(bench, "PUT", f"/api/authenticate/{bare.id}/credentials", {"email": "x"})).status == 422


async def test_other_teams_accounts(bench: Bench) -> None:
    """Reauthentication of another team's account is as of an unknown one."""
    with bench.store.write() as conn:
        foreign = testing.make_account(conn, testing.make_team(conn).id, box=bench.box)
    bodies = []
    for account in (foreign.id, "acct_unknown"):
        got = await send(bench, "POST", f"/api/authenticate/{account}/reauthenticate")
        bodies.append((got.status, got.json["error"], got.json["message"]))
    assert bodies[0] == bodies[1]
    assert bodies[0][0] == 404


async def test_an_account_waits_for_its_login(bench: Bench) -> None:
    """While a dead account is logged in again, its requests are 503 SERVICE_UNAVAILABLE at once."""
    with bench.store.write() as conn:
        accounts.set_state(conn, bench.account.id, "session_expired")
    await send(bench, "POST", f"/api/authenticate/{bench.account.id}/reauthenticate")
    got = await bench.api("{a}/chats")
    assert (got.status, got.json["error"]) == (503, "SERVICE_UNAVAILABLE")


async def test_mobile_app_has_a_link(bench: Bench) -> None:
    """In the answer, and in polls while it is pending."""
    started = await start(bench, auth_type="mobile_app")
    link = started["mobile_auth_session_deeplink"]
    assert link.startswith("https://gw.test/connect/ofapi_cs_")
    polled = (await send(bench, "GET", f"/api/authenticate/{started['attempt_id']}")).json
    assert polled["mobile_auth_session_deeplink"] == link
