"""addons/logins/renewing: a dead session starts a login by itself, in the transaction that noticed it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from addons.logins.advance import advance
from addons.logins.renewing import Renewal
from addons.pipeline.sessions import set_state
from ofapi_store.engine import Store
from ofapi_store.queries import accounts, auth
from ofapi_store.queries.auth import AttemptRow
from tests.addons.logins.conftest import Desk

DeskOf = Callable[..., Desk]
ON = {"keep_credentials": True, "auto_reauthenticate": True}


def dies(desk: Desk, account_id: str) -> AttemptRow | None:
    """Upstream no longer knows the session; gives the login that this started."""
    with desk.services.store.write() as conn:
        hook = Renewal(desk.services)
        set_state(conn, account_id, "session_expired", when=("authenticated",), hook=hook, now=desk.clock.now)
        return auth.open_of_account(conn, account_id)


async def connected(desk: Desk) -> str:
    attempt = await desk.start()
    await advance(desk.services, attempt)
    return desk.account(attempt).id


async def test_kept_credentials_bring_it_back(store: Store, desk_of: DeskOf) -> None:
    """While the login runs the account says so; then it works again. Both databases."""
    desk = desk_of(store, auth=ON)
    account = await connected(desk)
    row = dies(desk, account)
    assert row is not None
    assert (row.automatic, desk.account(row.id).state) == (True, "reauthenticating")
    await advance(desk.services, row.id)
    assert desk.account(row.id).state == "authenticated"
    assert desk.works(row.id)
    assert desk.events()[-1] == "accounts.reconnected"


@pytest.mark.parametrize("settings", [{}, {"keep_credentials": True}, {"auto_reauthenticate": True}])
async def test_only_where_it_is_wanted_and_possible(
    sqlite_store: Store, desk_of: DeskOf, settings: dict[str, bool]
) -> None:
    """Without the setting, or without kept credentials, the account stays marked."""
    desk = desk_of(sqlite_store, auth=settings)
    account = await connected(desk)
    assert dies(desk, account) is None
    with sqlite_store.read() as conn:
        row = accounts.by_id(conn, account)
    assert row is not None
    assert row.state == "session_expired"


async def test_not_over_and_over(sqlite_store: Store, desk_of: DeskOf) -> None:
    """An account whose sessions die at once is logged in once a quarter of an hour."""
    desk = desk_of(sqlite_store, auth=ON)
    account = await connected(desk)
    first = dies(desk, account)
    assert first is not None
    await advance(desk.services, first.id)
    assert dies(desk, account) is None
    with sqlite_store.write() as conn:
        accounts.set_state(conn, account, "authenticated")
    desk.clock.go(minutes=16)
    assert dies(desk, account) is not None
