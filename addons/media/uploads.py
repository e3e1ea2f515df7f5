"""Uploads from clients: into the spool, then to upstream, at once or as a job (contract 10.1–10.3).

The bytes and the row are durable before an asynchronous upload is answered. A synchronous one has a job too, due
later: it finishes what a crash interrupted.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from aiohttp import web

from addons.media import answers
from addons.media.charge import price
from addons.media.fetch import FetchFailed
from addons.media.streaming import TICKET
from addons.media.upload_fetch import check_url, fetch_url
from addons.media.upload_forms import Form, file_name_of, read_form, spool_name
from addons.media.upload_steps import StepFailed
from addons.media.upload_work import process
from addons.pipeline.dialects import Counters
from addons.pipeline.errors import ApiError, InsufficientCredits, ValidationFailed
from ofapi_store.errors import InsufficientCredits as NoCredits
from ofapi_store.queries import credits, uploads
from ofapi_store.queries.uploads import UploadRow

if TYPE_CHECKING:
    from addons.media.service import MediaService

log = structlog.get_logger(__name__)

RESCUE_AFTER = timedelta(minutes=30)
NOTE = "Use this object, or its prefixed_id, once: in mediaFiles of a message, post or story."


@dataclass(frozen=True, slots=True)
class UploadTicket:
    """What the gateway decided about one upload. `base_url`: root under which the client reaches it; `prefix`: its dialect's."""

    team_id: str
    account_id: str
    target: str
    base_url: str
    prefix: str
    ends: float


class Uploads:
    """The upload endpoint of the file server."""

    def __init__(self, media: MediaService) -> None:
        self._media = media
        self._services = media.services
        self._store = media.services.store
        self._limit = media.config.limits.upload_body_bytes

    def seal(self, ticket: UploadTicket) -> str:
        return self._services.secrets.encrypt_json(asdict(ticket))

    async def receive(self, request: web.Request) -> web.StreamResponse:
        """`POST /upload` with the gateway's ticket and the client's multipart body, read as a stream."""
        try:
            ticket = UploadTicket(**self._services.secrets.decrypt_json(request.headers.get(TICKET, "")))
        except Exception:
            raise answers.no_such_file() from None
        if ticket.ends < time.time():
            raise answers.no_such_file()
        form = await read_form(request, self._media.files, self._limit)
        return _response(*await self.take(form, ticket))

    async def take(self, form: Form, ticket: UploadTicket) -> tuple[int, Mapping[str, Any], dict[str, str]]:
        """(status, body, headers) for a form that was read. Raises ApiError."""
        try:
            row = await self._create(form, ticket)
        except BaseException:
            form.drop(self._media.files)
            raise
        if form.in_background:
            return 202, self._pending(row, ticket), {}
        done = await self._finish_now(row)
        headers = {"X-OFAPI-Credits-Used": str(done.credits_used)}
        shown = (await self.shown(done, ticket.base_url))["media"]
        if ticket.target != "vault" or not ticket.prefix:
            return 200, shown, headers
        left = await self._store.aread(credits.balance, row.team_id)
        return 200, {"data": shown, "_meta": Counters(done.credits_used, left, None).meta()}, headers

    async def shown(self, row: UploadRow, base_url: str) -> dict[str, Any]:
        """`view`, with links to cached files of a vault media. An upload object stays as it is: it goes back upstream."""
        found = view(row)
        if row.target != "vault" or row.state != "completed":
            return found
        swapped: dict[str, Any] = orjson.loads(
            await self._media.swap_own(orjson.dumps(found), base_url, row.account_id)
        )
        return swapped

    async def tidy(self) -> None:
        """Remove spool files that no upload needs, an hour after they were written."""
        needed = await self._store.aread_slow(uploads.spools)
        for path in (self._media.files.root / "spool").iterdir():
            if path.name not in needed and time.time() - path.stat().st_mtime > 3600:
                path.unlink(missing_ok=True)

    async def _create(self, form: Form, ticket: UploadTicket) -> UploadRow:
        if (form.spool is None) == (form.file_url is None):
            text = "Send exactly one of file and file_url."
            raise ValidationFailed({"file": [text], "file_url": [text]})
        if form.file_url is not None:
            if not form.in_background:
                await self._fetch(form, form.file_url)
            else:
                check_url(form.file_url, self._media.config)
            form.file_name = form.file_name or file_name_of(form.file_url)
        now = self._services.clock()
        box = self._services.secrets
        values = {
            "id": f"ofapi_media_{secrets.token_hex(16)}",
            "team_id": ticket.team_id,
            "account_id": ticket.account_id,
            "target": ticket.target,
            "kind": form.kind,
            "file_name": form.file_name[-255:] or "file",
            "content_type": form.content_type[:127],
            "size": form.size,
            "md5": form.md5,
            "spool": form.spool,
            "source_url": box.encrypt(form.file_url) if form.file_url and form.spool is None else None,
        }
        cost = None if form.size is None else price(form.size, self._media.config.media.credits_per_megabyte)
        at = now if form.in_background else now + RESCUE_AFTER
        try:
            row = await self._store.awrite(
                uploads.create, values, price=cost, endpoint=f"media-{ticket.target}-upload", at=at, now=now
            )
        except NoCredits as e:
            left = await self._store.aread(credits.balance, ticket.team_id)
            raise InsufficientCredits(cost or 0, max(0, left)) from e
        self._taken(row, row.credits_used)
        return row

    def _taken(self, row: UploadRow, credits: int) -> None:
        if (meter := self._media.meter) is not None:
            meter.taken(row.team_id, credits)

    async def _fetch(self, form: Form, url: str) -> None:
        name = spool_name()
        path = self._media.files.spool(name)
        try:
            got = await fetch_url(url, path, self._media.config, self._limit)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        form.spool, form.size, form.md5, form.content_type = name, got.size, got.md5, got.content_type

    async def _finish_now(self, row: UploadRow) -> UploadRow:
        """Run the steps; a failure is final. Raises ApiError."""
        from addons.jobs.upstream_client import UpstreamProblem

        try:
            await process(self._services, self._media.files.root, self._media.client, row.id)
        except (StepFailed, FetchFailed, UpstreamProblem, ApiError) as e:
            problem = answers.upload_problem(e)
            if await self._store.awrite(uploads.fail, row.id, problem.message, self._services.clock()) is not None:
                self._taken(row, -row.credits_used)
            if row.spool:
                self._media.files.spool(row.spool).unlink(missing_ok=True)
            raise problem from e
        done = await self._store.aread(uploads.by_id, row.id)
        assert done is not None
        return done

    def _pending(self, row: UploadRow, ticket: UploadTicket) -> dict[str, Any]:
        url = f"{ticket.base_url}{ticket.prefix}/{row.account_id}/media/uploads/{row.id}/status"
        return {"status": "pending", "prefixed_id": row.id, "polling_url": url}


def view(row: UploadRow) -> dict[str, Any]:
    """What the status endpoint shows (contract 10.2)."""
    out: dict[str, Any] = {"prefixed_id": row.id, "status": row.state}
    if row.state == "completed":
        own = {"prefixed_id": row.id, "file_name": row.file_name} if row.target != "vault" else {}
        note = {"note": NOTE} if row.target != "vault" else {}
        out["media"] = {**own, **(row.result or {}), **note}
        out["credits_used"] = row.credits_used
    elif row.state == "failed":
        out["error"] = row.error
    return out


def _response(status: int, body: Mapping[str, Any], headers: dict[str, str]) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), headers=headers, content_type="application/json")
