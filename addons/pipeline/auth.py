"""Who asks, and for which account. Keys and accounts are read at most once a second: revoking works within that time.

While the store does not answer, what it last said goes on for a while: answers that come from upstream need no more.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog
from cachetools import TTLCache

from addons.pipeline.errors import Forbidden, NotFound, Unauthorized
from addons.pipeline.exchange import AccountContext, Headers, Principal
from addons.pipeline.patience import Shared
from ofapi_store.errors import StoreError

log = structlog.get_logger(__name__)

FRESH_S = 1.0
WAIT_S = 1.0  # longest wait for the store where an older answer will do
KEEP_S = 600.0  # how long what was read last counts while the store does not answer
UNKNOWN_ACCOUNT = "This account does not exist. `GET /accounts` lists the accounts that your API key may use."
Found = Principal | AccountContext | None
Key = tuple[str | frozenset[str] | None, ...]
_SCOPE = {"GET": "read", "HEAD": "read", "OPTIONS": "read", "DELETE": "delete"}


class Directory(Protocol):
    """Where teams, keys and accounts are found."""

    async def principal(self, token_hash: str) -> Principal | None: ...

    async def account(self, account_id: str) -> AccountContext | None: ...

    async def account_of_user(self, onlyfans_id: str, team_id: str | None) -> AccountContext | None: ...

    async def only_account(self, team_id: str, allowed: frozenset[str] | None) -> AccountContext | None: ...


class CachedDirectory:
    """A directory whose answers are kept for a second, the negative ones too.

    Positive ones are kept for ten minutes more, for as long as the store does not answer. Many who ask for one thing at
    once share one read.
    """

    def __init__(self, source: Directory, *, timer: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._cache: TTLCache[Key, Found] = TTLCache(20_000, FRESH_S, timer=timer)
        self._reads: Shared[Key, Found] = Shared()
        self._age = 0
        self._last: TTLCache[Key, Principal | AccountContext] = TTLCache(20_000, KEEP_S, timer=timer)

    async def principal(self, token_hash: str) -> Principal | None:
        found = await self._get(("key", token_hash), lambda: self._source.principal(token_hash))
        return found if isinstance(found, Principal) else None

    async def account(self, account_id: str) -> AccountContext | None:
        found = await self._get(("account", account_id), lambda: self._source.account(account_id))
        return found if isinstance(found, AccountContext) else None

    async def account_of_user(self, onlyfans_id: str, team_id: str | None) -> AccountContext | None:
        key = ("user", onlyfans_id, team_id)
        found = await self._get(key, lambda: self._source.account_of_user(onlyfans_id, team_id))
        return found if isinstance(found, AccountContext) else None

    async def only_account(self, team_id: str, allowed: frozenset[str] | None) -> AccountContext | None:
        found = await self._get(("only", team_id, allowed), lambda: self._source.only_account(team_id, allowed))
        return found if isinstance(found, AccountContext) else None

    def forget(self) -> None:
        """Drop everything: for changes of this process that must show at once."""
        self._age += 1
        self._reads.forget()
        self._cache.clear()
        self._last.clear()

    async def _get(self, key: Key, read: Callable[[], Awaitable[Found]]) -> Found:
        try:
            return self._cache[key]
        except KeyError:
            pass
        last = self._last.get(key)
        try:
            found = await self._reads.get(key, lambda: self._fresh(key, read), WAIT_S if last is not None else None)
        except StoreError as e:
            if last is None:
                raise
            log.warning("using what the store last said", of=key[0], error=type(e).__name__)
            found = self._cache[key] = last
        return found

    async def _fresh(self, key: Key, read: Callable[[], Awaitable[Found]]) -> Found:
        age = self._age
        found = await read()
        if age != self._age:  # what was read may be from before a change that must show
            return found
        self._cache[key] = found
        if found is None:
            self._last.pop(key, None)
        else:
            self._last[key] = found
        return found


def bearer_token(headers: Headers) -> str | None:
    """The API key of a request: `Authorization: Bearer <key>`, or `X-API-Key: <key>` for tools that cannot set that."""
    value = headers.get("authorization")
    if value is not None:
        scheme, *token = value.split(None, 1)[:2] or [""]
        return token[0].strip() if token and scheme.lower() == "bearer" else None
    return headers.get("x-api-key")


async def authenticate(headers: Headers, directory: Directory) -> Principal:
    """The team and key of a request. Raises Unauthorized, the same for an absent, unknown and revoked key."""
    token = bearer_token(headers)
    if token is None:
        raise Unauthorized
    digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
    found = await directory.principal(digest)
    if found is None:
        raise Unauthorized
    return found


def check_key(principal: Principal) -> None:
    """Raises Forbidden for the token of a client session."""
    if principal.key.client_session is not None:
        raise Forbidden("A client session's token may only start and follow its one login. Use an API key.")


def check_scope(principal: Principal, method: str) -> None:
    """Raises Forbidden unless the key may use `method`: GET needs read, DELETE delete, all else write."""
    needed = _SCOPE.get(method, "write")
    if needed not in principal.key.scopes:
        has = ", ".join(sorted(principal.key.scopes)) or "no"
        raise Forbidden(f"This API key has {has} permission; {method} needs {needed}. Use a key that has it.")


def unknown_account() -> NotFound:
    """One error for an account that does not exist and for one of another team: the difference must not show."""
    return NotFound(UNKNOWN_ACCOUNT, code="account_not_found")


def check_account(principal: Principal, account: AccountContext | None) -> AccountContext:
    """The account, if the key may use it. Raises NotFound for other teams' accounts, Forbidden for a restricted key."""
    if account is None or account.team_id != principal.team.id:
        raise unknown_account()
    allowed = principal.key.account_ids
    if allowed is not None and account.id not in allowed:
        raise Forbidden(f"This API key is restricted to other accounts; {account.id} is not one of them.")
    return account
