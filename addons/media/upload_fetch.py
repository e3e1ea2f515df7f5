"""Fetches the `file_url` of an upload: public addresses only, no redirects, bounded (design 7)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp

from addons.media.answers import no_room
from addons.media.fetch import failure
from addons.media.files import is_full
from addons.media.upload_steps import spool_stream
from addons.net.address_check import AddressPolicy, GuardedConnector
from addons.pipeline.errors import ApiError, ValidationFailed

if TYPE_CHECKING:
    from addons.config import Config

FIELD = "file_url"
LONGEST = 8192


@dataclass(frozen=True, slots=True)
class Fetched:
    size: int
    md5: str
    content_type: str


def check_url(url: str, config: Config) -> None:
    """Raises ValidationFailed for what is no URL of a file."""
    try:
        parts = urlsplit(url)
        _ = parts.port
        (parts.hostname or "").encode("idna")
    except ValueError:
        raise _no_url() from None
    schemes = ("https", "http") if config.network.allow_http else ("https",)
    if parts.scheme not in schemes or not parts.hostname or len(url) > LONGEST or not url.isprintable() or " " in url:
        raise ValidationFailed.of(FIELD, f"The file_url must be a URL that begins with {'://, '.join(schemes)}://.")
    if parts.username or parts.password:
        raise ValidationFailed.of(FIELD, "The file_url must not contain a user or password.")


async def fetch_url(url: str, path: Path, config: Config, limit: int) -> Fetched:
    """The file behind `url`, written to `path`. Raises ValidationFailed naming the field, or ApiError 502."""
    check_url(url, config)
    timeout = aiohttp.ClientTimeout(
        total=None, sock_connect=config.upstream.connect_timeout_s, sock_read=config.upstream.read_timeout_s
    )
    connector = GuardedConnector(AddressPolicy.of(config.network.allow_private))
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.get(url, allow_redirects=False, headers={"Accept-Encoding": "identity"}) as answer,
        ):
            if answer.status != 200:
                raise ValidationFailed.of(FIELD, f"The file_url answers {answer.status}; expected 200 with the file.")
            if (answer.content_length or 0) > limit:
                raise OverflowError(limit)
            size, md5 = await spool_stream(answer.content.iter_any(), path, limit)
            kind = answer.headers.get("Content-Type", "application/octet-stream")
    except OverflowError:
        raise ValidationFailed.of(FIELD, f"The file behind file_url is larger than {limit} bytes.") from None
    except aiohttp.InvalidURL:
        raise _no_url() from None
    except (aiohttp.ClientError, TimeoutError, OSError) as e:
        raise _problem(e) from e
    if not size:
        raise ValidationFailed.of(FIELD, "The file behind file_url is empty.")
    return Fetched(size, md5, kind)


def _no_url() -> ApiError:
    return ValidationFailed.of(FIELD, "The file_url is not a URL.")


def _problem(e: Exception) -> ApiError:
    if isinstance(e, OSError) and is_full(e):
        return no_room()
    found = failure(e)
    if found.kind == "refused":
        return ValidationFailed.of(FIELD, f"The file_url leads to an address that must not be reached: {found.detail}.")
    return ValidationFailed.of(FIELD, f"The file_url cannot be fetched: {found.detail or found.kind}.")
