"""A CDN whose behaviour the test decides, and a media service in front of it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.secrets import SecretBox
from tests.addons.media.rig import Cdn, Rig
from tests.addons.media.uploading import Upstream

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


@pytest.fixture
def upstream(rig: Rig, cdn: Cdn) -> Upstream:
    """What the account's login reaches: storage and converter are the CDN's server; `received` is what came there."""
    made = Upstream(cdn, rig.account_id)
    rig.services.parts["upstream"] = made
    received: dict[str, Any] = {}

    async def act(request: web.Request, data: bytes) -> web.StreamResponse | None:
        if request.method == "PUT":
            body = await request.read()
            received.update(put=body, length=request.headers.get("Content-Length"))
            return web.Response(headers={"ETag": f'"{hashlib.md5(body).hexdigest()}"'})
        if request.path == "/file/upload":
            received.update(
                host=request.headers["Host"], cookie=request.headers.get("Cookie"), form=dict(await request.post())
            )
            return web.json_response({"processId": "p1", "host": "convert1.onlyfans.com"})
        return None

    cdn.act = act
    made.received = received  # type: ignore[attr-defined]
    return made
