"""Between mitmproxy's messages and the pipeline's."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterable

from mitmproxy import http
from mitmproxy.connection import Server
from mitmproxy.net.http import status_codes

from addons.engine.encodings import accepts_all
from addons.engine.state import FlowState
from addons.net.proxy_url import read_proxy_url
from addons.pipeline.exchange import Headers, Request, Response, ResponseHead, UpstreamRequest

FRAMING = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"te", b"trailer", b"upgrade")
)
_LENGTH = frozenset((b"content-length", b"content-encoding"))
_BODY_METHODS = frozenset(("POST", "PUT", "PATCH"))
_BREAK = re.compile(rb"[\r\n\0]+[ \t]*")
Fields = list[tuple[bytes, bytes]]


class ProxyHost(str):
    """Host of an account's upstream proxy. Two accounts with different credentials never share a tunnel."""

    __slots__ = ("authorization",)
    authorization: bytes | None

    def __new__(cls, host: str, authorization: bytes | None) -> ProxyHost:
        self = super().__new__(cls, host)
        self.authorization = authorization
        return self

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other) is True and self.authorization == getattr(other, "authorization", None)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return str.__hash__(self)


def headers_of(fields: Iterable[tuple[bytes, bytes]]) -> Headers:
    return Headers((k.decode("utf-8", "surrogateescape"), v.decode("utf-8", "surrogateescape")) for k, v in fields)


def fields_of(headers: Headers) -> Fields:
    return [(k.encode("utf-8", "surrogateescape"), v.encode("utf-8", "surrogateescape")) for k, v in headers]


def request_of(request: http.Request, body: bytes | None = None) -> Request:
    """The client's request. `target` is as sent."""
    fields = [kv for kv in request.headers.fields if kv[0].lower() not in FRAMING]
    if request.data.authority and not any(k.lower() == b"host" for k, _ in fields):
        fields.insert(0, (b"host", request.data.authority))
    return Request(request.method, request.path, headers_of(fields), body)


def head_of(response: http.Response) -> ResponseHead:
    """Upstream's status and headers, without those that belong to its connection."""
    fields = ((k, _one_line(v)) for k, v in response.headers.fields if k.lower() not in FRAMING)
    return ResponseHead(response.status_code, headers_of(fields))


def _one_line(value: bytes) -> bytes:
    """A folded value unfolded (RFC 9112 5.2), and nothing in it that would end a line."""
    return _BREAK.sub(b" ", value) if _BREAK.search(value) else value


def split_url(url: str) -> tuple[str, str, int, bytes, bytes]:
    """scheme, host, port, authority, path with query of an absolute URL."""
    scheme, _, rest = url.partition("://")
    cut = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    authority, path = rest[:cut], rest[cut:]
    if not path.startswith("/"):
        path = "/" + path
    name, colon, number = authority.rpartition(":")
    if colon and number.isdigit():
        host, port = name, int(number)
    else:
        host, port = authority, 443 if scheme == "https" else 80
    return scheme, host.strip("[]"), port, authority.encode("idna"), path.encode("utf-8", "surrogateescape")


def to_upstream(up: UpstreamRequest, client: http.Request, *, streamed: bool) -> http.Request:
    """The request that goes out. A new object: mitmproxy still frames the client's side by the old one."""
    scheme, host, port, authority, path = split_url(up.url)
    fields: Fields = [(b"Host", authority)]
    fields += [kv for kv in fields_of(up.headers) if kv[0].lower() not in FRAMING and kv[0].lower() not in _REPLACED]
    body = None if streamed else up.body or b""
    if streamed:
        fields += [kv for kv in client.headers.fields if kv[0].lower() in _STREAM_FRAMING and _known_expectation(*kv)]
    elif body or up.method in _BODY_METHODS:
        fields.append((b"Content-Length", str(len(body or b"")).encode()))
    version = b"HTTP/2.0" if client.is_http2 else b"HTTP/1.1"
    return http.Request(
        host=host,
        port=port,
        method=up.method.encode(),
        scheme=scheme.encode(),
        authority=b"",
        path=path,
        http_version=version,
        headers=http.Headers(fields),
        content=body,
        trailers=None,
        timestamp_start=client.timestamp_start,
        timestamp_end=client.timestamp_end,
    )


def _known_expectation(name: bytes, value: bytes) -> bool:
    """mitmproxy answers `Expect: 100-continue` itself; any other would go up."""
    return name.lower() != b"expect" or value.lower() == b"100-continue"


_REPLACED = frozenset((b"host", b"content-length", b"expect"))
_STREAM_FRAMING = frozenset((b"content-length", b"transfer-encoding", b"expect"))


def via_of(proxy_url: str) -> tuple[str, tuple[str, int]]:
    """mitmproxy's form of `http://user:password@host:port`. Raises ValueError."""
    found = read_proxy_url(proxy_url)
    token = None if found.credentials is None else b"Basic " + base64.b64encode(found.credentials.encode())
    return found.scheme, (ProxyHost(found.host, token), found.port)


def route(flow: http.HTTPFlow, proxy_url: str | None) -> None:
    """Send this flow through the account's own proxy, or straight; either way not as the request before it."""
    if proxy_url is None and flow.server_conn.via is None:
        return
    server = Server(address=flow.server_conn.address)
    if proxy_url:
        server.via = via_of(proxy_url)  # type: ignore[assignment]
    flow.server_conn = server


def bodiless(status: int) -> bool:
    return status in (204, 304) or 100 <= status < 200


def to_http(response: Response, state: FlowState, raw: bytes | None = None, coding: bytes = b"") -> http.Response:
    """The answer to the client, framed. `raw` with `coding`: upstream's own bytes, sent in place of `response.body`."""
    kept = [kv for kv in fields_of(response.headers) if kv[0].lower() not in FRAMING and kv[0].lower() not in _LENGTH]
    body = response.body if raw is None else raw
    if coding:
        kept.append((b"Content-Encoding", coding))
    if bodiless(response.status):
        body = b""
    else:
        stated = response.headers.get("content-length") if state.client_head and not body else str(len(body))
        if stated is not None:
            kept.append((b"Content-Length", stated.encode()))
    if state.client_http10:
        kept.append((b"Connection", b"close"))
    return _response(response.status, kept, b"" if state.client_head else body)


def to_http_head(head: ResponseHead, state: FlowState, *, decoded: bool) -> http.Response:
    """An answer whose body is not held: upstream's framing where it still holds, else chunked."""
    dropped = FRAMING | _LENGTH if decoded or head.status == 204 else FRAMING
    kept = [kv for kv in fields_of(head.headers) if kv[0].lower() not in dropped]
    has_length = any(k.lower() == b"content-length" for k, _ in kept)
    no_body = state.client_head or bodiless(head.status)
    if state.client_http10:
        kept.append((b"Connection", b"close"))
    elif not has_length and not no_body and not state.client_http2:
        kept.append((b"Transfer-Encoding", b"chunked"))
    return _response(head.status, kept, None)


def _response(status: int, fields: Fields, body: bytes | None) -> http.Response:
    reason = status_codes.RESPONSES.get(status, "")
    now = time.time()
    return http.Response(
        http_version=b"HTTP/1.1",
        status_code=status,
        reason=reason.encode(),
        headers=http.Headers(fields),
        content=body,
        trailers=None,
        timestamp_start=now,
        timestamp_end=now,
    )


def client_takes(coding: str, state: FlowState) -> bool:
    """Whether the client accepts upstream's codings, so that its bytes can go through as they came."""
    return accepts_all(state.accept_encoding, coding)
