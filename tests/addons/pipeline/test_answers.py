"""Header policy, JSON bodies and errors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from addons.pipeline.answers import down_headers, dumps, error_response, is_json_type, is_upload_type
from addons.pipeline.errors import ApiError
from addons.pipeline.exchange import Headers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1250.00"), "1250.00"),
        (Decimal("1E+3"), "1000"),
        (Decimal("0.1"), "0.1"),
        (Decimal("NaN"), "null"),
        (datetime(2025, 1, 1, 1, 1, 1, 999, tzinfo=UTC), '"2025-01-01T01:01:01+00:00"'),
        (datetime(2025, 1, 1, 3, 1, 1, tzinfo=timezone(timedelta(hours=2))), '"2025-01-01T03:01:01+02:00"'),
        ({"b", "a"}, '["a","b"]'),
        (2**70, str(2**70)),
        ({1: "ü"}, '{"1":"ü"}'),
    ],
)
def test_plain_python_becomes_json(value: Any, text: str) -> None:
    """Money exact, times as OnlyFans shows them, no integer too long."""
    assert dumps(value).decode() == text


def test_what_has_no_json_form_is_an_error_of_ours() -> None:
    """Never a silent string."""
    with pytest.raises(TypeError):
        dumps(object())


def test_headers_come_down_by_an_allow_list() -> None:
    """Encoding and length only where the body goes on as it came; validators only where it is upstream's."""
    upstream = Headers(
        [(k, "x") for k in ("Content-Type", "ETag", "Set-Cookie", "Content-Encoding", "Content-Length", "X-A")]
    )
    assert [k for k, _ in down_headers(upstream, streamed=False)] == ["Content-Type", "ETag"]
    assert [k for k, _ in down_headers(upstream, streamed=False, edited=True)] == ["Content-Type"]
    assert len(down_headers(upstream, streamed=True)) == 4


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("application/json", True),
        ("application/JSON; charset=utf-8", True),
        ("application/problem+json", True),
        ("text/html", False),
        ("application/jsonx", False),
        (None, False),
    ],
)
def test_json_types(kind: str | None, expected: bool) -> None:
    """By subtype, parameters aside."""
    assert is_json_type(kind) is expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("Multipart/form-data; boundary=b", True),
        ("video/mp4", True),
        ("application/json", False),
        ("", False),
        (None, False),
    ],
)
def test_upload_types(kind: str | None, expected: bool) -> None:
    """Files, and forms that may hold some."""
    assert is_upload_type(kind) is expected


def test_errors_are_json_and_not_cached() -> None:
    """With the headers of the error and the request id."""
    got = error_response(ApiError(429, "code", "text", headers=(("Retry-After", "3"),)), "01X")
    assert got.body == b'{"error":"code","message":"text"}'
    assert (got.headers.get("retry-after"), got.headers.get("cache-control")) == ("3", "no-store")


def test_errors_about_what_is_no_text() -> None:
    """Bytes that are no UTF-8 are named with a question mark, never a failure of ours."""
    error = ApiError(405, "code", "G\udcffT ü", errors={"f\udcff": ["\udcff"]})
    assert error_response(error, "01X").body == '{"error":"code","message":"G?T ü","errors":{"f?":["?"]}}'.encode()
