"""Requests to the CDN: whose login and proxy they carry, and where they never go."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp import web

from addons.config import Config
from addons.media.fetch import BadStatus, CdnClient, FetchFailed, Source, failure
from addons.pipeline.exchange import Login
from tests.addons.media.rig import Cdn

URL = "https://cdn2.onlyfans.com/a%20b.jpg?Signature=x~y"


def account_of(login: Login | None) -> Callable[[str], object]:
    async def find(account_id: str) -> object:
        return SimpleNamespace(login=login)

    return find


async def test_the_login_of_the_account_goes_along(cdn: Cdn) -> None:
    """Its user agent and cookies, the URL's own host, and path and query exactly as signed."""
    login = Login("7", "sess=1", "agent/1", "x")
    client = CdnClient(Config.build({"media": {"upstream_base_url": cdn.base}}), account_of(login))  # type: ignore[arg-type]
    async with client.request(Source(URL, "acct_1"), headers={"Range": "bytes=0-1"}) as answer:
        assert answer.status == 404
    await client.close()
    method, target, headers = cdn.log[0]
    assert (method, target) == ("GET", "/a%20b.jpg?Signature=x~y")
    assert headers["Host"] == "cdn2.onlyfans.com"
    assert headers["User-Agent"] == "agent/1"
    assert headers["Cookie"] == "sess=1"
    assert headers["Range"] == "bytes=0-1"
    assert headers["Accept-Encoding"] == "identity"


async def test_the_proxy_of_the_account_is_used(cdn: Cdn) -> None:
    """A signature may be bound to the address of the account's proxy: the fetch leaves from there."""
    login = Login("7", "", "agent/1", "x", proxy_url=cdn.base)
    config = Config.build({"media": {"upstream_base_url": "http://cdn.test"}})
    client = CdnClient(config, account_of(login))  # type: ignore[arg-type]
    async with client.request(Source(URL, "acct_1")) as answer:
        assert answer.status == 404
    await client.close()
    assert cdn.log[0][1].startswith("http://cdn.test/a%20b.jpg")


async def test_the_proxy_may_be_on_the_own_network(cdn: Cdn) -> None:
    """It was judged when it was named; an operator's VPN container is at a private address."""
    login = Login("7", "", "agent/1", "x", proxy_url=cdn.base)
    client = CdnClient(Config.build(), account_of(login))  # type: ignore[arg-type]
    async with client.request(Source("http://cdn2.onlyfans.com/x.jpg", "acct_1")) as answer:
        assert answer.status == 404
    with pytest.raises(FetchFailed, match="refused"):
        async with client.request(Source(f"{cdn.base}/x.jpg")):
            pass
    await client.close()
    assert len(cdn.log) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "10.0.0.1", "169.254.169.254"])
async def test_private_addresses_are_refused(host: str) -> None:
    """Whatever a CDN name resolves to: only public addresses are connected to, and trying again is of no use."""
    client = CdnClient(Config.build(), account_of(None))  # type: ignore[arg-type]
    with pytest.raises(FetchFailed) as caught:
        async with client.request(Source(f"https://{host}/x.jpg")):
            pass
    await client.close()
    assert (caught.value.kind, caught.value.retry) == ("refused", False)


async def test_redirects_are_not_followed(cdn: Cdn) -> None:
    """The answer is the redirect; its target sees nothing."""

    async def act(request: web.Request, data: bytes) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": f"{cdn.base}/elsewhere"})

    cdn.act = act
    client = CdnClient(Config.build({"media": {"upstream_base_url": cdn.base}}), account_of(None))  # type: ignore[arg-type]
    async with client.request(Source(URL)) as answer:
        assert BadStatus(answer.status).redirect
    await client.close()
    assert len(cdn.log) == 1


async def test_a_closed_port_may_be_tried_again() -> None:
    """Outages are no refusals."""
    config = Config.build({"media": {"upstream_base_url": "http://127.0.0.1:9"}})
    client = CdnClient(config, account_of(None))  # type: ignore[arg-type]
    with pytest.raises(FetchFailed) as caught:
        async with client.request(Source(URL)):
            pass
    await client.close()
    assert (caught.value.kind, caught.value.retry) == ("connect", True)


@pytest.mark.parametrize(
    ("status", "retry"), [(403, False), (404, False), (301, False), (408, True), (429, True), (503, True)]
)
def test_which_statuses_may_pass(status: int, retry: bool) -> None:
    """A refusal is final for this URL, an outage is not."""
    assert BadStatus(status).retry is retry


def test_failures_do_not_show_urls() -> None:
    """A signed URL is a secret: neither text nor repr of errors and sources holds it."""
    assert "Signature" not in str(failure(aiohttp.ClientPayloadError(URL)))
    assert "Signature" not in repr(Source(URL, "a"))
    assert failure(TimeoutError()).kind == "timeout"
