"""Account states that traffic shows: upstream refused the login, or takes it again."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from ofapi_store.queries import accounts

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from addons.pipeline.auth import CachedDirectory
    from addons.pipeline.exchange import AccountContext
    from addons.pipeline.services import Services

log = structlog.get_logger(__name__)

WRITE_S = 2.0


OnAccountState = Callable[["Connection", str, str], None]
"""`services.parts["on_account_state"]`: `(conn, account_id, state)`, called in the transaction that changed the state, so
that what follows from it (webhook events) is written with its cause."""


def add_on_account_state(services: Services, hook: OnAccountState) -> None:
    """Registers one more: those that are there run first."""
    before: OnAccountState | None = services.parts.get("on_account_state")

    def both(conn: Connection, account_id: str, state: str) -> None:
        if before is not None:
            before(conn, account_id, state)
        hook(conn, account_id, state)

    services.parts["on_account_state"] = both


def set_state(
    conn: Connection,
    account_id: str,
    state: str,
    *,
    when: tuple[str, ...],
    hook: OnAccountState | None,
    now: datetime,
) -> bool:
    """The change and what follows from it, in one transaction. False: another caller was first."""
    changed = accounts.set_state(conn, account_id, state, when=when, now=now)
    if changed and hook is not None:
        hook(conn, account_id, state)
    return changed


class Sessions:
    """Writes state changes once, and tells `services.parts["events"]` (`async session_changed(account, state)`)."""

    def __init__(self, services: Services, directory: CachedDirectory) -> None:
        self._services = services
        self._directory = directory

    async def expired(self, account: AccountContext) -> None:
        """Upstream said that nobody is logged in."""
        await self._change(account, "session_expired", ("authenticated",))

    async def alive(self, account: AccountContext) -> None:
        """Upstream answered an account that was marked."""
        await self._change(account, "authenticated", ("session_expired",))

    async def _change(self, account: AccountContext, state: str, when: tuple[str, ...]) -> None:
        try:
            hook, now = self._services.parts.get("on_account_state"), self._services.clock()
            async with asyncio.timeout(WRITE_S):  # an answer waits for this
                changed = await self._services.store.awrite(set_state, account.id, state, when=when, hook=hook, now=now)
        except Exception as e:
            log.error("account state not written", account=account.id, state=state, error=type(e).__name__)
            return
        self._directory.forget()
        if not changed:
            return
        log.warning("account session changed", account=account.id, state=state)
        events = self._services.parts.get("events")
        if events is not None:
            told = events.session_changed(account, state)
            if inspect.isawaitable(told):
                await told
