"""Readers of a file that is still being fetched, by this process or another."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from addons.media.links import file_id
from tests.addons.media.rig import Cdn, Rig, data_of, halfway, until

DATA = data_of(700_000)
PATH = "/files/a/x.jpg"


async def test_two_processes_cost_one_upstream_request(
    make_rig: Callable[..., Rig], cdn: Cdn, http: aiohttp.ClientSession
) -> None:
    """A second process follows the part that the first one writes."""
    cdn.files[PATH] = DATA
    rest = asyncio.Event()
    cdn.act = halfway(rest)
    async with make_rig() as one, make_rig() as two:
        first = asyncio.create_task(one.read_all(http, PATH))
        await until(lambda: one.media.files.part(file_id(one.key(PATH).text)).exists())
        async with two.stream(http, PATH) as answer:
            half = await answer.content.readexactly(len(DATA) // 2)
            rest.set()
            assert half + await answer.content.read() == DATA
        assert await first == DATA
    assert len(cdn.gets(PATH)) == 1


async def test_the_end_of_another_processs_fetch_is_no_break(
    make_rig: Callable[..., Rig], cdn: Cdn, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the move of a finished part and its row in the index, a follower of unknown length waits."""
    cdn.files[PATH] = DATA
    rest = asyncio.Event()

    async def act(request: web.Request, data: bytes) -> web.StreamResponse:
        answer = web.StreamResponse()
        answer.enable_chunked_encoding()
        await answer.prepare(request)
        await answer.write(data[:1000])
        await rest.wait()
        await answer.write(data[1000:])
        return answer

    cdn.act = act
    async with make_rig() as one, make_rig() as two:
        cache = one.media.files.index._cache
        real = cache.set

        def late(*args: Any, **more: Any) -> Any:
            time.sleep(0.3)
            return real(*args, **more)

        monkeypatch.setattr(cache, "set", late)
        first = asyncio.create_task(one.read_all(http, PATH))
        await until(lambda: one.media.files.part(file_id(one.key(PATH).text)).exists())
        async with two.stream(http, PATH) as answer:
            half = await answer.content.readexactly(1000)
            rest.set()
            assert half + await answer.content.read() == DATA
        assert await first == DATA


async def test_a_slow_reader_holds_up_nobody(rig: Rig, cdn: Cdn, http: aiohttp.ClientSession) -> None:
    """While one client still reads what was fetched for it, the finished copy is open to all, and is not evicted."""
    cdn.files[PATH] = data_of(30_000_000)
    async with rig.stream(http, PATH) as slow:
        await rig.saved(PATH)
        async with http.get(rig.link(PATH), headers={"Range": "bytes=0-9"}) as answer:
            assert answer.status == 206
        assert len(await rig.read_all(http, PATH)) == 30_000_000
        assert rig.media.files.evict(1) == 0
        assert await slow.read() == cdn.files[PATH]
    await until(lambda: rig.media.files.evict(1) > 0)


async def test_the_first_byte_does_not_wait_for_the_last(rig: Rig, cdn: Cdn, http: aiohttp.ClientSession) -> None:
    """Bytes go on to the client as they arrive, also to one that comes late."""
    cdn.files[PATH] = DATA
    rest = asyncio.Event()
    cdn.act = halfway(rest)
    async with rig.stream(http, PATH) as early:
        await early.content.readexactly(len(DATA) // 2)
        async with rig.stream(http, PATH) as late:
            await late.content.readexactly(len(DATA) // 2)
            rest.set()
            assert DATA.endswith(await late.content.read())
        await early.content.read()
    assert len(cdn.gets(PATH)) == 1
