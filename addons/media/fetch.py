"""Requests to the CDN: through the account's login and proxy, to CDN hosts only, never following a redirect."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
from yarl import URL

from addons.net.address_check import AddressPolicy, GuardedConnector, refused

if TYPE_CHECKING:
    from addons.config import Config
    from addons.pipeline.exchange import AccountContext

MediaHead = aiohttp.ClientResponse


class FetchFailed(Exception):
    """The CDN gave no usable answer. `kind`: connect | timeout | closed | refused; `retry`: whether later may do."""

    def __init__(self, kind: str, detail: str, *, retry: bool = True) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail
        self.retry = retry


class BadStatus(Exception):
    """The CDN answered with something other than the file."""

    def __init__(self, status: int, retry_after_s: float | None = None) -> None:
        super().__init__(f"the CDN answered {status}")
        self.status = status
        self.retry_after_s = retry_after_s

    @property
    def redirect(self) -> bool:
        return 300 <= self.status < 400 and self.status != 304

    @property
    def retry(self) -> bool:
        """Whether the same URL may work later."""
        return self.status >= 500 or self.status in (408, 425, 429)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a file is fetched from, and whose account asks (None: a regular proxy's client without one)."""

    url: str
    account_id: str | None = None

    def __repr__(self) -> str:
        return f"Source(account_id={self.account_id!r})"  # the URL is a secret


AccountOf = Callable[[str], Awaitable["AccountContext | None"]]


class CdnClient:
    """One pool of connections to the CDN. Must be made inside the event loop that uses it, and closed."""

    def __init__(self, config: Config, account_of: AccountOf) -> None:
        self._base = config.media.upstream_base_url
        self._user_agent = config.upstream.user_agent
        self._account_of = account_of
        self._timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=config.upstream.connect_timeout_s, sock_read=config.upstream.read_timeout_s
        )
        context = ssl.create_default_context()
        if config.upstream.ca_file is not None:
            context.load_verify_locations(config.upstream.ca_file)
        connector = (  # an address that the operator wrote into config needs no check
            aiohttp.TCPConnector(ssl=context, limit=0)
            if self._base
            else GuardedConnector(
                AddressPolicy.of(config.network.allow_private), check_proxies=False, ssl=context, limit=0
            )  # an account's proxy was judged when it was named: the operator's may be on the own network
        )
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=self._timeout, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept-Encoding"), read_bufsize=2**18,
        )  # fmt: skip

    @asynccontextmanager
    async def request(
        self, source: Source, *, method: str = "GET", headers: dict[str, str] | None = None
    ) -> AsyncIterator[MediaHead]:
        """The CDN's answer, head only. The caller has checked that the URL is a media URL. Raises FetchFailed.

        Errors while the body is read are the caller's (`failure` translates them).
        """
        url = URL(source.url, encoded=True)
        sent = {"Accept": "*/*", "Accept-Encoding": "identity", "Referer": "https://onlyfans.com/", **(headers or {})}
        proxy = await self._identity(source, sent)
        if self._base:
            sent["Host"] = url.host or ""
            url = URL(self._base.rstrip("/") + url.raw_path_qs, encoded=True)
        try:
            response = await self._session.request(method, url, headers=sent, proxy=proxy, allow_redirects=False)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as e:
            raise failure(e) from e
        try:
            yield response
        finally:
            response.close() if not response.content.at_eof() else response.release()

    @asynccontextmanager
    async def send(
        self,
        method: str,
        url: str,
        account_id: str,
        *,
        data: Any,
        headers: dict[str, str] | None = None,
        ours: bool = False,
    ) -> AsyncIterator[MediaHead]:
        """A step of an upload: to a URL that upstream named, without cookies. `ours`: a host that config may stand in for.

        Raises FetchFailed.
        """
        account = await self._account_of(account_id)
        login = account.login if account else None
        sent = {"User-Agent": (login.user_agent if login else "") or self._user_agent, "Accept-Encoding": "identity"}
        sent.update(headers or {})
        target = URL(url, encoded=True)
        if ours and self._base:
            sent["Host"] = target.host or ""
            target = URL(self._base.rstrip("/") + target.raw_path_qs, encoded=True)
        try:
            response = await self._session.request(
                method, target, headers=sent, data=data, proxy=login.proxy_url if login else None, allow_redirects=False
            )
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as e:
            raise failure(e) from e
        try:
            yield response
        finally:
            response.release()

    async def _identity(self, source: Source, headers: dict[str, str]) -> str | None:
        """Adds the account's login; returns its proxy."""
        account = await self._account_of(source.account_id) if source.account_id else None
        login = account.login if account else None
        headers.setdefault("User-Agent", (login.user_agent if login else "") or self._user_agent)
        if login and login.cookies:
            headers["Cookie"] = login.cookies
        return login.proxy_url if login else None

    async def close(self) -> None:
        await self._session.close()


def failure(error: BaseException) -> FetchFailed:
    """What went wrong, without the URL."""
    if (found := refused(error)) is not None:
        return FetchFailed("refused", str(found.strerror), retry=False)
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return FetchFailed("timeout", "there was no answer in time")
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ClientProxyConnectionError):
        return FetchFailed("connect", error.os_error.strerror or type(error).__name__)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return FetchFailed("connect", f"the account's proxy answered {error.status}")
    return FetchFailed("closed", f"the answer broke off ({type(error).__name__})")
