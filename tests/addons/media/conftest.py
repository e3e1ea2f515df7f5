"""A CDN whose behaviour the test decides, and a media service in front of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.secrets import SecretBox
from tests.addons.media.rig import Cdn, Rig

MakeRig = Callable[..., AbstractAsyncContextManager[Rig]]


@pytest.fixture
async def cdn() -> AsyncIterator[Cdn]:
    async with Cdn.serving() as running:
        yield running


@pytest.fixture
def ids(sqlite_store: Store, secret_box: SecretBox) -> Iterator[tuple[str, str]]:
    """(team, account) of a store."""
    with sqlite_store.write() as conn:
        team = testing.make_team(conn)
        account = testing.make_account(conn, team.id, box=secret_box)
    yield team.id, account.id


@pytest.fixture
def make_rig(
    cdn: Cdn, sqlite_store: Store, secret_box: SecretBox, ids: tuple[str, str], tmp_path: Path
) -> Callable[..., Rig]:
    """`async with make_rig(max_file_bytes=…) as rig`: a service whose `media:` section has these keys."""

    def make(**media: Any) -> Rig:
        return Rig.build(cdn, sqlite_store, secret_box, ids, tmp_path / "media", media)

    return make


@pytest.fixture
async def rig(make_rig: Callable[..., Rig]) -> AsyncIterator[Rig]:
    async with make_rig() as made:
        yield made


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with AsyncExitStack() as ends:
        yield await ends.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
