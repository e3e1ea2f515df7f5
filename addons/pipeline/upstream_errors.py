"""What upstream's failures mean to the client (contract 2.2), and how a dead session is told from other refusals."""

from __future__ import annotations

import msgspec

from addons.pipeline.errors import ApiError
from addons.pipeline.exchange import Headers, Response, UpstreamFailure

SESSION_EXPIRED = "SESSION_EXPIRED:NEEDS_REAUTHENTICATION"
SESSION_TEXT = (
    "This Account can't be used. It needs re-authentication. "
    "Please connect it again with `ofapi accounts` or the /authenticate endpoint."
)
DEAD_SESSION_CODES = frozenset({101, 102, 103})
"""Codes in upstream's error object that mean "not logged in", whatever the status."""


class _Error(msgspec.Struct):
    code: int | str | None = None
    message: str | None = None


class _Body(msgspec.Struct):
    error: _Error | None = None


_DECODER = msgspec.json.Decoder(type=_Body)


def read_error(body: bytes) -> tuple[int | None, str | None]:
    """(code, message) of upstream's `{"error": {"code": 301, "message": "Wrong user."}}`; None where it says nothing."""
    try:
        error = _DECODER.decode(body).error
    except (msgspec.DecodeError, RecursionError):
        return None, None
    if error is None:
        return None, None
    code = error.code if isinstance(error.code, int) else None
    return code, error.message


def is_dead_session(status: int, body: bytes) -> bool:
    """Whether this answer means that upstream no longer knows the account's login."""
    if status == 401:
        return True
    return status in (400, 403) and read_error(body)[0] in DEAD_SESSION_CODES


def session_expired() -> ApiError:
    return ApiError(401, SESSION_EXPIRED, SESSION_TEXT)


def reauthenticating() -> ApiError:
    text = "This account is being logged in again. Try again in a few seconds."
    return ApiError(503, "SERVICE_UNAVAILABLE", text, headers=(("Retry-After", "5"),))


def translate(response: Response) -> ApiError:
    """An upstream answer of status ≥ 400 in the envelope dialect. Never upstream's HTML."""
    status, (_, message) = response.status, read_error(response.body)
    if is_dead_session(status, response.body):
        return session_expired()
    retry = _retry_after(response.headers)
    if status == 429:
        text = "OnlyFans limits the requests of this account for a while. This is not a limit of the gateway."
        return ApiError(429, "ONLYFANS_COM_RATE_LIMIT_ERROR", text, headers=retry or (("Retry-After", "30"),))
    if status == 404:
        text = "The requested OnlyFans resource was not found."
    elif message:
        text = f"OnlyFans returned an error [{status}]: {message[:500]}"
    else:
        text = f"OnlyFans returned an unknown error [{status}]."
    return ApiError(status if status < 600 else 502, "ONLYFANS_COM_ERROR", text, headers=retry)


def _retry_after(headers: Headers) -> tuple[tuple[str, str], ...]:
    value = headers.get("retry-after")
    return (("Retry-After", value),) if value else ()


def from_failure(failure: UpstreamFailure, timeout_s: float) -> ApiError:
    """No answer at all, or none that can be used."""
    if failure.kind == "timeout":
        text = f"OnlyFans did not answer within {timeout_s:g} s. Try again, or raise `timeout_s` of the rule."
        return ApiError(504, "upstream_timeout", text)
    texts = {
        "connect": "The gateway could not connect to OnlyFans. Try again; `ofapi doctor` tests the connection.",
        "closed": "OnlyFans closed the connection before its answer was complete. Try again.",
        "protocol": "OnlyFans sent an answer that is not valid HTTP. Try again.",
        "too_large": "OnlyFans sent an answer that is larger than the gateway may hold.",
    }
    return ApiError(502, "upstream_unreachable", texts[failure.kind])
