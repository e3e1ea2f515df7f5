"""Keys and accounts: who may do what."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from addons.pipeline.auth import CachedDirectory, bearer_token
from addons.pipeline.exchange import AccountContext, ApiKey, Headers, Principal, Team
from ofapi_store.errors import StoreUnavailable


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ([("Authorization", "Bearer abc")], "abc"),
        ([("authorization", "bearer   abc ")], "abc"),
        ([("Authorization", "\tBEARER\tabc")], "abc"),
        ([("Authorization", "")], None),
        ([("Authorization", "Bearer")], None),
        ([("X-API-Key", "abc")], "abc"),
        ([("Authorization", "Basic abc"), ("X-API-Key", "abc")], None),
        ([("Authorization", "Bearer ")], None),
        ([("Authorization", "abc")], None),
        ([], None),
    ],
)
def test_the_token_of_a_request(headers: list[tuple[str, str]], token: str | None) -> None:
    """Authorization decides where it is sent; X-API-Key only without it."""
    assert bearer_token(Headers(headers)) == token


class Source:
    def __init__(self) -> None:
        self.reads = 0
        self.found: Any = None

    def _answer(self) -> Any:
        self.reads += 1
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    async def principal(self, token_hash: str) -> Principal | None:
        found: Principal | None = self._answer()
        return found

    async def account(self, account_id: str) -> AccountContext | None:
        self.reads += 1
        return None

    async def account_of_user(self, onlyfans_id: str, team_id: str | None) -> AccountContext | None:
        self.reads += 1
        return None

    async def only_account(self, team_id: str, allowed: frozenset[str] | None) -> AccountContext | None:
        self.reads += 1
        return None


async def test_answers_are_kept_for_a_second_the_negative_ones_too() -> None:
    """Guessing keys does not load the store; revoking works within a second."""
    now, source = [0.0], Source()
    directory = CachedDirectory(source, timer=lambda: now[0])
    for _ in range(3):
        await directory.principal("h")
        await directory.account("a")
    assert source.reads == 2
    now[0] = 1.01
    await directory.principal("h")
    assert source.reads == 3
    directory.forget()
    await directory.account("a")
    assert source.reads == 4


async def test_what_the_store_last_said_goes_on_while_it_is_down() -> None:
    """For ten minutes, and only what was found: an unknown key is not taken for a bad one, a revoked one stays revoked."""
    now, source = [0.0], Source()
    directory = CachedDirectory(source, timer=lambda: now[0])
    known = source.found = Principal(Team("t", "t", "t", 5), ApiKey("k", "k", "t", None, None, None, frozenset()))  # type: ignore[arg-type]
    assert await directory.principal("h") is known
    source.found = StoreUnavailable("down")
    for now[0] in (2.0, 300.0, 599.0):
        assert await directory.principal("h") is known
    with pytest.raises(StoreUnavailable):
        await directory.principal("another")
    now[0] = 601.0
    with pytest.raises(StoreUnavailable):
        await directory.principal("h")
    source.found = known
    await directory.principal("h")
    now[0], source.found = 603.0, None
    assert await directory.principal("h") is None
    now[0], source.found = 605.0, StoreUnavailable("down")
    with pytest.raises(StoreUnavailable):
        await directory.principal("h")


async def test_a_read_from_before_a_change_is_not_kept() -> None:
    """`forget` counts for what is under way, too."""
    gate = asyncio.Event()

    class Slow(Source):
        async def account(self, account_id: str) -> AccountContext | None:
            self.reads += 1
            if self.reads == 1:
                await gate.wait()
            return None

    source = Slow()
    directory = CachedDirectory(source)
    before = asyncio.create_task(directory.account("a"))
    await asyncio.sleep(0)
    directory.forget()
    await directory.account("a")
    gate.set()
    await before
    assert source.reads == 2
    directory.forget()
    await directory.account("a")
    assert source.reads == 3
