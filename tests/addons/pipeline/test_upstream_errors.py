"""Upstream's failures in the contract's words."""

from __future__ import annotations

import pytest

from addons.pipeline.exchange import Headers, Response
from addons.pipeline.upstream_errors import is_dead_session, read_error, translate


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"error":{"code":301,"message":"Wrong user."}}', (301, "Wrong user.")),
        (b'{"error":{"code":"x"}}', (None, None)),
        (b'{"error":"text"}', (None, None)),
        (b"<html>", (None, None)),
        (b"", (None, None)),
        (b"[" * 9999, (None, None)),
    ],
)
def test_upstreams_error_object_is_read_where_there_is_one(body: bytes, expected: tuple[object, object]) -> None:
    """Anything else says nothing."""
    assert read_error(body) == expected


@pytest.mark.parametrize(
    ("status", "body", "dead"),
    [
        (401, b"", True),
        (401, b"<html>", True),
        (400, b'{"error":{"code":101}}', True),
        (403, b'{"error":{"code":301}}', False),
        (403, b"", False),
        (200, b'{"error":{"code":101}}', False),
    ],
)
def test_a_dead_session_is_a_401_or_its_code(status: int, body: bytes, dead: bool) -> None:
    """A 403 alone is a refusal, not a dead session."""
    assert is_dead_session(status, body) is dead


def test_upstreams_message_is_passed_on_as_text_bounded() -> None:
    """With the status; never more than 500 characters of it."""
    body = b'{"error":{"code":1,"message":"' + b"x" * 9000 + b'"}}'
    error = translate(Response(400, Headers(), body))
    assert error.message.startswith("OnlyFans returned an error [400]: xxx")
    assert len(error.message) < 600


def test_a_throttle_without_retry_after_gets_one() -> None:
    """Clients always learn when to come back."""
    assert dict(translate(Response(429, Headers(), b"")).headers)["Retry-After"] == "30"
