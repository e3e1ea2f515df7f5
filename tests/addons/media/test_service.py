"""The service as the gateway uses it: swapping, links for each kind of client, rules that change."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace

import aiohttp
import pytest

from addons.media.links import file_id
from addons.pipeline.errors import ValidationFailed
from addons.pipeline.exchange import Entry, EntryKind, Exchange, Headers, Request, UpstreamRequest
from addons.pipeline.rule_models import MediaRules
from ofapi_store.queries import media as fills
from tests.addons.media.rig import Cdn, Rig, data_of

DATA = data_of(2000)
PATH = "/files/a/x.jpg"


def exchange(kind: EntryKind = "reverse", host: str = "gw.test", port: int = 8080, target: str = "/") -> Exchange:
    scheme = "https" if port in (443, 8443) else "http"
    return Exchange("1", Entry(kind, scheme, host, port, "127.0.0.1"), Request("GET", target, Headers()), 0.0)


def body(path: str = PATH, signature: str = "n") -> bytes:
    return f'{{"url":"https://cdn3.onlyfans.com{path}?Signature={signature}","n":1.10}}'.encode()


async def test_second_sight_is_swapped(rig: Rig, cdn: Cdn) -> None:
    """First the same object and a fill, then a link; the count is noted."""
    cdn.files[PATH] = DATA
    first, x = body(), exchange()
    assert await rig.media.swap(first, x) is first
    assert x.notes.swapped == 0
    await rig.saved(PATH)
    got = await rig.media.swap(body(signature="other"), x)
    assert got.startswith(b'{"url":"http://gw.test:8080/cdn/f/' + file_id(rig.key(PATH).text).encode())
    assert got.endswith(b'/x.jpg","n":1.10}')
    assert x.notes.swapped == 1


async def test_bodies_without_media_are_the_same_object(rig: Rig) -> None:
    """Also those with look-alikes."""
    for text in (b"{}", b'{"u":"https://cdn2.onlyfans.com.evil.test/x"}', b"\xff\x00", b""):
        assert await rig.media.swap(text, exchange()) is text


@pytest.mark.parametrize(
    ("kind", "host", "port", "root"),
    [
        ("reverse", "gw.test", 80, "http://gw.test/cdn"),
        ("reverse", "::1", 8080, "http://[::1]:8080/cdn"),
        ("proxy_api", "api.fansapi.com", 80, "http://api.fansapi.com/cdn"),
        # straight to upstream: its own name must not be in our links
        ("proxy_upstream", "onlyfans.com", 443, "https://api.fansapi.com/cdn"),
    ],
)
async def test_links_lead_back_the_way_the_client_came(
    rig: Rig, kind: EntryKind, host: str, port: int, root: str
) -> None:
    """Without `media.public_url` the gateway's own mount, as this client reaches it."""
    assert rig.media.public_root(exchange(kind, host, port).entry) == root


async def test_the_configured_root_wins(make_rig: Callable[..., Rig]) -> None:
    """`media.public_url` is for all."""
    async with make_rig(public_url="https://cdn.fansapi.com/") as rig:
        assert rig.media.public_root(exchange().entry) == "https://cdn.fansapi.com"


async def test_rules_take_effect_at_once(rig: Rig, cdn: Cdn) -> None:
    """New host patterns after a reload; nothing is media where no rule says so."""
    plan = SimpleNamespace(media=MediaRules(hosts=["media.other.test"]))
    rig.media._plan = lambda: plan  # type: ignore[assignment, return-value]
    with pytest.raises(ValidationFailed):
        rig.media.key("https://cdn2.onlyfans.com/x.jpg", "cdn_url")
    assert rig.media.key("https://media.other.test/x.jpg", "cdn_url").name == "x.jpg"
    plan.media = None
    with pytest.raises(ValidationFailed):
        rig.media.key("https://media.other.test/x.jpg", "cdn_url")


async def test_a_cdn_host_of_the_proxy(rig: Rig, cdn: Cdn) -> None:
    """Not cached: a ticket; cached: our copy; both by the file server."""
    cdn.files[PATH] = DATA
    x = exchange("proxy_cdn", "cdn2.onlyfans.com", 443, f"{PATH}?Signature=s")
    hop = await rig.media.cdn_host(x)
    assert isinstance(hop, UpstreamRequest)
    assert hop.internal
    assert hop.url.endswith("/stream")
    rig.media.filler.seen([rig.key(PATH)], None)
    await rig.saved(PATH)
    hop = await rig.media.cdn_host(
        exchange("proxy_cdn", "cdn2.onlyfans.com", 443, f"https://cdn2.onlyfans.com{PATH}?S=s")
    )
    assert isinstance(hop, UpstreamRequest)
    assert "/f/" in hop.url
    with pytest.raises(ValidationFailed):
        await rig.media.cdn_host(exchange("proxy_cdn", "cdn2.onlyfans.com", 443, "/"))
    for port in (80, 8443):  # other ports and plain HTTP are other servers
        with pytest.raises(ValidationFailed):
            await rig.media.cdn_host(exchange("proxy_cdn", "cdn2.onlyfans.com", port, f"{PATH}?Signature=s"))


async def test_use_is_noted(rig: Rig, cdn: Cdn) -> None:
    """A swap counts as use, so that what is shown is not what goes first."""
    cdn.files[PATH] = DATA
    rig.media.filler.seen([rig.key(PATH)], None)
    await rig.saved(PATH)
    import sqlite3

    with sqlite3.connect(rig.media.files.root / "index" / "cache.db") as db:
        db.execute("UPDATE Cache SET access_time = 5")
    db.close()
    await rig.media.swap(body(), exchange())
    rig.media.files.write_uses()
    assert rig.media.files.index.oldest(1)[0][2] > time.time() - 60


async def test_media_can_be_turned_off(make_rig: Callable[..., Rig], cdn: Cdn, http: aiohttp.ClientSession) -> None:
    """`media.enabled: false`: no swapping, no filling, no copies; downloads still work."""
    cdn.files[PATH] = DATA
    async with make_rig(enabled=False) as rig:
        assert "media_swap" not in rig.services.parts
        assert await rig.media.swap_own(body(), "", rig.account_id) == body()
        for headers in ({}, {"Range": "bytes=0-1"}):
            async with rig.stream(http, PATH, headers=headers) as answer:
                assert await answer.read() == (DATA[:2] if headers else DATA)
        assert not rig.cached(PATH)
        with rig.services.store.read() as conn:
            assert fills.counts(conn) == {}
