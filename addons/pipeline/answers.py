"""From what the stages decided to what the client reads: header policy, JSON bodies, errors."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from addons.pipeline.errors import ApiError
from addons.pipeline.exchange import Headers, Response

if TYPE_CHECKING:
    from addons.pipeline.exchange import Exchange

JSON_TYPE = "application/json"
_DOWN = frozenset(
    {
        "content-type",
        "content-language",
        "content-disposition",
        "content-range",
        "accept-ranges",
        "etag",
        "last-modified",
        "cache-control",
        "expires",
        "retry-after",
        "allow",
    }
)
"""Upstream's answer headers that concern the client. All others (Set-Cookie, Server, CF-…, X-…, Via) stay here."""
_STREAMED = _DOWN | {"content-encoding", "content-length"}
_VALIDATORS = ("etag", "last-modified")
API_ROOT = "/api2/v2/"


def down_headers(upstream: Headers, *, streamed: bool, edited: bool = False, swapped: bool = False) -> Headers:
    """The part of upstream's headers that the client sees.

    `streamed`: the body goes on as encoded upstream, so its encoding and length stay true. `edited`: the body is no
    longer the one that upstream's validators name. `swapped`: it is, but for the addresses of media files, which upstream
    too writes anew each time; so its tag holds, as a weak one.
    """
    keep = _STREAMED if streamed else _DOWN
    out = Headers([(k, v) for k, v in upstream if k.lower() in keep])
    if edited:
        out.remove(*_VALIDATORS)
    elif swapped:
        out.remove("last-modified")
        if (tag := out.get("etag")) is not None:
            out.set("ETag", tag if tag.startswith("W/") else f"W/{tag}")
    return out


def location(x: Exchange, value: str) -> str | None:
    """Upstream's redirect as the client may follow it: API paths become ours, other hosts stay, the rest is dropped."""
    try:
        target, here = urlsplit(value), urlsplit(x.upstream.url if x.upstream else "")
    except ValueError:
        return None
    if target.netloc and target.netloc != here.netloc:
        return value if target.scheme in ("http", "https") else None
    if not target.path.startswith(API_ROOT):
        return None
    query = f"?{target.query}" if target.query else ""
    if x.mount == "upstream":
        return target.path + query
    if x.account is None:
        return None
    return f"{x.state.get('prefix', '')}/{x.account.id}/{target.path[len(API_ROOT) :]}{query}"


def dumps(data: Any) -> bytes:
    """JSON of plain Python: Decimal as an exact number, datetime as `2025-01-01T01:01:01+00:00`."""
    try:
        return orjson.dumps(data, _default, _OPTIONS)
    except TypeError as e:
        if "64-bit" not in str(e):
            raise
        return orjson.dumps(_without_big(data), _default, _OPTIONS)


def _without_big(value: Any) -> Any:
    """Integers beyond 64 bits as Decimal, which has a JSON form of any length."""
    if isinstance(value, dict):
        return {k: _without_big(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_big(v) for v in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return Decimal(value)
    return value


_OPTIONS = orjson.OPT_NAIVE_UTC | orjson.OPT_OMIT_MICROSECONDS | orjson.OPT_NON_STR_KEYS


def _default(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f").encode()) if value.is_finite() else None
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def json_response(status: int, body: bytes, headers: list[tuple[str, str]] | None = None) -> Response:
    return Response(status, Headers([("Content-Type", JSON_TYPE), *(headers or ())]), body)


def error_response(error: ApiError, request_id: str) -> Response:
    """The same body in both dialects, so that a client needs one way to read errors."""
    headers = [*error.headers, ("Cache-Control", "no-store"), ("X-OFAPI-Request-Id", request_id)]
    return json_response(error.status, dumps(error.body()), headers)


def internal_error(request_id: str) -> ApiError:
    """What a client sees of a fault of ours: nothing but the id that finds it in the log."""
    text = f"The gateway failed to answer. The operator finds the cause in its log under request {request_id}."
    return ApiError(500, "internal_error", text)


def is_json_type(content_type: str | None) -> bool:
    """Whether a Content-Type says JSON: `application/json`, `application/problem+json`, `text/json`."""
    if not content_type:
        return False
    kind = content_type.partition(";")[0].strip().lower()
    return kind.endswith(("/json", "+json"))


_UPLOAD_TYPES = ("multipart/", "image/", "video/", "audio/", "application/octet-stream")


def is_upload_type(content_type: str | None) -> bool:
    """Whether a Content-Type says that the body is a file, or a form with files."""
    return content_type is not None and content_type.strip().lower().startswith(_UPLOAD_TYPES)
