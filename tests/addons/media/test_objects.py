"""Copies in an S3 bucket: saved once, found by other machines, linked at the bucket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
from moto.server import ThreadedMotoServer

from addons.pipeline.exchange import Entry, Exchange, Headers, Request
from tests.addons.media.rig import Cdn, Rig, data_of, until

DATA = data_of(300_000)
PATH = "/files/a/x.jpg"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket on a server that speaks S3; its URL over HTTP."""
    import urllib.request

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    base = f"http://{host}:{port}"
    keys = {
        "ACCESS_KEY_ID": "key",
        "SECRET_ACCESS_KEY": "secret",
        "REGION": "us-east-1",
        "ENDPOINT": base,
        "ALLOW_HTTP": "true",
    }
    for name, value in keys.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    urllib.request.urlopen(urllib.request.Request(f"{base}/moto-api/reset", method="POST"))
    urllib.request.urlopen(urllib.request.Request(f"{base}/copies", method="PUT"))
    yield f"{base}/copies"
    server.stop()


async def swapped(rig: Rig, path: str) -> str:
    x = Exchange("1", Entry("reverse", "http", "gw.test", 80, "127.0.0.1"), Request("GET", "/", Headers()), 0.0)
    body = await rig.media.swap(f'"https://cdn1.onlyfans.com{path}?Signature=n"'.encode(), x)
    return body.decode().strip('"')


async def test_a_copy_goes_to_the_bucket(
    make_rig: Callable[..., Rig], cdn: Cdn, bucket: str, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """The bytes are there before any link is, presigned links open them, and this machine keeps none."""
    cdn.files[PATH] = DATA
    async with make_rig(store="s3://copies/media") as rig:
        async with rig.stream(http, PATH) as answer:
            assert await answer.read() == DATA
        await until(lambda: rig.cached(PATH))
        assert list(rig.media.files.root.glob("blobs/*/*")) == list(rig.media.files.root.glob("parts/*")) == []
        link = await swapped(rig, PATH)
        assert link.startswith(f"{bucket}/media/f/")
        assert "X-Amz-Signature" in link
        async with http.get(link) as answer:
            assert answer.status == 200
            assert answer.content_type == "image/jpeg"
            assert await answer.read() == DATA
        async with http.get(rig.link(PATH)) as answer:  # the gateway's own links (scrape) lead there
            assert await answer.read() == DATA
            assert str(answer.url).startswith(bucket)
        async with http.get(link.partition("?")[0].rsplit("/", 1)[0] + "/" + "0" * 64) as answer:
            assert answer.status in (403, 404)


async def test_another_machine_finds_the_copy(
    make_rig: Callable[..., Rig], cdn: Cdn, bucket: str, tmp_path: Path
) -> None:
    """A machine with an empty index asks the bucket before the CDN."""
    cdn.files[PATH] = DATA
    async with make_rig(store="s3://copies/media") as one:
        one.media.filler.seen([one.key(PATH)], one.account_id)
        await until(lambda: one.cached(PATH))
    async with make_rig(store="s3://copies/media", dir=str(tmp_path / "other")) as two:
        assert not two.cached(PATH)
        two.media.filler.seen([two.key(PATH)], two.account_id)
        await until(lambda: two.cached(PATH))
    assert len(cdn.gets(PATH)) == 1


async def test_links_point_at_the_buckets_cdn(make_rig: Callable[..., Rig], cdn: Cdn, bucket: str) -> None:
    """With `media.public_url` the link is below it, under a name that nobody can guess from the content."""
    import hashlib

    cdn.files[PATH] = DATA
    async with make_rig(store="s3://copies/media", public_url="https://cdn.fansapi.com") as rig:
        rig.media.filler.seen([rig.key(PATH)], rig.account_id)
        await until(lambda: rig.cached(PATH))
        link = await swapped(rig, PATH)
    assert link.startswith("https://cdn.fansapi.com/f/")
    assert hashlib.sha256(DATA).hexdigest() not in link
    assert "?" not in link


async def test_a_bucket_that_is_down_leaves_no_copy(
    make_rig: Callable[..., Rig], cdn: Cdn, http: aiohttp.ClientSession, bucket: str
) -> None:
    """Nothing counts as cached that the bucket did not take."""
    cdn.files[PATH] = DATA
    async with make_rig(store="s3://no-such-bucket/media") as rig:
        async with rig.stream(http, PATH) as answer:
            assert await answer.read() == DATA
        assert not rig.cached(PATH)
        await until(lambda: rig.media.transfers.trouble is not None)
        health = await rig.media.health() or ""
        assert "media.store" in health
        assert "http" not in health


async def test_what_is_removed_leaves_the_bucket(
    make_rig: Callable[..., Rig], cdn: Cdn, http: aiohttp.ClientSession, bucket: str
) -> None:
    """Pointer and bytes go, so that links end and nobody finds it again; bytes that another file shares stay."""
    other = "/files/a/y.jpg"
    cdn.files[PATH] = cdn.files[other] = DATA
    async with make_rig(store="s3://copies/media") as rig:
        rig.media.filler.seen([rig.key(PATH), rig.key(other)], rig.account_id)
        await until(lambda: rig.cached(PATH) and rig.cached(other))
        objects, index = rig.media.objects, rig.media.files.index
        assert objects is not None
        link = await swapped(rig, PATH)
        for path, shared in ((PATH, True), (other, False)):
            copy = index.get(rig.key(path).text)
            assert copy is not None
            assert objects.holds(copy)
            rig.media.files.remove(rig.key(path).text)
            await asyncio.to_thread(objects.remove, copy, shared=index.holds(copy.sha256))
            assert objects.find(copy.id) is None
            assert objects.holds(copy) is shared
        async with http.get(link) as answer:
            assert answer.status == 404
