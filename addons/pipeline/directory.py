"""Teams, keys and accounts from the store, as the exchange shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from cachetools import LRUCache

from addons.pipeline.exchange import AccountContext, ApiKey, Login, Principal, Team
from ofapi_store.errors import SecretError
from ofapi_store.queries import accounts, auth_sessions, keys
from ofapi_store.types import now_utc

if TYPE_CHECKING:
    from addons.pipeline.patience import PatientStore
    from ofapi_store.engine import Store
    from ofapi_store.queries.accounts import AccountRow
    from ofapi_store.queries.teams import TeamRow
    from ofapi_store.secrets import SecretBox

log = structlog.get_logger(__name__)


class StoreDirectory:
    """Reads by primary or unique key. Opened logins are kept in memory by their ciphertext, so that a change shows."""

    def __init__(self, store: Store | PatientStore, secrets: SecretBox) -> None:
        self._store = store
        self._secrets = secrets
        self._logins: LRUCache[tuple[str, str | None], Login] = LRUCache(2048)

    async def principal(self, token_hash: str) -> Principal | None:
        found = await self._store.aread(keys.by_token_hash, token_hash)
        if found is None:
            return await self._client_session(token_hash)
        k = found.key
        key = ApiKey(k.id, k.name, k.team_id, k.created_at, k.last_used_at, k.account_ids, k.scopes)
        return Principal(_team(found.team), key)

    async def _client_session(self, token_hash: str) -> Principal | None:
        found = await self._store.aread(auth_sessions.with_team, token_hash, now_utc())
        if found is None:
            return None
        session, team = found
        scopes = frozenset({"read", "write"})
        key = ApiKey(
            session.id, session.display_name, team.id, session.created_at, None, frozenset(), scopes, session.id
        )
        return Principal(_team(team), key)

    async def account(self, account_id: str) -> AccountContext | None:
        row = await self._store.aread(accounts.by_id, account_id)
        return self.context(row) if row is not None and row.disconnected_at is None else None

    async def account_of_user(self, onlyfans_id: str, team_id: str | None) -> AccountContext | None:
        """The live account of an OnlyFans user in a team, or in the only team that has one."""
        if team_id is None:
            row = await self._store.aread(accounts.only_live_of_user, onlyfans_id)
        else:
            row = await self._store.aread(accounts.live_of_user, team_id, onlyfans_id)
        return self.context(row) if row is not None else None

    async def only_account(self, team_id: str, allowed: frozenset[str] | None) -> AccountContext | None:
        """The one live account that a key may use; None where there is none, or more than one."""
        rows = await self._store.aread(accounts.list_for_team, team_id, only=allowed, limit=2)
        return self.context(rows[0]) if len(rows) == 1 else None

    def context(self, row: AccountRow) -> AccountContext:
        """The row with its login opened; a login that no key opens is as none, and logged."""
        login = None
        if row.login is not None:
            try:
                login = self._login(row.login, row.proxy_url)
            except (SecretError, ValueError, KeyError) as e:
                log.error("login of an account cannot be read", account=row.id, error=type(e).__name__)
        return AccountContext(row.id, row.team_id, row.display_name, row.state, row.onlyfans_id, row.username, login)

    def _login(self, token: str, proxy: str | None) -> Login:
        key = (token, proxy)
        if key not in self._logins:
            found = self._secrets.decrypt_json(token)
            self._logins[key] = Login(
                str(found.get("auth_id") or ""),
                str(found["cookies"]),
                str(found.get("user_agent") or ""),
                str(found.get("xbc") or ""),
                self._secrets.decrypt(proxy) if proxy else None,
            )
        return self._logins[key]


def _team(row: TeamRow) -> Team:
    return Team(row.id, row.name, row.slug, row.requests_per_minute)
