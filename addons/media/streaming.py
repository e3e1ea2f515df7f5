"""Streams a file that has no copy yet from the CDN, while it is being saved (contract 10.5).

The gateway sends requests here with a ticket; nobody else can, because tickets are encrypted with the store's keys.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import structlog
from aiohttp import web

from addons.media import answers, serving
from addons.media.charge import Charge, Payer
from addons.media.fetch import BadStatus, CdnClient, FetchFailed, MediaHead, Source, failure
from addons.media.files import DiskFull, FileStore, TooLarge
from addons.media.following import follow, follow_foreign, join_foreign
from addons.media.identity import MediaKey
from addons.media.index import Copy
from addons.media.part import Busy, PartHead
from addons.media.transfer import (
    Broken,
    NotCacheable,
    Transfer,
    Transfers,
)
from addons.pipeline.errors import ApiError, ValidationFailed

if TYPE_CHECKING:
    from addons.media.filler import Filler
    from addons.pipeline.credits import Meter
    from ofapi_store.secrets import SecretBox

log = structlog.get_logger(__name__)

TICKET = "X-Media-Ticket"
TICKET_S = 120.0
FOREIGN_WAIT_S = 30.0
PASSED = ("Content-Type", "Content-Range", "Accept-Ranges", "ETag", "Last-Modified", "Content-Encoding")
CONDITIONS = ("Range", "If-Range")


@dataclass(frozen=True, slots=True)
class Ticket:
    """What the gateway decided about one request. `field`: name of the URL's parameter in errors.

    `max_bytes`: larger files are refused (scrape); None: no limit.
    """

    key: str
    url: str
    ends: float
    field: str = "cdn_url"
    team_id: str | None = None
    account_id: str | None = None
    endpoint: str = "media-download"
    max_bytes: int | None = None

    def seal(self, box: SecretBox) -> str:
        return box.encrypt_json(asdict(self))

    @classmethod
    def open(cls, box: SecretBox, token: str, now: float) -> Ticket | None:
        """The ticket, or None when it is not genuine or too old."""
        try:
            ticket = cls(**box.decrypt_json(token))
        except Exception:
            return None
        return ticket if ticket.ends >= now else None

    @property
    def source(self) -> Source:
        return Source(self.url, self.account_id)

    @property
    def payer(self) -> Payer | None:
        return Payer(self.team_id, self.account_id or "", self.endpoint) if self.team_id else None


class Streamer:
    """The endpoint behind tickets. `keep`: whether what it streams becomes copies (`media.enabled`)."""

    def __init__(
        self, files: FileStore, client: CdnClient, transfers: Transfers, filler: Filler, *, keep: bool
    ) -> None:
        self._files = files
        self._client = client
        self._transfers = transfers
        self._filler = filler
        self._keep = keep

    async def respond(
        self, request: web.Request, ticket: Ticket, meter: Meter | None, per_megabyte: int
    ) -> web.StreamResponse:
        """The file's bytes, its head, or an error in JSON."""
        charge = Charge(meter, ticket.payer if request.method != "HEAD" else None, per_megabyte)
        try:
            if request.method == "HEAD" or "Range" in request.headers or not self._keep:
                return await self._pass(request, ticket, charge)
            await charge.reserve(None)
            return await self._save_and_send(request, ticket, charge)
        except (FetchFailed, BadStatus, Broken) as e:
            await charge.settle(0)
            return answers.error(answers.upstream_problem(e, ticket.field))
        except ApiError as e:
            await charge.settle(0)
            return answers.error(e)

    async def _save_and_send(self, request: web.Request, ticket: Ticket, charge: Charge) -> web.StreamResponse:
        if self._copy(ticket) is not None:
            return await self._send_copy(request, ticket, charge)
        transfer = self._transfers.start(ticket.key, ticket.source)
        transfer.wanted = True
        try:
            await transfer.started()
        except Busy:
            return await self._join(request, ticket, charge)
        except (DiskFull, TooLarge, NotCacheable) as e:
            log.info("media file streamed without a copy", file=transfer.id, reason=str(e))
            return await self._pass(request, ticket, charge)
        if transfer.copy is not None:
            return await self._send_copy(request, ticket, charge)
        if transfer.error is not None or transfer.head is None:
            raise transfer.error or Broken("the transfer was stopped")
        chunks = self._follow(transfer, transfer.reader(), ticket)
        return await self._send(request, ticket, charge, _Head.of_part(transfer.head), chunks)

    async def _follow(self, transfer: Transfer, fd: int, ticket: Ticket) -> AsyncIterator[bytes]:
        """The transfer's bytes; where they can be kept no longer on the way, the rest comes straight from the CDN."""
        sent, tag = 0, transfer.head.if_range() if transfer.head else None
        try:
            async for chunk in follow(transfer, fd):
                sent += len(chunk)
                yield chunk
        except Broken:
            if not isinstance(transfer.error, DiskFull | TooLarge) or tag is None:
                raise
            headers = {"Range": f"bytes={sent}-", "If-Range": tag}
            async with self._client.request(ticket.source, headers=headers) as response:
                if response.status != 206 or not response.headers.get("Content-Range", "").startswith(f"bytes {sent}-"):
                    raise
                async for chunk in response.content.iter_any():
                    yield chunk

    async def _join(self, request: web.Request, ticket: Ticket, charge: Charge) -> web.StreamResponse:
        """Another process fetches the file: follow its part."""
        found = await join_foreign(self._files, ticket.key, FOREIGN_WAIT_S)
        if found is None:
            if self._copy(ticket) is not None:
                return await self._send_copy(request, ticket, charge)
            return await self._pass(request, ticket, charge)
        head, fd = found
        chunks = follow_foreign(self._files, ticket.key, head, fd)
        return await self._send(request, ticket, charge, _Head.of_part(head), chunks)

    async def _send_copy(self, request: web.Request, ticket: Ticket, charge: Charge) -> web.StreamResponse:
        """It was saved in the meantime: free. Where it went again at once, the bytes come from the CDN."""
        copy = self._copy(ticket)
        if copy is None or copy.object is not None:
            return await self._pass(request, ticket, charge)
        try:
            file = self._files.open(copy)
        except FileNotFoundError:
            return await self._pass(request, ticket, charge)
        await charge.settle(0)
        return serving.respond(request, copy, file, "private, no-store")

    def _copy(self, ticket: Ticket) -> Copy | None:
        copy = self._files.index.get(ticket.key)
        return None if copy is None or self._files.lost(ticket.key, copy) else copy

    async def _pass(self, request: web.Request, ticket: Ticket, charge: Charge) -> web.StreamResponse:
        """Straight from the CDN to the client, nothing kept: HEAD, ranges, and files that may not be cached."""
        if request.method != "HEAD":
            await charge.reserve(None)
            if "Range" in request.headers and self._keep:
                self._filler.seen([MediaKey(ticket.key, ticket.url)], ticket.account_id)
        headers = {name: request.headers[name] for name in CONDITIONS if name in request.headers}
        async with self._client.request(ticket.source, method=request.method, headers=headers) as response:
            if response.status == 416:
                await charge.settle(0)
                return web.Response(status=416, headers=_passed(response))
            if response.status not in (200, 206):
                raise BadStatus(response.status)
            head = _Head(response.status, response.content_length, _passed(response))
            if request.method == "HEAD":
                size = {} if head.length is None else {"Content-Length": str(head.length)}
                return web.Response(status=head.status, headers={**head.headers, **size})
            return await self._send(request, ticket, charge, head, response.content.iter_any())

    async def _send(
        self, request: web.Request, ticket: Ticket, charge: Charge, head: _Head, chunks: AsyncIterator[bytes]
    ) -> web.StreamResponse:
        """Head and bytes; breaks the connection where the bytes break off."""
        if ticket.max_bytes is not None and (head.length or 0) > ticket.max_bytes:
            text = f"The file has {head.length} bytes; at most {ticket.max_bytes} can be scraped. Use media/download."
            raise ValidationFailed.of(ticket.field, text)
        await charge.reserve(head.length)
        answer = web.StreamResponse(status=head.status, headers=head.headers)
        answer.content_length = head.length
        answer.headers["X-OFAPI-Credits-Used"] = str(charge.held)
        sent = 0
        try:
            await answer.prepare(request)
            async for chunk in chunks:
                await answer.write(chunk)
                sent += len(chunk)
            await answer.write_eof()
        except (Broken, FetchFailed, aiohttp.ClientPayloadError, aiohttp.ClientConnectionError, TimeoutError) as e:
            if not isinstance(e, ConnectionResetError):  # the client's own leaving is no news
                log.warning("media stream broke off", file=ticket.key, error=str(failure(e)), sent=sent)
            if request.transport is not None:
                request.transport.abort()
        finally:
            await _close(chunks)
            await asyncio.shield(charge.settle(sent))
        return answer


@dataclass(frozen=True, slots=True)
class _Head:
    status: int
    length: int | None
    headers: dict[str, str]

    @classmethod
    def of_part(cls, head: PartHead) -> _Head:
        headers = {"Content-Type": head.content_type, "Accept-Ranges": "bytes", "Cache-Control": "private, no-store"}
        if head.etag:
            headers["ETag"] = head.etag
        return cls(200, head.length, headers)


def _passed(response: MediaHead) -> dict[str, str]:
    out = {name: response.headers[name] for name in PASSED if name in response.headers}
    return {**out, "Cache-Control": "private, no-store"}


async def _close(chunks: Any) -> None:
    close = getattr(chunks, "aclose", None)
    if close is not None:
        await close()


def ticket_end() -> float:
    return time.time() + TICKET_S
