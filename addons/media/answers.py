"""Answers of the file server, errors in the gateway's shape."""

from __future__ import annotations

import json
from collections.abc import Mapping

from aiohttp import web

from addons.media.fetch import BadStatus, FetchFailed
from addons.pipeline.errors import ApiError, NotFound, ValidationFailed
from addons.pipeline.upstream_errors import session_expired

NO_SUCH_FILE = "There is no such file, or the link is not genuine. Take the URL from a current API answer."
LINK_ENDED = "The link has ended. Take the URL from a current API answer."


def error(e: ApiError) -> web.Response:
    """`{error, message, errors?}`."""
    headers = {**dict(e.headers), "Cache-Control": "no-store"}
    return web.Response(
        status=e.status, body=json.dumps(e.body()).encode(), headers=headers, content_type="application/json"
    )


def no_such_file() -> ApiError:
    return NotFound(NO_SUCH_FILE)


def link_ended() -> ApiError:
    return ApiError(410, "link_expired", LINK_ENDED)


def no_room() -> ApiError:
    """503: an upload needs room on our disk, and there is none."""
    text = "The gateway's disk has no room for uploads at the moment. Try again later."
    return ApiError(503, "SERVICE_UNAVAILABLE", text, headers=(("Retry-After", "60"),))


def not_a_media_url(field: str, hosts: tuple[str, ...]) -> ApiError:
    """422 for a URL that is none of a CDN file."""
    text = f"The {field} must be an https URL of a media file on {' or '.join(hosts)}, as an API answer contained it."
    return ValidationFailed.of(field, text)


def upstream_problem(e: Exception, field: str) -> ApiError:
    """What a client is told when the CDN gives no file."""
    if isinstance(e, BadStatus):
        return _bad_status(e, field)
    if isinstance(e, FetchFailed):
        if e.kind == "refused":
            return ValidationFailed.of(field, f"The {field} leads to an address that must not be reached: {e.detail}.")
        if e.kind == "timeout":
            return ApiError(504, "upstream_timeout", "The CDN did not answer in time. Try again.")
        return ApiError(502, "upstream_unreachable", f"The CDN cannot be reached ({e.detail}). Try again.")
    return ApiError(502, "upstream_unreachable", "The CDN's answer broke off. Try again.")


def upload_problem(e: Exception) -> ApiError:
    """What a client that waits is told when its upload fails."""
    from addons.jobs.upstream_client import SessionExpired

    if isinstance(e, ApiError):
        return e
    if isinstance(e, SessionExpired):
        return session_expired()
    return ApiError(502, "upload_failed", f"The upload failed: {e}.")


def _bad_status(e: BadStatus, field: str) -> ApiError:
    if e.redirect:
        text = f"The CDN answers the {field} with a redirect ({e.status}); redirects are not followed."
        return ValidationFailed.of(field, text)
    if e.status in (401, 403, 404, 410):
        text = f"The CDN answered {e.status}: the URL is not signed for this file or has expired. Take a fresh URL."
        return ApiError(e.status if e.status != 401 else 403, "ONLYFANS_COM_ERROR", text)
    if e.status == 429:
        wait: Mapping[str, str] = {} if e.retry_after_s is None else {"Retry-After": f"{e.retry_after_s:.0f}"}
        text = "The CDN limits the rate of requests. Try again later."
        return ApiError(429, "ONLYFANS_COM_RATE_LIMIT_ERROR", text, headers=tuple(wait.items()))
    return ApiError(502, "ONLYFANS_COM_ERROR", f"The CDN answered {e.status}. Try again.")
