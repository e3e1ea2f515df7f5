"""Errors that mitmproxy meets by itself are JSON with a stable code."""

from __future__ import annotations

import json

import pytest

from addons.engine.errorpages import error_response, format_body


@pytest.mark.parametrize(
    ("status", "message", "want", "code"),
    [
        (400, "Bad HTTP request line: b'x'", 400, "bad_request"),
        (413, "too large", 413, "payload_too_large"),
        (431, "too large", 431, "headers_too_large"),
        (502, "connection refused", 502, "upstream_unreachable"),
        (400, "mitmproxy received an HTTP CONNECT request even though it is not", 405, "method_not_allowed"),
        (418, "", 418, "bad_request"),
        (500, "x", 500, "internal_error"),
    ],
)
def test_codes(status: int, message: str, want: int, code: str) -> None:
    """Status and code, in a whole answer that closes the connection."""
    head, _, body = error_response(status, message).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % want)
    assert b"application/json" in head
    assert b"Connection: close" in head
    assert json.loads(body)["error"] == code
    assert json.loads(format_body(status, message)) == json.loads(body)


def test_mitmproxy_is_not_named() -> None:
    """Advice about mitmproxy's options is not for API clients; long texts are cut."""
    text = "Received invalid header from client, refusing to prevent request smuggling attacks. "
    text += "Disable the validate_inbound_headers option to skip this security check."
    shown = json.loads(format_body(400, text))["message"]
    assert shown == "Received invalid header from client"
    assert len(json.loads(format_body(400, "x" * 9000))["message"]) == 500


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("Bad HTTP request line: b'GET /a b HTTP/1.1'", "Bad HTTP request line: 'GET /a b HTTP/1.1'"),
        ("Exceeds the limit (4300 digits) for integer string conversion: use sys.x", "invalid content-length header"),
    ],
)
def test_python_is_not_shown(message: str, shown: str) -> None:
    """What a client reads is about HTTP, not about how it was read."""
    assert json.loads(format_body(400, message))["message"] == shown


def test_odd_characters() -> None:
    """A message is data: quotes, markup and bytes that are no text stay valid JSON."""
    message = 'a"b <script> \udcff'
    assert json.loads(format_body(400, message))["message"].startswith('a"b <script>')
