"""States of accounts become events in the transaction that changed them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from addons.pipeline.auth import CachedDirectory
from addons.pipeline.directory import StoreDirectory
from addons.pipeline.sessions import Sessions
from addons.webhooks.catalogue import EVENTS as NAMES
from addons.webhooks.examples import EXAMPLES
from addons.webhooks.service import account_event, opened
from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.queries import accounts, auth
from ofapi_store.queries.events import EVENTS
from tests.addons.webhooks.conftest import Rig


def told(rig: Rig) -> list[tuple[str, str | None, dict[str, Any]]]:
    with rig.store.read() as conn:
        query = select(EVENTS.c.event, EVENTS.c.account_id, EVENTS.c.payload).order_by(EVENTS.c.id)
        return [(row.event, row.account_id, row.payload) for row in conn.execute(query)]


@pytest.fixture
def watched(store: Store, rig_of: Callable[..., Rig]) -> Rig:
    rig = rig_of(store)
    rig.hook("https://example.com/", events=list(NAMES))
    return rig


async def test_a_lost_and_a_found_session_are_told_each_time_once(watched: Rig) -> None:
    """However many requests see it; losing it again is another fact."""
    with watched.store.write() as conn:
        account = testing.make_account(conn, watched.team_id, box=watched.services.secrets)
    async with opened(watched.services):
        directory = StoreDirectory(watched.store, watched.services.secrets)
        sessions = Sessions(watched.services, CachedDirectory(directory))
        with watched.store.read() as conn:
            row = accounts.by_id(conn, account.id)
        assert row is not None
        context = directory.context(row)
        for step in (sessions.expired, sessions.alive, sessions.expired):
            watched.pass_time(seconds=1)
            await step(context)
            await step(context)
    found = told(watched)
    assert [event for event, _, _ in found] == [
        "accounts.session_expired",
        "accounts.reconnected",
        "accounts.session_expired",
    ]
    assert {account_id for _, account_id, _ in found} == {account.id}
    assert found[0][2]["state"] == "session_expired"


def test_a_login_is_told_with_its_attempt(watched: Rig) -> None:
    """The shape of the sample; the same attempt is told once."""
    with watched.store.write() as conn:
        account = testing.make_account(conn, watched.team_id)
        attempt = {"started_at": watched.now, "success": False, "error_message": "no", "needs_otp": True}
        for _ in range(2):
            account_event(
                conn, account.id, "accounts.authentication_failed", fact="auth:1", attempt=attempt, now=watched.now
            )
    ((event, _, payload),) = told(watched)
    assert event == "accounts.authentication_failed"
    assert payload.keys() == EXAMPLES[event].keys()
    assert payload["latestAuthAttempt"].keys() == EXAMPLES[event]["latestAuthAttempt"].keys()
    assert (payload["latestAuthAttempt"]["error_message"], payload["latestAuthAttempt"]["needs_otp"]) == ("no", True)


async def test_a_lost_session_names_the_login_that_made_it(watched: Rig) -> None:
    """`latestAuthAttempt` is the account's last login; without one, its fields are null."""
    with watched.store.write() as conn:
        ids = [testing.make_account(conn, watched.team_id).id for _ in range(2)]
        begun = auth.begin(conn, watched.team_id, ttl_s=60, now=watched.now, account_id=ids[0], method="raw_data")
        auth.fail(conn, begun, "session_invalid", "no such session", watched.now)
    async with opened(watched.services):
        for account_id in ids:
            with watched.store.write() as conn:
                watched.services.parts["on_account_state"](conn, account_id, "session_expired")
    failed, with_login, without = [payload["latestAuthAttempt"] for _, _, payload in told(watched)]
    assert failed == with_login
    assert with_login["error_message"] == "no such session"
    assert without["started_at"] is None
    assert with_login.keys() == without.keys() == EXAMPLES["accounts.session_expired"]["latestAuthAttempt"].keys()


def test_an_unknown_account_is_no_error(watched: Rig) -> None:
    """It may be gone when a late job tells of it."""
    with watched.store.write() as conn:
        assert not account_event(conn, "acct_none", "accounts.connected", fact="x")
