"""Files that cannot be kept reach the client all the same, to their end."""

from __future__ import annotations

from collections.abc import Callable

import aiohttp
import pytest
from aiohttp import web

from tests.addons.media.rig import Cdn, Rig, answer_with, data_of

DATA = data_of(700_000)
PATH = "/files/a/x.jpg"


async def test_a_large_file_streams_without_a_copy(
    make_rig: Callable[..., Rig], cdn: Cdn, http: aiohttp.ClientSession
) -> None:
    """Above `media.max_file_bytes` the client still gets its bytes."""
    cdn.files[PATH] = DATA
    async with make_rig(max_file_bytes=100_000) as rig:
        assert await rig.read_all(http, PATH) == DATA
        assert not rig.cached(PATH)


async def test_a_full_disk_stops_filling_but_not_streaming(
    make_rig: Callable[..., Rig], cdn: Cdn, http: aiohttp.ClientSession
) -> None:
    """Below `media.min_free_bytes` nothing is saved and everything is served."""
    cdn.files[PATH] = DATA
    async with make_rig(min_free_bytes=2**60) as rig:
        assert await rig.read_all(http, PATH) == DATA
        assert not rig.cached(PATH)


async def test_the_disk_fills_up_on_the_way(
    rig: Rig, cdn: Cdn, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a write fails for lack of room, the client gets the rest straight from the CDN."""
    import errno
    import os

    cdn.files[PATH] = DATA
    real = os.pwrite

    def pwrite(fd: int, data: bytes, offset: int) -> int:
        if offset > 200_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data, offset)

    monkeypatch.setattr("addons.media.transfer.os.pwrite", pwrite)
    assert await rig.read_all(http, PATH) == DATA
    assert not rig.cached(PATH)


async def test_a_body_that_turns_out_too_large_is_streamed_to_its_end(
    make_rig: Callable[..., Rig], cdn: Cdn, http: aiohttp.ClientSession
) -> None:
    """Without a length nobody knows before: the copy is given up, the client gets the rest."""
    cdn.files[PATH] = DATA

    async def act(request: web.Request, data: bytes) -> web.StreamResponse | None:
        if "Range" in request.headers:
            return None
        answer = web.StreamResponse(headers=answer_with(request, data).headers)
        answer.enable_chunked_encoding()
        await answer.prepare(request)
        await answer.write(data)
        return answer

    cdn.act = act
    async with make_rig(max_file_bytes=200_000) as rig:
        assert await rig.read_all(http, PATH) == DATA
        assert not rig.cached(PATH)
    assert "Range" not in cdn.gets(PATH)[0]
    assert cdn.gets(PATH)[1]["Range"].startswith("bytes=")


async def test_a_page_of_html_goes_through_and_is_not_kept(rig: Rig, cdn: Cdn, http: aiohttp.ClientSession) -> None:
    """The client sees what the CDN says; the next one asks again."""

    async def act(request: web.Request, data: bytes) -> web.StreamResponse:
        return web.Response(text="<p>Log in", content_type="text/html")

    cdn.act = act
    async with rig.stream(http, PATH) as answer:
        assert (answer.status, await answer.text()) == (200, "<p>Log in")
    assert not rig.cached(PATH)
