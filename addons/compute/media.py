"""Media files: bytes out (download, scrape) and bytes in (uploads); contract 10."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from addons.compute.api import Answer, Call, Handler
from addons.media.identity import MediaKey
from addons.media.streaming import TICKET, Ticket, ticket_end
from addons.media.upload_forms import Form, set_field
from addons.media.uploads import UploadTicket
from addons.pipeline.errors import ApiError, NotFound, ValidationFailed
from addons.pipeline.exchange import Headers, UpstreamRequest
from ofapi_store.errors import BadValue
from ofapi_store.types import parse_time, show_time

if TYPE_CHECKING:
    from addons.media.index import Copy
    from addons.media.service import MediaService
    from addons.pipeline.exchange import AccountContext

SCRAPE_LINK_S = 300
SCRAPE_MAX_BYTES = 500_000_000
FARTHEST_S = 10 * 366 * 86_400
TICKET_S = 120.0
MARK = "/media/download/"


async def download(call: Call) -> Answer | UpstreamRequest:
    """`GET|HEAD /{account}/media/download/{cdn_url}` (contract 10.5): 302 to the copy, free; else the CDN's bytes.

    A link of ours, as answers hold it in the place of a cached file's URL, leads to itself.
    """
    media, account = _media(call), _account(call)
    url = url_of(call.request.target)
    if media.is_own_link(url, call.base_url):
        return _redirect(url)
    key = media.key(url, "cdn_url")
    copy = media.copy_of(key)
    if copy is not None:
        return _redirect(media.link(copy, call.base_url))
    return media.stream(call.request, _ticket(call, key, account, "cdn_url"), method=_method(call))


async def scrape(call: Call) -> Answer | UpstreamRequest:
    """`POST /{account}/media/scrape` (contract 10.6): a link to our copy; while there is none, the bytes."""
    media, account = _media(call), _account(call)
    body: Mapping[str, Any] = call.body if isinstance(call.body, Mapping) else {}
    ends = _link_end(body)
    url, field = await _scraped_url(call, account, body)
    key = media.key(url, field)
    copy = media.copy_of(key)
    if copy is not None:
        return Answer(_link(call, media, copy, ends), bare=True)
    ticket = _ticket(call, key, account, field, endpoint="media-scrape", max_bytes=SCRAPE_MAX_BYTES)
    return media.stream(call.request, ticket, method="GET")


async def upload(call: Call) -> Answer | UpstreamRequest:
    """`POST /{account}/media/upload` (contract 10.1)."""
    return await _upload(call, "media")


async def vault_upload(call: Call) -> Answer | UpstreamRequest:
    """`POST /{account}/media/vault` (contract 10.3)."""
    return await _upload(call, "vault")


def url_of(target: str) -> str:
    """The URL in a download's request target: raw with its query, or percent-encoded with or without its query.

    A slash that a client or a front proxy took for a doubled one is put back.
    """
    text = target.partition(MARK)[2]
    raw = text.lower().startswith(("https:/", "http:/"))
    if raw and "?" not in text and "%3f" in text.lower():  # its slashes were left, the rest is encoded
        text = unquote(text)
    elif not raw:
        path, _, query = text.partition("?")
        text = unquote(path)
        if query:
            text += ("&" if "?" in text else "?") + query
    scheme, colon, rest = text.partition(":/")
    return text if not colon or rest.startswith("/") else f"{scheme}://{rest}"


def _redirect(url: str) -> Answer:
    headers = [("Location", url), ("Cache-Control", "no-store")]
    return Answer(status=302, raw=b"", headers=headers, bare=True)


async def _upload(call: Call, target: str) -> Answer | UpstreamRequest:
    media, account = _media(call), _account(call)
    ticket = UploadTicket(call.team.id, account.id, target, call.base_url, call.prefix, time.time() + TICKET_S)
    kind = call.request.headers.get("content-type") or ""
    if kind.lower().startswith("multipart/"):
        headers = Headers([("Content-Type", kind), (TICKET, media.uploads.seal(ticket))])
        url = f"{media.server.base}/upload"
        return UpstreamRequest("POST", url, headers, call.request.body, timeout_s=600, internal=True)
    form = Form()
    for name, value in call.body.items() if isinstance(call.body, Mapping) else ():
        set_field(form, name, value)
    status, body, headers_out = await media.uploads.take(form, ticket)
    return Answer(dict(body), status=status, bare=True, headers=list(headers_out.items()))


async def _scraped_url(call: Call, account: AccountContext, body: Mapping[str, Any]) -> tuple[str, str]:
    """(URL, name of the field that gave it)."""
    url, media_id = body.get("url"), body.get("media_id")
    if (url is None) == (media_id is None):
        text = "Send exactly one of url and media_id."
        raise ValidationFailed({"url": [text], "media_id": [text]})
    if url is not None:
        if body.get("file_type") is not None:
            text = "The file_type field is allowed with media_id only; a url names its file by itself."
            raise ValidationFailed.of("file_type", text)
        return str(url), "url"
    return await _vault_url(call, account, str(media_id), str(body.get("file_type") or "full")), "media_id"


async def _vault_url(call: Call, account: AccountContext, media_id: str, file_type: str) -> str:
    """Upstream's URL of one file of a vault media."""
    from addons.jobs.upstream_client import Refused, SessionExpired, UpstreamProblem

    client = await call.services.parts["upstream"].of(account.id)
    try:
        found = (await client.ask("GET", f"/api2/v2/vault/media/{media_id}")).json()
    except SessionExpired as e:
        raise ApiError(401, "SESSION_EXPIRED:NEEDS_REAUTHENTICATION", str(e)) from e
    except Refused as e:
        raise NotFound(f"The vault has no media {media_id}.", code="ONLYFANS_COM_ERROR") from e
    except UpstreamProblem as e:
        raise ApiError(502, "upstream_unreachable", f"The media cannot be looked up: {e}.") from e
    files = found.get("files") if isinstance(found, dict) else None
    file = files.get(file_type) if isinstance(files, dict) else None
    url = file.get("url") if isinstance(file, dict) else file
    if not url:
        raise ValidationFailed.of("file_type", f"Media {media_id} has no file of type {file_type}.")
    return str(url)


def _link(call: Call, media: MediaService, copy: Copy, ends: int | None) -> dict[str, Any]:
    path = media.path(copy, ends=ends, public=ends is None)
    shown = None if ends is None else show_time(datetime.fromtimestamp(ends, UTC))
    return {"temporary_url": media.public_root(None, call.base_url) + path, "expiration_date": shown}


def _link_end(body: Mapping[str, Any]) -> int | None:
    """When the link ends, Unix seconds; None for a public one."""
    given = body.get("expiration_date")
    if body.get("public"):
        if given is not None:
            text = "The expiration_date field must be null where public is true: a public link does not end."
            raise ValidationFailed.of("expiration_date", text)
        return None
    if given is None:
        return int(time.time()) + SCRAPE_LINK_S
    try:
        ends = int(parse_time(given).timestamp())
    except (BadValue, OverflowError, OSError):
        text = "The expiration_date must be a time such as 2025-01-01T01:01:01+00:00."
        raise ValidationFailed.of("expiration_date", text) from None
    if not time.time() < ends < time.time() + FARTHEST_S:
        raise ValidationFailed.of("expiration_date", "The expiration_date must be in the future, at most ten years.")
    return ends


def _ticket(call: Call, key: MediaKey, account: AccountContext, field: str, **more: Any) -> Ticket:
    return Ticket(key.text, key.url, ticket_end(), field, call.team.id, account.id, **more)


def _method(call: Call) -> str:
    return "HEAD" if call.request.method == "HEAD" else "GET"


def _media(call: Call) -> MediaService:
    found: MediaService | None = call.services.parts.get("media")
    if found is None:
        raise ApiError(503, "SERVICE_UNAVAILABLE", "The media service of this gateway does not run.")
    return found


def _account(call: Call) -> AccountContext:
    assert call.account is not None
    return call.account


HANDLERS: dict[str, Handler] = {
    "media.download": download,
    "media.scrape": scrape,
    "media.upload": upload,
    "media.vault_upload": vault_upload,
}
