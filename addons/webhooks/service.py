"""What other parts tell webhooks through `services.parts`: observed rows and states of accounts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from addons.pipeline.ingesting import add_on_observed
from addons.pipeline.sessions import add_on_account_state
from addons.webhooks import payloads
from addons.webhooks.observed import ObservedEvents
from ofapi_store.queries import accounts, auth, events

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from addons.pipeline.services import Services

EVENT_OF_STATE: Mapping[str, str] = {
    "authenticated": "accounts.reconnected",
    "disconnected": "accounts.disconnected",
    "session_expired": "accounts.session_expired",
}


def account_event(
    conn: Connection,
    account_id: str,
    event: str,
    *,
    fact: str,
    attempt: Mapping[str, Any] | None = None,
    now: datetime | None = None,
) -> bool:
    """An `accounts.*` event with the account's state as it is stored; call it in the transaction that changed it.

    `fact`: what tells this change from others, for example the id of a login. `attempt`: see `payloads.account`.
    """
    row = accounts.by_id(conn, account_id)
    if row is None:
        return False
    body = payloads.account(row.state, row.authentication_progress, attempt)
    return events.emit(conn, row.team_id, event, fact, body, account_id=account_id, now=now)


class AccountStates:
    """`on_account_state`. The change itself is the fact: told twice, it is written once."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock

    def __call__(self, conn: Connection, account_id: str, state: str) -> None:
        row, event = accounts.by_id(conn, account_id), EVENT_OF_STATE.get(state)
        if row is not None and event is not None:
            fact = f"state:{state}:{row.updated_at:%Y%m%d%H%M%S%f}"
            account_event(conn, account_id, event, fact=fact, attempt=_last_login(conn, account_id), now=self._clock())


def _last_login(conn: Connection, account_id: str) -> dict[str, Any] | None:
    row = auth.last_of_account(conn, account_id)
    if row is None:
        return None
    return {**auth.last_attempt(row), "started_at": row.started_at, "completed_at": row.completed_at}


@asynccontextmanager
async def opened(services: Services) -> AsyncIterator[None]:
    """Registers what is told of observed rows and of accounts (`addons.assemble`)."""
    add_on_observed(services, ObservedEvents(services.clock))
    add_on_account_state(services, AccountStates(services.clock))
    yield
