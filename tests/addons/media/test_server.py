"""Cached files by link: conditions, ranges, headers, and who may open what."""

from __future__ import annotations

import asyncio
import hashlib
import resource
import time
from collections.abc import Callable

import aiohttp
import pytest

from tests.addons.media.rig import Cdn, Rig, data_of, until

DATA = data_of(200_000)
PATH = "/files/a/x.jpg"
TAG = f'"{hashlib.sha256(DATA).hexdigest()}"'
MODIFIED = "Mon, 01 Jan 2024 00:00:00 GMT"


@pytest.fixture
async def full(rig: Rig, cdn: Cdn, http: aiohttp.ClientSession) -> Rig:
    """A rig with one cached file."""
    cdn.files[PATH] = DATA
    async with rig.stream(http, PATH) as answer:
        await answer.read()
    await rig.saved(PATH)
    return rig


async def test_a_file_is_sent_with_what_clients_need(full: Rig, http: aiohttp.ClientSession) -> None:
    """GET and HEAD agree; type, validators, caching and safety headers are there, no banner."""
    for method in ("GET", "HEAD"):
        async with http.request(method, full.link(PATH)) as answer:
            assert answer.status == 200
            assert await answer.read() == (DATA if method == "GET" else b"")
            head = answer.headers
            assert head["Content-Length"] == str(len(DATA))
            assert head["Content-Type"] == "image/jpeg"
            assert head["ETag"] == TAG
            assert head["Last-Modified"] == MODIFIED
            assert head["Accept-Ranges"] == "bytes"
            assert head["Cache-Control"].startswith("private, max-age=")
            assert head["X-Content-Type-Options"] == "nosniff"
            assert "sandbox" in head["Content-Security-Policy"]
            assert "Server" not in head


@pytest.mark.parametrize(
    ("sent", "span"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=10-19", (10, 20)),
        ("bytes=100000-", (100_000, 200_000)),
        ("bytes=-5", (199_995, 200_000)),
        ("bytes=-999999", (0, 200_000)),
        ("bytes=199999-999999", (199_999, 200_000)),
        ("bytes=7-" + "9" * 30, (7, 200_000)),
        ("bytes=-" + "9" * 5000, (0, 200_000)),
        ("Bytes = 3-4", (3, 5)),
    ],
)
async def test_single_and_suffix_ranges(
    full: Rig, http: aiohttp.ClientSession, sent: str, span: tuple[int, int]
) -> None:
    """206 with exactly the bytes asked for."""
    async with http.get(full.link(PATH), headers={"Range": sent}) as answer:
        assert answer.status == 206
        assert answer.headers["Content-Range"] == f"bytes {span[0]}-{span[1] - 1}/{len(DATA)}"
        assert answer.headers["Content-Length"] == str(span[1] - span[0])
        assert await answer.read() == DATA[span[0] : span[1]]


@pytest.mark.parametrize("sent", ["bytes=200000-", "bytes=999999-9999999", "bytes=-0", "bytes=" + "9" * 30 + "-"])
async def test_ranges_outside_of_the_file(full: Rig, http: aiohttp.ClientSession, sent: str) -> None:
    """416 with the size."""
    async with http.get(full.link(PATH), headers={"Range": sent}) as answer:
        assert answer.status == 416
        assert answer.headers["Content-Range"] == f"bytes */{len(DATA)}"


@pytest.mark.parametrize("sent", ["bytes=0-1,5-6", "bytes=5-3", "bytes=a-b", "items=0-1", "bytes=-", "bytes"])
async def test_ranges_that_are_not_understood(full: Rig, http: aiohttp.ClientSession, sent: str) -> None:
    """Several or malformed ranges: the whole file."""
    async with http.get(full.link(PATH), headers={"Range": sent}) as answer:
        assert answer.status == 200
        assert await answer.read() == DATA


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-None-Match": TAG}, 304),
        ({"If-None-Match": f'"x", W/{TAG}'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"x"'}, 200),
        ({"If-Modified-Since": MODIFIED}, 304),
        ({"If-Modified-Since": "Tue, 02 Jan 2024 00:00:00 GMT"}, 304),
        ({"If-Modified-Since": "Sun, 31 Dec 2023 00:00:00 GMT"}, 200),
        ({"If-Modified-Since": "nonsense"}, 200),
        # If-None-Match wins
        ({"If-None-Match": '"x"', "If-Modified-Since": MODIFIED}, 200),
        # If-Range
        ({"Range": "bytes=0-1", "If-Range": TAG}, 206),
        ({"Range": "bytes=0-1", "If-Range": MODIFIED}, 206),
        ({"Range": "bytes=0-1", "If-Range": '"x"'}, 200),
        ({"Range": "bytes=0-1", "If-Range": "Sun, 31 Dec 2023 00:00:00 GMT"}, 200),
    ],
)
async def test_conditions(full: Rig, http: aiohttp.ClientSession, headers: dict[str, str], status: int) -> None:
    """304 without a body where the client's copy is current."""
    async with http.get(full.link(PATH), headers=headers) as answer:
        assert answer.status == status
        body = await answer.read()
        assert answer.headers["ETag"] == TAG
        assert body == {304: b"", 200: DATA, 206: DATA[:2]}[status]


async def test_links_that_are_not_genuine(full: Rig, http: aiohttp.ClientSession) -> None:
    """A made-up, changed, foreign or ended link opens nothing; a guess cannot tell which files exist."""
    link = full.link(PATH)
    bodies = set()
    base, signature = full.media.server.base, link.split(".")[-2].split("/")[0]
    changed = link.replace(signature, signature[::-1])
    for url in (
        changed,
        link.replace("/f/", "/f/0"),
        f"{base}/f/{'0' * 32}/1.x/y",
        f"{base}/f/",
        f"{base}/",
        f"{link}/x",
    ):
        async with http.get(url) as answer:
            assert answer.status == 404
            bodies.add(await answer.text())
    assert len(bodies) == 1
    async with http.get(full.link(PATH, ends=int(time.time()) - 1)) as answer:
        assert answer.status == 410
    async with http.post(link) as answer:
        assert answer.status == 405
        assert (await answer.json())["error"] == "method_not_allowed"


async def test_public_links_have_no_end(full: Rig, http: aiohttp.ClientSession) -> None:
    """`public: true` is cacheable by all."""
    async with http.get(full.link(PATH, public=True)) as answer:
        assert answer.status == 200
        assert answer.headers["Cache-Control"].startswith("public")


async def test_a_link_ends_with_its_file(full: Rig, cdn: Cdn, http: aiohttp.ClientSession) -> None:
    """After eviction the link is dead, also when the file is cached again."""
    link = full.link(PATH)
    full.media.files.remove(full.key(PATH).text)
    async with http.get(link) as answer:
        assert answer.status == 404
    async with full.stream(http, PATH) as answer:
        await answer.read()
    await full.saved(PATH)
    async with http.get(link) as answer:
        assert answer.status == 404
    async with http.get(full.link(PATH)) as answer:
        assert answer.status == 200


async def test_large_files_take_no_memory(rig: Rig, cdn: Cdn, http: aiohttp.ClientSession) -> None:
    """Eight clients of a 100 MB file at once cost less than 20 MB."""
    from addons.media.index import Copy
    from addons.media.links import file_id

    key = rig.key("/big.mp4").text
    part = rig.media.files.part(file_id(key))
    with part.open("wb") as file:
        file.truncate(100_000_000)
    rig.media.files.adopt(
        key, Copy(file_id(key), "0" * 64, 100_000_000, "video/mp4", "s", time.time(), "big.mp4"), part
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    async def read() -> int:
        size = 0
        async with http.get(rig.link("/big.mp4")) as answer:
            async for chunk in answer.content.iter_chunked(1 << 16):
                size += len(chunk)
        return size

    assert await asyncio.gather(*(read() for _ in range(8))) == [100_000_000] * 8
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


async def test_a_client_that_leaves_frees_the_file(full: Rig, cdn: Cdn, make_rig: Callable[..., Rig]) -> None:
    """A broken-off answer leaves no open file that would keep eviction away."""
    async with aiohttp.ClientSession() as mine, mine.get(full.link(PATH)) as answer:
        await answer.content.readany()
    await until(lambda: full.media.files.evict(1) == len(DATA))


async def test_the_named_port_serves_links_only(make_rig: Callable[..., Rig], http: aiohttp.ClientSession) -> None:
    """What a CDN or nginx in front may reach opens links; streams and uploads are for the gateway."""
    import socket

    from addons.media.streaming import TICKET

    with socket.socket() as free:  # held, so that no other program is given that port
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        async with make_rig(port=port) as rig:
            async with http.get(f"http://127.0.0.1:{port}/stream", headers={TICKET: rig.ticket(PATH)}) as answer:
                assert answer.status == 404
            async with http.post(f"http://127.0.0.1:{port}/upload") as answer:
                assert answer.status == 404


async def test_a_taken_port_is_named(make_rig: Callable[..., Rig]) -> None:
    """What cannot be listened on, by the key that says so."""
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        rig = make_rig(port=port)
        with pytest.raises(OSError, match=rf"media\.port: cannot listen on 127\.0\.0\.1:{port}"):
            await rig.media.start()
        await rig.media.close()
