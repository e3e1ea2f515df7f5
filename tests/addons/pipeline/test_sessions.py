"""Account states that traffic shows are written once."""

from __future__ import annotations

import asyncio

from addons.pipeline.sessions import Sessions
from ofapi_store.queries import accounts
from tests.addons.pipeline.harness import Bench


async def test_of_many_that_see_a_dead_session_one_writes_and_tells(both: Bench) -> None:
    """However many requests were under way."""
    told = []

    class Events:
        def session_changed(self, account: object, state: str) -> None:
            told.append(state)

    both.services.parts["events"] = Events()
    sessions = Sessions(both.services, both.gateway.parts.directory)
    account = await both.gateway.parts.directory.account(both.account.id)
    assert account is not None
    await asyncio.gather(*(sessions.expired(account) for _ in range(20)))
    assert told == ["session_expired"]


async def test_a_login_under_way_is_not_overwritten(both: Bench) -> None:
    """Only an authenticated account can expire."""
    sessions = Sessions(both.services, both.gateway.parts.directory)
    account = await both.gateway.parts.directory.account(both.account.id)
    assert account is not None
    with both.store.write() as conn:
        accounts.set_state(conn, both.account.id, "reauthenticating")
    await sessions.expired(account)
    with both.store.read() as conn:
        row = accounts.by_id(conn, both.account.id)
    assert row is not None
    assert row.state == "reauthenticating"
