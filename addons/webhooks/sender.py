"""One POST to one endpoint: what a receiver gets, and what its answer means (contract 7.3).

Connects to public addresses only (design 7), follows no redirect, takes any 2xx for success, and reads no more of an
answer than is kept of it.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
from yarl import URL

from addons.net.address_check import AddressPolicy, GuardedConnector, refused
from addons.webhooks.signing import hex_signature, standard_headers

if TYPE_CHECKING:
    from addons.config import Config

USER_AGENT = "OnlyFansAPI.com/Webhook-Client"
EPHEMERAL = frozenset({"users.typing", "users.online", "users.offline"})
KEEPALIVE_S = 30.0
STALE_S = 1.0  # an endpoint that closes a kept connection later than that has had its try
_FIXED = [("Content-Type", "application/json"), ("User-Agent", USER_AGENT), ("Accept-Encoding", "identity")]


@dataclass(frozen=True, slots=True)
class Message:
    """What is delivered. `key`: the idempotency key, the same for every try. `payload`: JSON text."""

    event: str
    account_id: str | None
    key: str
    payload: str
    uuid: str
    redelivered_from: str | None = None

    def body(self) -> bytes:
        """`{"event", "account_id"?, "payload"}`; the payload's own bytes."""
        account = b"" if self.account_id is None else b',"account_id":' + orjson.dumps(self.account_id)
        return b'{"event":' + orjson.dumps(self.event) + account + b',"payload":' + self.payload.encode() + b"}"

    def headers(self, body: bytes, secret: str | None, timestamp: int) -> list[tuple[str, str]]:
        """Ephemeral events carry no idempotency key; their `webhook-id` is the delivery's."""
        headers = list(_FIXED)
        lasting = self.event not in EPHEMERAL
        if lasting:
            headers.append(("X-OFAPI-Idempotency-Key", self.key))
        if self.redelivered_from:
            headers.append(("X-OFAPI-Redelivery-Of", self.redelivered_from))
        if secret:
            headers.append(("Signature", hex_signature(secret, body)))
        headers += standard_headers(secret, self.key if lasting else self.uuid, timestamp, body)
        return headers


@dataclass(frozen=True, slots=True)
class Outcome:
    """`error_type` None: success. Else address | connect | protocol | secret | status | timeout | tls."""

    duration_ms: int
    status_code: int | None = None
    error_type: str | None = None
    error_message: str | None = None
    response: str | None = None
    retry_after_s: float | None = None

    @property
    def ok(self) -> bool:
        return self.error_type is None


@dataclass(slots=True)
class _Used:
    """What a request went out on: `kept`, a connection from before, which the endpoint may have closed meanwhile."""

    kept: bool = False


class Sender:
    """Keep-alive connections to endpoints; to be made inside the event loop, closed by `close`."""

    def __init__(self, config: Config) -> None:
        hooks = config.webhooks
        self._keep = hooks.max_response_bytes
        trace = aiohttp.TraceConfig()
        trace.on_connection_reuseconn.append(_note_kept)
        self._session = aiohttp.ClientSession(
            connector=GuardedConnector(
                AddressPolicy.of(config.network.allow_private), limit=0, keepalive_timeout=KEEPALIVE_S
            ),
            timeout=aiohttp.ClientTimeout(
                total=hooks.total_timeout_s,
                connect=hooks.connect_timeout_s,
                sock_connect=hooks.connect_timeout_s,
                ceil_threshold=math.inf,  # else waits of five seconds and more end up to a second late
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trace_configs=[trace],
        )

    async def send(self, url: str | URL, secret: str | None, message: Message, timestamp: int) -> Outcome:
        """One try; never raises but for cancellation."""
        try:
            body = message.body()
            headers = message.headers(body, secret, timestamp)
        except ValueError as e:
            return Outcome(0, error_type="protocol", error_message=_storable(f"No request can be made of it: {e}"))
        return await self.request("POST", url, headers, body)

    async def request(
        self, method: str, url: str | URL, headers: Sequence[tuple[str, str]], body: bytes | None
    ) -> Outcome:
        """One request of any kind, judged the same way; never raises but for cancellation."""
        started = time.perf_counter()
        try:
            while True:  # each kept connection fails once at most
                used = _Used()
                try:
                    async with self._session.request(
                        method, url, data=body, headers=headers, allow_redirects=False, trace_request_ctx=used
                    ) as answer:
                        return _judge(answer, await self._read(answer), started)
                except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                    if not used.kept or time.perf_counter() - started > STALE_S:
                        raise
        except Exception as e:
            kind, text = _problem(e)
            return Outcome(_ms(started), error_type=kind, error_message=_storable(text))

    async def _read(self, answer: aiohttp.ClientResponse) -> str | None:
        """The first bytes of the body. That it breaks off or never ends does not change what the status said."""
        found = bytearray()
        try:
            while len(found) < self._keep and (chunk := await answer.content.readany()):
                found += chunk
        except (aiohttp.ClientError, TimeoutError, OSError):
            answer.close()
        return _storable(bytes(found[: self._keep]).decode("utf-8", "replace")) or None

    async def close(self) -> None:
        await self._session.close()


async def _note_kept(_session: object, context: Any, _params: object) -> None:
    context.trace_request_ctx.kept = True


def _storable(text: str) -> str:
    """Without what a store cannot hold: NUL, and halves of surrogate pairs, which error texts may quote."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "\N{REPLACEMENT CHARACTER}")


def _judge(answer: aiohttp.ClientResponse, text: str | None, started: float) -> Outcome:
    status = answer.status
    if 200 <= status < 300:
        return Outcome(_ms(started), status, response=text)
    why = f"The endpoint answered {status}; expected 2xx."
    if 300 <= status < 400:
        why = f"The endpoint answered {status}; redirects are not followed. Set its final address instead."
    wait_s = retry_after_s(answer.headers.get("Retry-After"))
    return Outcome(_ms(started), status, "status", why, text, wait_s)


def _problem(error: Exception) -> tuple[str, str]:
    blocked = refused(error)
    if blocked is not None:
        return "address", f"{blocked.address} is not a public address, and network.allow_private does not name it."
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return "timeout", "The endpoint did not connect or answer in time."
    if isinstance(error, aiohttp.ClientSSLError | aiohttp.ClientConnectorCertificateError):
        return "tls", f"No secure connection: {error}"[:500]
    if isinstance(error, aiohttp.ClientConnectorError):
        return "connect", f"No connection: {error}"[:500]
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError | aiohttp.ClientPayloadError):
        return "protocol", "The endpoint closed the connection without an answer."
    return "protocol", f"No usable answer: {type(error).__name__}: {error}"[:500]


def retry_after_s(value: str | None) -> float | None:
    """Seconds of a Retry-After header, which is a number or a date. None where it says nothing usable."""
    if not value:
        return None
    try:
        return max(0.0, float(value)) if value.strip().isdigit() else max(0.0, _date(value) - time.time())
    except (ValueError, OverflowError):
        return None


def _date(value: str) -> float:
    return parsedate_to_datetime(value).timestamp()


def _ms(started: float) -> int:
    return round((time.perf_counter() - started) * 1000)
