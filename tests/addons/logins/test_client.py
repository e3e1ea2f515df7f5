"""addons/logins/client: what goes up, through which proxy, and how much of an answer is read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from addons.config import Config
from addons.logins.authenticator import LoginUnavailable
from addons.logins.client import LoginClient, ProxyRefused, merged

SESSION = {"cookies": "sess=1", "user_agent": "UA/1", "xbc": "bc"}


class Echo:
    """Keeps what was asked; works as an HTTP proxy, too."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, str], bytes]] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.seen.append((str(request.url), dict(request.headers), await request.read()))
        if request.path.endswith("/large"):
            return web.Response(body=b"x" * 300_000)
        return web.json_response({"ok": True})


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    found = Echo()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", found.handle)
    async with TestServer(app) as server:
        found.url = str(server.make_url("")).rstrip("/")
        yield found


def config(echo: Echo, **sections: Any) -> Config:
    return Config.build({"upstream": {"base_url": echo.url}, **sections})


async def test_what_goes_up(echo: Echo) -> None:
    """Cookies, user agent and x-bc of the session; the body as JSON."""
    reply = await LoginClient(config(echo), None).send("POST", "/users/login", SESSION, {"email": "a"})
    assert (reply.status, reply.body) == (200, {"ok": True})
    url, headers, body = echo.seen[0]
    assert url == f"{echo.url}/api2/v2/users/login"
    assert (headers["Cookie"], headers["User-Agent"], headers["x-bc"]) == ("sess=1", "UA/1", "bc")
    assert body == b'{"email": "a"}'


async def test_answers_have_a_limit(echo: Echo) -> None:
    """An answer over `limits.max_body_bytes` is not read to its end."""
    client = LoginClient(config(echo, limits={"max_body_bytes": 1000}), None)
    with pytest.raises(LoginUnavailable, match="too large"):
        await client.send("GET", "/large", SESSION)


async def test_private_proxies_of_clients_are_refused(echo: Echo) -> None:
    """A proxy on loopback is connected to only where config names it or allows the address."""
    up = {"upstream": {"base_url": "http://onlyfans.test"}}
    with pytest.raises(ProxyRefused):
        await LoginClient(Config.build(up), echo.url).send("GET", "/users/me", SESSION)
    assert echo.seen == []
    for allowed in ({"auth": {"proxies": {"us": echo.url}}}, {"network": {"allow_private": ["127.0.0.0/8"]}}):
        made = Config.build({**up, **allowed})
        proxy = str(made.auth.proxies.get("us", echo.url))
        assert (await LoginClient(made, proxy).send("GET", "/users/me", SESSION)).status == 200
    assert {url for url, _, _ in echo.seen} == {"http://onlyfans.test/api2/v2/users/me"}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", {"sess": "1"}, "sess=1"),
        ("sess=1; a=b", {"sess": "2"}, "sess=2; a=b"),
        ("sess=1; a=b=c", {"sess": ""}, "a=b=c"),
    ],
)
def test_merged_cookies(old: str, new: dict[str, str], expected: str) -> None:
    """New ones replace old ones of the same name; an empty one goes."""
    assert merged(old, new) == expected
