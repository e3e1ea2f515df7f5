"""Between mitmproxy's messages and the pipeline's: nothing is lost, framing is ours."""

from __future__ import annotations

import pytest
from mitmproxy.test import tutils

from addons.engine.messages import ProxyHost, head_of, request_of, split_url, to_http, to_http_head, to_upstream, via_of
from addons.engine.state import FlowState
from addons.pipeline.exchange import Headers, Response, ResponseHead, UpstreamRequest


def state(**over: bool) -> FlowState:
    return FlowState(None, 0, 0.0, 0, **over)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://onlyfans.com/api2/v2/x?y=[1]", ("https", "onlyfans.com", 443, b"onlyfans.com", b"/api2/v2/x?y=[1]")),
        ("http://127.0.0.1:8080?x=1", ("http", "127.0.0.1", 8080, b"127.0.0.1:8080", b"/?x=1")),
        ("http://h", ("http", "h", 80, b"h", b"/")),
        ("http://[::1]:9/a%2Fb", ("http", "::1", 9, b"[::1]:9", b"/a%2Fb")),
        ("http://h/a?u=http://x:1/y", ("http", "h", 80, b"h", b"/a?u=http://x:1/y")),
    ],
)
def test_split_url(url: str, parts: tuple[object, ...]) -> None:
    """Paths go out as given; ports default by scheme."""
    assert split_url(url) == parts


def test_request_of_keeps_order_bytes_and_target() -> None:
    """Headers keep order, spelling and odd bytes; those of the connection stay behind."""
    fields = ((b"B", b"\xff"), (b"Connection", b"close"), (b"a", b"1"), (b"a", b"2"), (b"TE", b"x"))
    got = request_of(tutils.treq(path=b"/x%2F?y", headers=fields), b"body")
    assert got.headers.items()[0][1].encode("utf-8", "surrogateescape") == b"\xff"
    assert [k for k, _ in got.headers] == ["B", "a", "a"]
    assert (got.target, got.body) == ("/x%2F?y", b"body")


def test_to_upstream_frames_by_itself() -> None:
    """Host and length are ours; a streamed body keeps the client's framing."""
    client = tutils.treq(headers=((b"transfer-encoding", b"chunked"), (b"expect", b"100-continue")))
    up = UpstreamRequest("POST", "http://h:1/p", Headers([("Content-Length", "99"), ("X", "y")]), b"abc")
    got = to_upstream(up, client, streamed=False)
    assert got.headers.fields == ((b"Host", b"h:1"), (b"X", b"y"), (b"Content-Length", b"3"))
    streamed = to_upstream(up, client, streamed=True)
    assert streamed.headers.fields[-2:] == ((b"transfer-encoding", b"chunked"), (b"expect", b"100-continue"))
    assert streamed.raw_content is None
    odd = tutils.treq(headers=((b"content-length", b"3"), (b"expect", b"\xba100-continue")))
    assert to_upstream(up, odd, streamed=True).headers.fields[-1] == (b"content-length", b"3")
    assert got is not client


def test_to_http_lengths() -> None:
    """Content-Length is that of the body; HEAD keeps what was stated; 204 and 304 have none."""
    headers = Headers([("Content-Length", "5"), ("Content-Encoding", "gzip"), ("Connection", "x"), ("A", "b")])
    assert to_http(Response(200, headers, b"abc"), state()).headers.fields == ((b"A", b"b"), (b"Content-Length", b"3"))
    head = to_http(Response(200, headers, b""), state(client_head=True))
    assert (head.headers["content-length"], head.raw_content) == ("5", b"")
    assert to_http(Response(200, Headers(), b"abc"), state(client_head=True)).headers["content-length"] == "3"
    assert "content-length" not in to_http(Response(200, Headers(), b""), state(client_head=True)).headers
    for status in (204, 304):
        assert to_http(Response(status, headers, b"x"), state()).headers.fields == ((b"A", b"b"),)


def test_to_http_head_framing() -> None:
    """A stated length stays while the bytes do; else HTTP/1.1 is chunked, HTTP/1.0 ends with the connection."""
    head = ResponseHead(200, Headers([("Content-Length", "5"), ("Content-Encoding", "gzip")]))
    assert to_http_head(head, state(), decoded=False).headers["content-length"] == "5"
    assert to_http_head(head, state(), decoded=True).headers.fields == ((b"Transfer-Encoding", b"chunked"),)
    assert to_http_head(head, state(client_http10=True), decoded=True).headers.fields == ((b"Connection", b"close"),)
    assert to_http_head(head, state(client_http2=True), decoded=True).headers.fields == ()


@pytest.mark.parametrize(("status", "length"), [(204, None), (304, "5"), (200, "5")])
def test_no_length_where_no_body_may_be(status: int, length: str | None) -> None:
    """A 204 states none (RFC 9110 8.6), whatever upstream says; a 304 states that of the body it stands for."""
    head = ResponseHead(status, Headers([("Content-Length", "5")]))
    assert to_http_head(head, state(), decoded=False).headers.get("content-length") == length


def test_upstreams_values_are_one_line() -> None:
    """What upstream folded or broke never ends a line of ours."""
    response = tutils.tresp(headers=((b"ETag", b"a\r\n\tb"), (b"X", b"a\r\nSet-Cookie: c\0d"), (b"Y", b"\xff")))
    assert head_of(response).headers.items() == [("ETag", "a b"), ("X", "a Set-Cookie: c d"), ("Y", "\udcff")]


def test_head_of_drops_connection_headers() -> None:
    """Upstream's connection is not the client's."""
    response = tutils.tresp(headers=((b"Connection", b"close"), (b"Transfer-Encoding", b"chunked"), (b"ETag", b"x")))
    assert head_of(response).headers.items() == [("ETag", "x")]


def test_via_keeps_credentials_apart() -> None:
    """Two accounts behind one proxy address are two destinations, and equal ones are one."""
    ann, bob = via_of("http://ann:a%40b@p:1"), via_of("http://bob:x@p:1")
    assert ann == via_of("http://ann:a%40b@p:1")
    assert ann != bob
    assert ann != via_of("http://p:1")
    assert isinstance(ann[1][0], ProxyHost)
    assert ann[1][0].authorization == b"Basic YW5uOmFAYg=="
    assert ann[1] == (ann[1][0], 1)


@pytest.mark.parametrize("url", ["p:1", "socks5://p:1", "http://:1", "http://p:x"])
def test_broken_proxy_urls(url: str) -> None:
    """What is no proxy URL is refused, so that a request never leaves without its proxy."""
    with pytest.raises(ValueError, match="upstream proxy"):
        via_of(url)
