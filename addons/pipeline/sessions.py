"""Account states that traffic shows: upstream refused the login, or takes it again."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import structlog

from ofapi_store.queries import accounts

if TYPE_CHECKING:
    from addons.pipeline.auth import CachedDirectory
    from addons.pipeline.exchange import AccountContext
    from addons.pipeline.services import Services

log = structlog.get_logger(__name__)


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
            changed = await self._services.store.awrite(accounts.set_state, account.id, state, when=when)
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
