"""`/whoami`, `/accounts` and disconnecting, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.queries import accounts
from ofapi_store.secrets import SecretBox
from tests.addons.pipeline.harness import Bench, make_bench


@pytest.fixture
async def bench(store: Store, secret_box: SecretBox, tmp_path: Path) -> AsyncIterator[Bench]:
    made = make_bench(store, secret_box, tmp_path)
    yield made
    await made.gateway.close()


async def test_whoami_is_bare_in_both_dialects(bench: Bench) -> None:
    """Contract 1.3: the key and the team; when the key was last used shows from the second request on."""
    first = (await bench.api("whoami")).json
    assert set(first) == {"api_key", "team"}
    assert first["team"] == {"name": bench.team.name, "slug": bench.team.slug}
    assert set(first["api_key"]) == {"name", "created_at", "last_used_at"}
    assert first["api_key"]["created_at"].endswith("+00:00")
    bench.gateway.parts.directory.forget()
    assert (await bench.raw("whoami")).json["api_key"]["last_used_at"] is not None


async def test_accounts_lists_the_teams_own(bench: Bench) -> None:
    """A bare array; another team's and disconnected ones are not in it; logins never are."""
    with bench.store.write() as conn:
        testing.make_account(conn, testing.make_team(conn).id)
        accounts.change(conn, bench.account.id, user_data={"id": 5, "name": "N"})
    (shown,) = (await bench.api("accounts")).json
    assert shown["id"] == bench.account.id
    assert (shown["is_authenticated"], shown["onlyfans_username"]) == (True, bench.account.username)
    assert shown["onlyfans_user_data"] == {"id": 5, "name": "N"}
    assert "sess=" not in str(shown)


@pytest.mark.parametrize(
    ("field", "attribute"),
    [("onlyfans_id", "onlyfans_id"), ("onlyfans_username", "username"), ("onlyfans_email", "email")],
)
async def test_accounts_can_be_filtered(bench: Bench, field: str, attribute: str) -> None:
    """By OnlyFans id, user name and e-mail."""
    value = getattr(bench.account, attribute)
    assert len((await bench.api(f"accounts?{field}={value}")).json) == 1
    assert (await bench.api(f"accounts?{field}=nobody")).json == []


async def test_disconnecting_wipes_the_login(bench: Bench) -> None:
    """Afterwards the account is unknown, and so is a second try; nothing reached upstream."""
    got = await bench.call("DELETE", "/api/accounts/{a}")
    assert (got.status, got.json["success"]) == (200, True)
    with bench.store.read() as conn:
        row = accounts.by_id(conn, bench.account.id)
    assert row is not None
    assert (row.login, row.state) == (None, "disconnected")
    for again in (await bench.call("DELETE", "/api/accounts/{a}"), await bench.raw("{a}/x/y")):
        assert (again.status, again.json["error"]) == (404, "account_not_found")
    assert bench.sent == []


async def test_another_teams_account_cannot_be_disconnected(bench: Bench) -> None:
    """404 as for an unknown one."""
    with bench.store.write() as conn:
        other = testing.make_account(conn, testing.make_team(conn).id)
    answers = [await bench.call("DELETE", f"/accounts/{i}") for i in (other.id, "acct_none")]
    assert {a.status for a in answers} == {404}
    assert answers[0].body == answers[1].body
    with bench.store.read() as conn:
        row = accounts.by_id(conn, other.id)
    assert row is not None
    assert row.disconnected_at is None
