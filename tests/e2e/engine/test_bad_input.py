"""Broken and hostile requests get a JSON error with a stable code: never HTML, a hang or a crash (issue: bad input)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from addons.engine.policy import Policy
from addons.pipeline.exchange import BodyMode
from tests.e2e.engine.harness import Client, FakeGateway, Upstream, client, engine, reply, until, upstream

POLICY = Policy(header_bytes=65_536, json_body_bytes=1000, upload_body_bytes=200_000, read_timeout_s=5)


async def _one(port: int, raw: bytes) -> tuple[int, dict[str, str]]:
    async with client(port) as c:
        await c.send(raw)
        got = await c.read()
    assert got.header("content-type") == "application/json", got
    return got.status, json.loads(got.body)


BAD = [
    # heads
    (b"GARBAGE\r\n\r\n", 400, "bad_request"),
    (b"GET\r\n\r\n", 400, "bad_request"),
    (b"GET / HTTP/1.1\r\nno colon here\r\n\r\n", 400, "bad_request"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n", 400, "bad_request"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n folded\r\n\r\n", 400, "bad_request"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400, "bad_request"),
    (b"GET / HTTP/3.7\r\nHost: a\r\n\r\n", 505, "bad_request"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "bad_request"),
    # smuggling
    (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "bad_request",
    ),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400, "bad_request"),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\nabc", 400, "bad_request"),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc", 400, "bad_request"),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\nabc", 400, "bad_request"),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400, "bad_request"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "bad_request"),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400, "bad_request"),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400, "bad_request"),
    # methods and targets
    (b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 405, "method_not_allowed"),
    (b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405, "method_not_allowed"),
    (b"G\xffT / HTTP/1.1\r\nHost: a\r\n\r\n", 405, "method_not_allowed"),
    (b"CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n", 403, "forbidden"),
    (b"GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request"),
    (b"GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request"),
    # bodies
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n" + b"x" * 1001, 413, "payload_too_large"),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", 413, "payload_too_large"),
    (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"3e8\r\n"
        + b"x" * 1000
        + b"\r\n1\r\nx\r\n",
        413,
        "payload_too_large",
    ),
    (b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5000\r\n\r\n", 413, "payload_too_large"),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", 400, "bad_request"),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n", 400, "bad_request"),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}}\r\n0\r\n\r\n", 400, "bad_request"),
]


@pytest.mark.parametrize(("raw", "status", "code"), BAD, ids=range(len(BAD)))
async def test_refused_as_json(raw: bytes, status: int, code: str, tmp_path: Path) -> None:
    """Each broken request is refused with its status and code, and nothing goes up."""
    async with upstream(lambda s: reply()) as up, engine(FakeGateway(up.url), tmp_path, POLICY) as run:
        got, body = await _one(run.port, raw)
        assert (got, body["error"]) == (status, code)
        assert body["message"]
        assert "mitmproxy" not in body["message"]
        assert not up.seen


@pytest.mark.parametrize("ended", [True, False])
async def test_headers_are_bounded(ended: bool, tmp_path: Path) -> None:
    """More than 64 KB of headers is 431, also when no line ever ends."""
    raw = b"GET / HTTP/1.1\r\nHost: a\r\n"
    raw += b"".join(b"X-%d: %s\r\n" % (i, b"y" * 990) for i in range(70)) + b"\r\n" if ended else b"X: " + b"y" * 70_000
    async with engine(FakeGateway("http://127.0.0.1:1"), tmp_path, POLICY) as run:
        assert await _one(run.port, raw) == (
            431,
            {
                "error": "headers_too_large",
                "message": "The request's headers are larger than the limit of 65536 bytes.",
            },
        )


async def test_the_request_line_is_bounded(tmp_path: Path) -> None:
    """A URL that alone is over the limit is 414."""
    async with engine(FakeGateway("http://127.0.0.1:1"), tmp_path, POLICY) as run:
        status, body = await _one(run.port, b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (status, body["error"]) == (414, "uri_too_long")


async def test_headers_below_the_bound_pass(tmp_path: Path) -> None:
    """60 KB of headers are read, whatever body follows in the same packet."""
    async with upstream(lambda s: reply()) as up, engine(FakeGateway(up.url), tmp_path) as run:
        async with client(run.port) as c:
            got = await c.ask("POST", "/", "X: " + "y" * 60_000, body=b"z" * 20_000)
        assert got.status == 200
        assert len(up.seen[0].body) == 20_000


async def test_upload_over_its_limit_while_streaming(tmp_path: Path) -> None:
    """A chunked upload over its own limit is 413, and upstream never gets the end of it."""
    async with (
        upstream(lambda s: reply()) as up,
        engine(FakeGateway(up.url), tmp_path, POLICY) as run,
        client(run.port) as c,
    ):
        await c.send(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n")
        await c.send(b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(30):
            await c.send(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
        got = await c.read()
        assert (got.status, json.loads(got.body)["error"]) == (413, "payload_too_large")
        assert not up.seen
        assert [x.response.status for x in run.gateway.after_calls if x.response] == [413]


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=b"])
@pytest.mark.parametrize(
    "chunk", [b"30d40\r\n" + b"x" * 200_000 + b"\r\n1\r\nx\r\n", b"zz\r\n"], ids=["long", "broken"]
)
async def test_a_body_that_is_refused_after_100_continue(kind: str, chunk: bytes, tmp_path: Path) -> None:
    """What turns out too large, or no body, is still answered."""
    async with upstream(lambda s: reply()) as up, engine(FakeGateway(up.url), tmp_path, POLICY) as run:
        async with client(run.port) as c:
            head = f"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Type: {kind}\r\n"
            await c.send(f"{head}Transfer-Encoding: chunked\r\n\r\n")
            assert (await c.read()).status == 100
            await c.send(chunk)
            assert (await c.read()).status == (400 if chunk.startswith(b"zz") else 413)


@pytest.mark.parametrize("framing", ["Content-Length: 150000", "Transfer-Encoding: chunked"])
async def test_what_is_held_has_the_limit_of_json(framing: str, tmp_path: Path) -> None:
    """A body that says it is an upload, where none is streamed, is 413 before it fills the memory."""
    gateway = FakeGateway("http://127.0.0.1:1")
    gateway.request_mode = lambda x: BodyMode.BUFFER  # type: ignore[method-assign]
    async with engine(gateway, tmp_path, POLICY) as run, client(run.port) as c:
        await c.send(
            f"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n{framing}\r\n\r\n"
        )
        await c.send(b"x" * 150_000 if "Length" in framing else b"7d0\r\n" + b"x" * 2000 + b"\r\n")
        got = await c.read()
        assert (got.status, json.loads(got.body)["error"]) == (413, "payload_too_large")


async def test_unauthorised_upload_is_not_held(tmp_path: Path) -> None:
    """A refused upload is answered before its body has come, which is read into nothing."""
    async with upstream(lambda s: reply()) as up, engine(FakeGateway(up.url), tmp_path) as run, client(run.port) as c:
        head = "POST /up HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer wrong\r\nContent-Type: multipart/form-data\r\n"
        await c.send(head + "Content-Length: 30000000\r\n\r\n")
        got = await c.read()
        assert (got.status, got.header("connection")) == (401, "close")
        await c.send(b"x" * 30_000_000)
        assert await c.reader.read() == b""
        assert not up.seen


async def test_a_broken_upload_is_refused_while_it_streams(tmp_path: Path) -> None:
    """Chunks that are none end a streamed upload with 400; upstream never gets its end."""
    async with upstream(lambda s: reply()) as up, engine(FakeGateway(up.url), tmp_path) as run, client(run.port) as c:
        await c.send(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n")
        await c.send(b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await until(lambda: up.connections == 1)
        await c.send(b"zz\r\n")
        got = await c.read()
        assert (got.status, json.loads(got.body)["error"]) == (400, "bad_request")
        await until(lambda: up.closed == 1 and len(run.gateway.after_calls) == 1)
        assert not up.seen


async def test_trailers_are_dropped(tmp_path: Path) -> None:
    """Trailers, which mitmproxy cannot read, are dropped in both directions."""
    chunked = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX: y\r\n\r\n"
    async with upstream(lambda s: chunked) as up, engine(FakeGateway(up.url), tmp_path) as run, client(run.port) as c:
        for _ in range(2):
            await c.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nT: v\r\n\r\n")
            got = await c.read()
            assert (got.status, got.body) == (200, b"{}")
        assert [s.body for s in up.seen] == [b"x", b"x"]


async def test_leading_empty_lines_are_skipped(tmp_path: Path) -> None:
    """Empty lines before a request are no request (RFC 9112 2.2)."""
    async with upstream(lambda s: reply()) as up, engine(FakeGateway(up.url), tmp_path) as run, client(run.port) as c:
        await c.send(b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await c.read()).status == 200


async def test_error_keeps_service_alive(tmp_path: Path) -> None:
    """After every kind of broken input the next client is served."""
    async with upstream(lambda s: reply()) as up, engine(FakeGateway(up.url), tmp_path, POLICY) as run:
        for raw, _, _ in BAD:
            c = await Client.open(run.port)
            await c.send(raw)
            c.close()
        async with client(run.port) as c:
            assert (await c.ask("GET", "/")).status == 200
        assert isinstance(up, Upstream)
