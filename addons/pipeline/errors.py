"""Errors that a client can meet, and how they look on the wire (contract 2.2).

ApiError
├── ValidationFailed      422 VALIDATION_ERROR, `errors` by field
├── NotFound              404 not_found / account_not_found / route_not_found
├── Unauthorized          401
├── Forbidden             403 forbidden
├── InsufficientCredits   402 insufficient_credits
├── Conflict              409 conflict
├── StoreDown             503 SERVICE_UNAVAILABLE
├── PayloadTooLarge       413 payload_too_large
└── RateLimited           429 rate_limit_exceeded
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

BAD_KEY = "Unauthorized. Go to https://app.onlyfansapi.com/api-keys to get your API key."  # clients compare this text
KEY_HELP = "Send a valid API key as `Authorization: Bearer <key>`; on this gateway `ofapi keys create` makes one."


def _text(text: str) -> str:
    """Bytes that are no text arrive as lone surrogates, for which JSON has no form."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


class ApiError(Exception):
    """An answer other than success: `{"error": code, "message": message, "errors"?: {field: [text]}}`."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        errors: Mapping[str, Sequence[str]] | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = _text(message)
        self.errors = {_text(k): [_text(line) for line in v] for k, v in errors.items()} if errors else None
        self.headers = tuple(headers)

    def body(self) -> dict[str, Any]:
        """The JSON object that the client gets."""
        out: dict[str, Any] = {"error": self.code, "message": self.message}
        if self.errors:
            out["errors"] = self.errors
        return out


class ValidationFailed(ApiError):
    """422 in the Laravel shape; the first text is also the message."""

    def __init__(self, errors: Mapping[str, Sequence[str]], *, code: str = "VALIDATION_ERROR") -> None:
        first = next((text for texts in errors.values() for text in texts), "The given data was invalid.")
        super().__init__(422, code, first, errors=errors)

    @classmethod
    def of(cls, field: str, text: str) -> ValidationFailed:
        return cls({field: [text]})


class NotFound(ApiError):
    def __init__(self, message: str, *, code: str = "not_found") -> None:
        super().__init__(404, code, message)


class Unauthorized(ApiError):
    def __init__(self, message: str = KEY_HELP, *, code: str = BAD_KEY) -> None:
        super().__init__(401, code, message, headers=(("WWW-Authenticate", "Bearer"),))


class Forbidden(ApiError):
    def __init__(self, message: str) -> None:
        super().__init__(403, "forbidden", message)


class InsufficientCredits(ApiError):
    def __init__(self, needed: int, balance: int) -> None:
        text = (
            f"This request costs {needed} credits and the team has {balance}. Add credits with `ofapi teams credits`."
        )
        super().__init__(402, "insufficient_credits", text)
        self.balance = balance


class Conflict(ApiError):
    """409; a permanent conflict tells clients not to retry."""

    def __init__(self, message: str, *, code: str = "conflict", retry: bool = False) -> None:
        super().__init__(409, code, message, headers=() if retry else (("x-should-retry", "false"),))


class StoreDown(ApiError):
    """Our store does not answer, or takes no writes: the same request may work in a few seconds."""

    def __init__(self) -> None:
        text = "The gateway's store does not answer at the moment. Try again in a few seconds."
        super().__init__(503, "SERVICE_UNAVAILABLE", text, headers=(("Retry-After", "5"),))


class PayloadTooLarge(ApiError):
    def __init__(self, limit: int) -> None:
        super().__init__(413, "payload_too_large", f"The request body is larger than the limit of {limit} bytes.")


class RateLimited(ApiError):
    """Our own limit (429); upstream's has another code."""

    def __init__(self, limit: int, retry_after_s: int) -> None:
        text = f"This team may send {limit} requests per minute. Try again in {retry_after_s} s."
        super().__init__(429, "rate_limit_exceeded", text, headers=(("Retry-After", str(retry_after_s)),))
