"""Signed URLs to export files: who holds one may read it until it ends, in parts too."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from addons.exports.files import ExportFiles
from addons.exports.serve import ExportServer
from addons.pipeline.errors import ApiError
from addons.pipeline.exchange import Entry, Headers, Request, UpstreamRequest
from ofapi_store.engine import Store
from ofapi_store.secrets import SecretBox
from tests.addons.exports.bench import done, export_bench, file_of, put, served, show, transactions
from tests.addons.pipeline.harness import Bench

ENTRY = Entry("reverse", "http", "gw.test", 8080, "127.0.0.1")


@pytest.fixture
async def bench(sqlite_store: Store, secret_box: SecretBox, tmp_path: Path) -> AsyncIterator[Bench]:
    made = export_bench(sqlite_store, secret_box, tmp_path)
    put(made, "transactions", transactions(3))
    yield made
    await made.gateway.close()


@pytest.fixture
async def server(bench: Bench) -> AsyncIterator[ExportServer]:
    started = await served(bench)
    bench.services.parts.setdefault("mounts", {})["internal/exports"] = started.hop
    yield started
    await started.stop()


async def hop(bench: Bench, url: str, method: str = "GET", **headers: str) -> UpstreamRequest:
    """What the gateway asks of the file server for that URL; the path is all that counts."""
    target = "/" + url.split("/", 3)[3]
    x = bench.gateway.begin(Request(method, target, Headers(headers.items()), None), ENTRY)
    await bench.gateway.admit(x)
    await bench.gateway.prepare(x)
    if x.response is not None:
        raise ApiError(x.response.status, "answered", x.response.body.decode())
    assert x.upstream is not None
    return x.upstream


async def fetch(asked: UpstreamRequest) -> tuple[int, aiohttp.ClientResponse, bytes]:
    async with aiohttp.ClientSession() as session:
        async with session.request(asked.method, asked.url, headers=asked.headers.items()) as answer:
            return answer.status, answer, await answer.read()


async def test_whole_part_and_head(bench: Bench, server: ExportServer) -> None:
    """Without an API key; Range is passed on; nothing is cached or sniffed on the way."""
    shown = await done(bench)
    content = file_of(bench, shown).read_bytes()
    status, answer, body = await fetch(await hop(bench, shown["download_url"]))
    assert (status, body) == (200, content)
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{shown["id"]}.csv"'
    assert answer.headers["Cache-Control"] == "private, no-store"
    status, answer, body = await fetch(await hop(bench, shown["download_url"], Range="bytes=3-6"))
    assert (status, body) == (206, content[3:7])
    status, answer, body = await fetch(await hop(bench, shown["download_url"], "HEAD"))
    assert (status, answer.headers["Content-Length"], body) == (200, str(len(content)), b"")


@pytest.mark.parametrize(
    ("headers", "status", "part"),
    [
        ({"Range": "bytes=-4"}, 206, slice(-4, None)),
        ({"Range": "bytes=5-"}, 206, slice(5, None)),
        ({"Range": "bytes=999999-"}, 416, slice(0, 0)),
        # what is no range of this kind is not there (RFC 9110)
        ({"Range": "bytes=0-1,4-5"}, 200, slice(None)),
        ({"Range": "bytes=5-3"}, 200, slice(None)),
        ({"Range": "items=0-1"}, 200, slice(None)),
        ({"Range": "bytes=x"}, 200, slice(None)),
        ({"Range": "bytes=0-1", "If-Range": '"another"'}, 200, slice(None)),
        ({"Range": "bytes=0-1", "If-Range": "{etag}"}, 206, slice(0, 2)),
        ({"If-None-Match": "{etag}"}, 304, slice(0, 0)),
    ],
)
async def test_parts(bench: Bench, server: ExportServer, headers: dict[str, str], status: int, part: slice) -> None:
    """One range is sent, several are not; a part of another file is never joined to one that was begun."""
    shown = await done(bench)
    content = file_of(bench, shown).read_bytes()
    _, whole, _ = await fetch(await hop(bench, shown["download_url"]))
    asked = {name: value.replace("{etag}", whole.headers["ETag"]) for name, value in headers.items()}
    got, answer, body = await fetch(await hop(bench, shown["download_url"], **asked))
    assert (got, body) == (status, content[part])
    assert answer.headers["Accept-Ranges"] == "bytes"


async def test_links_end_when_asked(bench: Bench, server: ExportServer) -> None:
    """`download_url_expires_in` minutes after the read; 410 says that a fresh URL helps."""
    shown = await done(bench)
    url = (await show(bench, shown["id"], download_url_expires_in=60))["download_url"]
    ends = int(url.split("/exports/")[1].split(".")[0], 16)
    assert abs(ends - time.time() - 3600) < 10
    files = ExportFiles(bench.services.config.exports.dir, bench.services.config.secret_keys())
    with bench.store.read() as conn:
        from ofapi_store.queries import exports

        row = exports.by_id(conn, shown["id"])
    assert row is not None
    old = f"http://gw/_ofapi{files.link(row, int(time.time()) - 1)}"
    status, _, body = await fetch(await hop(bench, old))
    assert status == 410
    assert b"link_expired" in body


@pytest.mark.parametrize("change", ["end", "team", "type", "key", "traversal"])
async def test_what_was_not_signed_is_not_found(bench: Bench, server: ExportServer, change: str) -> None:
    """A changed part of the link, another key, a path upwards: 404 in JSON."""
    shown = await done(bench)
    url: str = shown["download_url"]
    if change == "end":
        url = url.replace("/exports/", "/exports/f")
    elif change == "team":
        url = url.replace(bench.team.id, "team_other")
    elif change == "type":
        url = url.removesuffix("csv") + "zip"
    elif change == "traversal":
        url = url.rsplit("/", 2)[0] + "/%2e%2e/secret.csv"
    else:
        with bench.store.read() as conn:
            from ofapi_store.queries import exports

            row = exports.by_id(conn, shown["id"])
        assert row is not None
        forged = ExportFiles(bench.services.config.exports.dir, ["another key"]).link(row, int(time.time()) + 60)
        url = f"http://gw/_ofapi{forged}"
    try:
        status, _, body = await fetch(await hop(bench, url))
    except ApiError as e:
        assert (change, e.status) == ("traversal", 400)
        return
    assert status == 404
    assert b"not_found" in body


async def test_only_reading(bench: Bench, server: ExportServer) -> None:
    """Other methods: 405 naming those that work."""
    shown = await done(bench)
    with pytest.raises(ApiError) as e:
        await hop(bench, shown["download_url"], "DELETE")
    assert e.value.status == 405
