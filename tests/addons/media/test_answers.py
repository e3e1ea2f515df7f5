"""Errors of the file server have the gateway's shape and stable codes."""

from __future__ import annotations

import json

import pytest

from addons.media import answers
from addons.media.fetch import BadStatus, FetchFailed
from addons.media.transfer import Broken


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (BadStatus(301), 422, "VALIDATION_ERROR"),
        (BadStatus(401), 403, "ONLYFANS_COM_ERROR"),
        (BadStatus(403), 403, "ONLYFANS_COM_ERROR"),
        (BadStatus(410), 410, "ONLYFANS_COM_ERROR"),
        (BadStatus(429, 3.0), 429, "ONLYFANS_COM_RATE_LIMIT_ERROR"),
        (BadStatus(418), 502, "ONLYFANS_COM_ERROR"),
        (FetchFailed("refused", "10.0.0.1 is not a public address", retry=False), 422, "VALIDATION_ERROR"),
        (FetchFailed("timeout", ""), 504, "upstream_timeout"),
        (FetchFailed("connect", "refused"), 502, "upstream_unreachable"),
        (Broken("x"), 502, "upstream_unreachable"),
    ],
)
def test_upstream_problems(error: Exception, status: int, code: str) -> None:
    """Each cause has one status and code; validation errors name the field."""
    found = answers.upstream_problem(error, "cdn_url")
    assert (found.status, found.code) == (status, code)
    assert (status != 422) or list(found.errors or {}) == ["cdn_url"]


def test_errors_are_json_and_not_cached() -> None:
    """`{error, message}`, with the error's own headers."""
    answer = answers.error(answers.upstream_problem(BadStatus(429, 3.0), "url"))
    assert answer.status == 429
    assert answer.headers["Retry-After"] == "3"
    assert answer.headers["Cache-Control"] == "no-store"
    assert isinstance(answer.body, bytes)
    assert set(json.loads(answer.body)) == {"error", "message"}
