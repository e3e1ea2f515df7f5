"""Asking upstream on behalf of a connected account, for jobs: the same rules, login and observing as for requests.

One client per account: paced (contract 4), through the account's own proxy, patient with 429 and outages. Every body
of a rule that observes is stored, just as if a client had asked.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import structlog

from addons.jobs.pace import Pace
from addons.pipeline import phpquery, upstream
from addons.pipeline.auth import CachedDirectory
from addons.pipeline.directory import StoreDirectory
from addons.pipeline.exchange import AccountContext, Headers, Login, UpstreamRequest
from addons.pipeline.ingesting import ingest_sights
from addons.pipeline.observe import Sight
from addons.pipeline.sessions import Sessions
from addons.pipeline.upstream_errors import is_dead_session, read_error
from ofapi_store.queries import accounts

if TYPE_CHECKING:
    from addons.config import Config
    from addons.pipeline.plan import CompiledRule, Plan
    from addons.pipeline.services import Services

log = structlog.get_logger(__name__)

Query = Mapping[str, str | int | float | bool | None]


class UpstreamProblem(Exception):
    """Upstream gave no usable answer. The text says what it said."""


class SessionExpired(UpstreamProblem):
    """Upstream no longer knows the account's login; the account is marked."""


class Refused(UpstreamProblem):
    """Upstream said no (4xx): asking again will not help."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"upstream answered {status}: {message}")
        self.status = status


class Unavailable(UpstreamProblem):
    """Throttled, down or unreachable after all tries: later may work. `after_s`: a good time to wait."""

    def __init__(self, message: str, after_s: float) -> None:
        super().__init__(message)
        self.after_s = after_s


@dataclass(slots=True)
class Reply:
    """A 2xx answer; `body` is decoded of any compression."""

    status: int
    headers: Headers
    body: bytes

    def json(self) -> Any:
        """The body parsed. Raises Unavailable where it is no JSON: upstream sends HTML when it is in trouble."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            raise Unavailable("upstream answered with something that is no JSON", 60) from None


class UpstreamClient:
    """Requests of one account. Made by `UpstreamClients.of`."""

    def __init__(self, clients: UpstreamClients, account: AccountContext) -> None:
        self.account = account
        self._all = clients
        self._services = clients.services
        sync = self._services.config.sync
        self._attempts = sync.attempts
        self._backoff_max_s = sync.backoff_max_s
        self.requests = 0
        self.pace = Pace(
            min_interval_s=sync.min_interval_s, max_parallel=sync.max_parallel, backoff_max_s=sync.backoff_max_s
        )

    async def call(
        self, rule_id: str, params: Mapping[str, str] | None = None, query: Query | None = None, *, body: Any = None
    ) -> Reply:
        """Asks as rule `rule_id` would, `query` in the client's names, and stores what the rule observes.

        Raises KeyError for an unknown rule, and the UpstreamProblems.
        """
        rule = self._all.plan().by_id[rule_id]
        reply = await self.ask(*self.target(rule, params, query), body=body)
        if rule.observe:
            await ingest_sights(self._services, [self.sight(rule, params, reply)])
        return reply

    def rule(self, rule_id: str) -> CompiledRule:
        """The rule in force. Raises KeyError."""
        return self._all.plan().by_id[rule_id]

    def sight(self, rule: CompiledRule, params: Mapping[str, str] | None, reply: Reply) -> Sight:
        """What `observe` of the rule is fed with."""
        return Sight(self.account.team_id, self.account.id, rule, dict(params or {}), reply.body, time.time())

    def target(
        self, rule: CompiledRule, params: Mapping[str, str] | None = None, query: Query | str | None = None
    ) -> tuple[str, str]:
        """Method and upstream path with query; `query` is the client's, as a mapping or as text."""
        known = {"id": self.account.id, "username": self.account.username, "onlyfans_id": self.account.onlyfans_id}
        filled = dict(params or {}) | {f"account.{k}": v for k, v in known.items() if v}
        if rule.upstream is None:
            raise KeyError(rule.id)
        path = rule.upstream.path(filled)
        text = self._query(rule, filled, query or {})
        method = "GET" if rule.upstream.method == "*" else rule.upstream.method
        return method, f"{path}?{text}" if text else path

    async def ask(self, method: str, target: str, *, body: Any = None) -> Reply:
        """One request to upstream, tried again where that may help. `target`: path and query. Raises UpstreamProblem."""
        if self.account.login is None:
            raise SessionExpired(f"account {self.account.id} has no login; connect it again")
        safe = method in ("GET", "HEAD")
        for attempt in range(1, self._attempts + 1):
            try:
                async with self.pace.turn():
                    status, headers, data = await self._send(method, target, body)
            except (aiohttp.ClientError, TimeoutError, OSError) as e:
                if not safe or attempt == self._attempts:
                    raise Unavailable(f"upstream cannot be reached: {type(e).__name__}", 60) from e
                await asyncio.sleep(self._wait_s(attempt))
                continue
            if status == 429:
                pause = self.pace.refused(_retry_after_s(headers.get("retry-after")))
                log.info("upstream throttles", account=self.account.id, pause_s=round(pause, 1))
                continue
            self.pace.accepted()
            if status < 400:
                return Reply(status, headers, data)
            if status >= 500 and safe and attempt < self._attempts:
                await asyncio.sleep(self._wait_s(attempt))
                continue
            await self._refuse(status, data)
        raise Unavailable("upstream throttles this account (429)", self._backoff_max_s)

    async def _refuse(self, status: int, data: bytes) -> None:
        message = (read_error(data)[1] or "no explanation")[:200]
        if is_dead_session(status, data):
            await self._all.sessions.expired(self.account)
            raise SessionExpired(
                f"upstream refuses the login of {self.account.id}: {message}; connect the account again"
            )
        if status >= 500:
            raise Unavailable(f"upstream answered {status}", 60)
        raise Refused(status, message)

    async def _send(self, method: str, target: str, body: Any) -> tuple[int, Headers, bytes]:
        config, login = self._services.config, self.account.login
        assert login is not None
        headers = Headers([("Accept", "application/json, text/plain, */*"), ("Accept-Encoding", "gzip, deflate")])
        upstream.add_login(headers, login, config.upstream.user_agent)
        payload = None if body is None else orjson.dumps(body)
        if payload is not None:
            headers.set("Content-Type", "application/json")
        request = UpstreamRequest(method, config.upstream.base_url + target, headers, payload, login.proxy_url)
        if self._all.signer is not None:
            await upstream.sign(request, self._all.signer)
        self.requests += 1
        limit = config.limits.max_body_bytes
        async with self._all.session().request(
            method, request.url, headers=headers.items(), data=payload, proxy=login.proxy_url, allow_redirects=False
        ) as answer:
            data = await _read(answer, limit)
            return answer.status, Headers(answer.headers.items()), data

    def _query(self, rule: CompiledRule, params: Mapping[str, str], query: Query | str) -> str:
        assert rule.upstream is not None
        sent = query if isinstance(query, str) else query_text(query)
        spec = rule.spec.query
        static = [*rule.upstream.fixed_query(params), *spec.default.items()]
        return upstream.QueryMap(spec.rename, frozenset(spec.drop), spec.values, static, spec.split).apply(sent)

    def _wait_s(self, attempt: int) -> float:
        return min(2.0 ** (attempt - 1), self._backoff_max_s) * random.uniform(0.5, 1.0)  # noqa: S311 (spread)


class UpstreamClients:
    """The clients of a process, kept by account so that pacing spans jobs. In `services.parts["upstream"]`.

    Args:
        services: config, store and secrets.
        plan: gives the rules in force.
    """

    def __init__(self, services: Services, plan: Callable[[], Plan]) -> None:
        self.services = services
        self.plan = plan
        self.signer = upstream.load_signer(services.config.upstream.signer)
        self._directory = StoreDirectory(services.store, services.secrets)
        cached = services.parts.get("directory") or CachedDirectory(self._directory)
        self.sessions = Sessions(services, cached)
        self._clients: dict[str, UpstreamClient] = {}
        self._session: aiohttp.ClientSession | None = None

    async def of(self, account_id: str) -> UpstreamClient:
        """The client of a live account, with its login as stored now. Raises LookupError for none."""
        row = await self.services.store.aread(accounts.by_id, account_id)
        if row is None or row.disconnected_at is not None:
            raise LookupError(f"there is no connected account {account_id}")
        account = self._directory.context(row)
        client = self._clients.get(account_id)
        if client is None:
            client = self._clients[account_id] = UpstreamClient(self, account)
        client.account = account
        return client

    def session(self) -> aiohttp.ClientSession:
        """The process's connections to upstream."""
        if self._session is None or self._session.closed:
            self._session = open_session(self.services.config)
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


async def _read(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    parts, size = [], 0
    async for chunk in answer.content.iter_any():
        size += len(chunk)
        if size > limit:
            raise aiohttp.ClientPayloadError(f"answer is larger than {limit} bytes")
        parts.append(chunk)
    return b"".join(parts)


def query_text(query: Query) -> str:
    """A query string; None values are left out."""
    given = {k: str(int(v) if isinstance(v, bool) else v) for k, v in query.items() if v is not None}
    return "&".join(f"{phpquery.encode(k)}={phpquery.encode(v)}" for k, v in given.items())


def _retry_after_s(value: str | None) -> float | None:
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


async def ask_once(config: Config, login: Login, target: str) -> Reply:
    """One GET with a login that no account has yet, for a check before it is stored. Raises UpstreamProblem."""
    headers = Headers([("Accept", "application/json, text/plain, */*"), ("Accept-Encoding", "gzip, deflate")])
    upstream.add_login(headers, login, config.upstream.user_agent)
    request = UpstreamRequest("GET", config.upstream.base_url + target, headers, None, login.proxy_url)
    if (signer := upstream.load_signer(config.upstream.signer)) is not None:
        await upstream.sign(request, signer)
    session = open_session(config)
    try:
        async with session.get(
            request.url, headers=headers.items(), proxy=login.proxy_url, allow_redirects=False
        ) as answer:
            data = await _read(answer, config.limits.max_body_bytes)
    except (aiohttp.ClientError, TimeoutError, OSError) as e:
        raise Unavailable(f"upstream cannot be reached: {type(e).__name__}", 60) from e
    finally:
        await session.close()
    if is_dead_session(answer.status, data):
        raise SessionExpired("upstream does not know this session")
    if answer.status >= 400:
        raise Refused(answer.status, (read_error(data)[1] or "no explanation")[:200])
    return Reply(answer.status, Headers(answer.headers.items()), data)


def open_session(config: Config) -> aiohttp.ClientSession:
    """Connections to upstream: verified TLS, the config's time limits, no cookie jar (accounts must not mix)."""
    tls = ssl.create_default_context()
    if config.upstream.ca_file is not None:
        tls.load_verify_locations(config.upstream.ca_file)
    timeout = aiohttp.ClientTimeout(
        total=None, sock_connect=config.upstream.connect_timeout_s, sock_read=config.upstream.read_timeout_s
    )
    connector = aiohttp.TCPConnector(ssl=tls, keepalive_timeout=config.upstream.keepalive_s, limit=0)
    return aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
