"""Requests to upstream during a login: no account yet, so no pacing and no rules, but the same headers and proxy."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any

import aiohttp

from addons.logins.authenticator import LoginUnavailable
from addons.net.address_check import AddressPolicy, GuardedConnector, refused
from addons.pipeline import upstream
from addons.pipeline.exchange import Headers, Login, UpstreamRequest
from addons.pipeline.upstream_errors import read_error

if TYPE_CHECKING:
    from addons.config import Config

API = "/api2/v2"


class ProxyRefused(Exception):
    """The proxy that the client named is at an address that must not be reached."""


@dataclass(frozen=True, slots=True)
class Reply:
    """`cookies`: set by this answer. `code`, `message`: of upstream's error object."""

    status: int
    body: Any = field(repr=False)
    cookies: Mapping[str, str] = field(repr=False)
    code: int | None = None
    message: str = ""
    challenged: bool = False


class LoginClient:
    """One request at a time, each over a connection of its own.

    Args:
        config: upstream and time limits.
        proxy_url: of the account; one that a client named may not lead to a private address.
    """

    def __init__(self, config: Config, proxy_url: str | None) -> None:
        self.user_agent = config.upstream.user_agent
        self._config = config
        self._proxy = proxy_url
        self._signer = upstream.load_signer(config.upstream.signer)

    async def send(self, method: str, path: str, session: Mapping[str, str], body: Any = None) -> Reply:
        """Raises LoginUnavailable, ProxyRefused."""
        headers = Headers([("Accept", "application/json, text/plain, */*"), ("Accept-Encoding", "gzip, deflate")])
        login = Login("", session.get("cookies", ""), session.get("user_agent", ""), session.get("xbc", ""))
        upstream.add_login(headers, login, self.user_agent)
        payload = None if body is None else json.dumps(body).encode()
        if payload is not None:
            headers.set("Content-Type", "application/json")
        request = UpstreamRequest(method, self._config.upstream.base_url + API + path, headers, payload, self._proxy)
        if self._signer is not None:
            await upstream.sign(request, self._signer)
        try:
            async with asyncio.timeout(self._config.auth.request_timeout_s):
                return await self._exchange(request)
        except (aiohttp.ClientError, TimeoutError, OSError) as e:
            if refused(e) is not None:
                raise ProxyRefused from None
            raise LoginUnavailable(f"OnlyFans cannot be reached: {type(e).__name__}") from None

    async def _exchange(self, request: UpstreamRequest) -> Reply:
        limit = self._config.limits.max_body_bytes
        async with (
            aiohttp.ClientSession(connector=self._connector(), cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.request(
                request.method,
                request.url,
                headers=request.headers.items(),
                data=request.body,
                proxy=self._proxy,
                allow_redirects=False,
            ) as answer,
        ):
            data = bytearray()
            async for chunk in answer.content.iter_any():
                data += chunk
                if len(data) > limit:
                    raise LoginUnavailable("OnlyFans sent too large an answer", 60)
            return _reply(answer, bytes(data))

    def _connector(self) -> aiohttp.TCPConnector:
        tls = ssl.create_default_context()
        if self._config.upstream.ca_file is not None:
            tls.load_verify_locations(self._config.upstream.ca_file)
        trusted = {str(url) for url in self._config.auth.proxies.values()}
        if self._proxy is None or self._proxy in trusted:
            return aiohttp.TCPConnector(ssl=tls, force_close=True)
        policy = AddressPolicy.of(map(str, self._config.network.allow_private))
        return GuardedConnector(policy, ssl=tls, force_close=True)


def _reply(answer: aiohttp.ClientResponse, data: bytes) -> Reply:
    try:
        body = json.loads(data, parse_float=Decimal) if data else None
    except (ValueError, RecursionError):
        body = None
    code, message = read_error(data)
    challenged = answer.headers.get("cf-mitigated") == "challenge" or (answer.status == 403 and body is None)
    cookies = _cookies(answer.headers.getall("Set-Cookie", []))
    return Reply(answer.status, body, cookies, code, (message or "")[:200], challenged)


def _cookies(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        try:
            parsed = SimpleCookie(line)
        except CookieError:
            continue
        found.update({name: morsel.value for name, morsel in parsed.items()})
    return found


def merged(cookies: str, new: Mapping[str, str]) -> str:
    """A Cookie header with those that an answer set; an empty value removes one."""
    pairs = dict(p.strip().partition("=")[::2] for p in cookies.split(";") if "=" in p)
    pairs.update(new)
    return "; ".join(f"{name}={value}" for name, value in pairs.items() if value)
