"""Errors that mitmproxy answers by itself, as JSON instead of its HTML pages.

`format_body` replaces mitmproxy's `format_error`, `error_response` its `make_error_response`.
"""

from __future__ import annotations

import json
import re

from mitmproxy import http
from mitmproxy.net.http import http1, status_codes

_OPTION_HINT = re.compile(
    r",? ?(refusing to prevent request smuggling attacks\.)? ?Disable the \w+ option.*$", re.DOTALL
)
_BYTES = re.compile(r"\bb(?=['\"])")
_TOO_MANY_DIGITS = "Exceeds the limit ("
_CODES = {
    400: "bad_request",
    405: "method_not_allowed",
    413: "payload_too_large",
    414: "uri_too_long",
    431: "headers_too_large",
    502: "upstream_unreachable",
    504: "upstream_timeout",
    505: "bad_request",
}
_CONNECT = "mitmproxy received an HTTP CONNECT request"
_CONNECT_TEXT = "This gateway is no proxy: config `proxy.enabled` is false."


def code_of(status: int) -> str:
    """The stable error code for a status."""
    return _CODES.get(status, "bad_request" if status < 500 else "internal_error")


def body_of(code: str, message: str) -> bytes:
    return json.dumps({"error": code, "message": message}, ensure_ascii=False).encode("utf-8", "replace")


def _rewrite(status: int, message: str) -> tuple[int, str]:
    if message.startswith(_CONNECT):
        return 405, _CONNECT_TEXT
    if message.startswith(_TOO_MANY_DIGITS):  # Python's words about a number that it does not read
        message = "invalid content-length header"
    text = _BYTES.sub("", _OPTION_HINT.sub("", message)).strip() or status_codes.RESPONSES.get(status, "Error")
    return status, text[:500]


def format_body(status_code: int, message: str) -> bytes:
    """The body for an error that mitmproxy met."""
    status, text = _rewrite(status_code, message)
    return body_of(code_of(status), text)


def error_response(status_code: int, message: str = "") -> bytes:
    """A whole HTTP/1 answer, after which the connection closes."""
    status, text = _rewrite(status_code, message)
    response = http.Response.make(
        status,
        body_of(code_of(status), text),
        {"Content-Type": "application/json", "Connection": "close"},
    )
    return bytes(http1.assemble_response(response))
