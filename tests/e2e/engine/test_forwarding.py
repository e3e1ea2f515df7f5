"""Requests through the engine: bodies and framing as upstream sent them (design invariants 1, 6, 7)."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import zlib
from pathlib import Path

import brotli
import pytest
import zstandard

from addons.engine.policy import Policy
from addons.pipeline.exchange import BodyMode, Exchange, Headers, Response
from tests.e2e.engine.harness import FakeGateway, Seen, client, engine, reply, until, upstream

ODD = [
    b'{"a": 1.10, "a": 2, "n": ' + b"9" * 80 + b"}",
    b"not json at all",
    b"<html>\xff\xfe</html>",
    b"",
    b'{"x":"\\u00e9\xc3\xa9"}\r\n\r\n',
    b"\x00" * 5000,
]
ENCODERS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


async def test_forwards_json(tmp_path: Path) -> None:
    """A request goes up with the gateway's headers and comes back with upstream's bytes."""
    async with upstream(lambda s: reply(b'{"a": 1.10, "a": 2}')) as up, engine(FakeGateway(up.url), tmp_path) as run:
        async with client(run.port) as c:
            got = await c.ask("GET", "/x?y=%2F&z=[]", "Authorization: Bearer secret")
            again = await c.ask("GET", "/x")
        await until(lambda: len(run.gateway.after_calls) == 2)
        assert (got.status, got.body, again.status) == (200, b'{"a": 1.10, "a": 2}', 200)
        assert up.seen[0].line == "GET /x?y=%2F&z=[] HTTP/1.1"
        assert up.seen[0].header("authorization") is None
        assert up.seen[0].header("host") == up.url.removeprefix("http://")
        assert up.connections == 1


@pytest.mark.parametrize("kind", ["application/json", "text/html"])
@pytest.mark.parametrize("body", ODD, ids=range(len(ODD)))
async def test_bodies_are_identical(kind: str, body: bytes, tmp_path: Path) -> None:
    """Whatever the bytes, held or streamed, they come through as sent, with status and type."""
    async with upstream(lambda s: reply(body, "203 Odd", kind)) as up, engine(FakeGateway(up.url), tmp_path) as run:
        async with client(run.port) as c:
            got = await c.ask("GET", "/")
        assert (got.status, got.header("content-type"), got.body) == (203, kind, body)


@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
@pytest.mark.parametrize("coding", ENCODERS)
async def test_codings(coding: str, kind: str, tmp_path: Path) -> None:
    """A coding that the client accepts goes through untouched; one that it does not is undone."""
    body = b'{"k": "' + b"v" * 3000 + b'"}'
    packed = ENCODERS[coding](body)
    async with upstream(lambda s: reply(packed, "200 OK", kind, f"Content-Encoding: {coding}")) as up:
        async with engine(FakeGateway(up.url), tmp_path) as run, client(run.port) as c:
            same = await c.ask("GET", "/", f"Accept-Encoding: x, {coding}")
            plain = await c.ask("GET", "/", "Accept-Encoding: identity")
            none = await c.ask("GET", "/")
    assert (same.header("content-encoding"), same.body) == (coding, packed)
    assert (plain.header("content-encoding"), plain.body) == (None, body)
    assert none.body == body


@pytest.mark.parametrize("coding", [*ENCODERS, "made-up"])
async def test_broken_coding_passes_as_it_is(coding: str, tmp_path: Path) -> None:
    """A body that is not what its Content-Encoding says is not edited, and reaches the client as it came."""
    gateway = FakeGateway("", edit=lambda b: b"edited")
    answer = reply(b"\x01\x02 broken", "200 OK", "application/json", f"Content-Encoding: {coding}")
    async with upstream(lambda s: answer) as up:
        gateway.base_url = up.url
        async with engine(gateway, tmp_path) as run, client(run.port) as c:
            got = await c.ask("GET", "/", f"Accept-Encoding: {coding}")
    assert (got.status, got.header("content-encoding"), got.body) == (200, coding, b"\x01\x02 broken")


async def test_edited_body_is_sent_plain(tmp_path: Path) -> None:
    """An edited body has its own length and no coding."""
    packed = gzip.compress(b"{}")
    gateway = FakeGateway("", edit=lambda b: b.replace(b"}", b'"x":1}'))
    async with upstream(lambda s: reply(packed, "200 OK", "application/json", "Content-Encoding: gzip")) as up:
        gateway.base_url = up.url
        async with engine(gateway, tmp_path) as run, client(run.port) as c:
            got = await c.ask("GET", "/", "Accept-Encoding: gzip")
    assert (got.header("content-encoding"), got.header("content-length"), got.body) == (None, "7", b'{"x":1}')


async def test_a_request_that_nobody_prepared_never_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should a hook fail at its very start, the client's request, key and all, does not go where its line says."""

    def broken(*_: object) -> None:
        raise KeyError("unforeseen")

    monkeypatch.setattr("addons.engine.gateway.entry_of", broken)
    async with upstream(lambda s: reply()) as up, engine(FakeGateway(up.url), tmp_path) as run:
        async with client(run.port) as c:
            target = f"{up.url}/x".replace("127.0.0.1", "localhost")
            got = await c.ask("GET", target, "Authorization: Bearer secret")
        assert got.status == 502
        assert not up.connections


async def test_failing_finish_is_a_500_without_the_half_edited_body(tmp_path: Path) -> None:
    """An exception in a stage is 500 internal_error with the request id, never mitmproxy's half-edited body."""

    def broken(body: bytes) -> bytes:
        raise KeyError("secret detail")

    gateway = FakeGateway("", edit=broken)
    async with upstream(lambda s: reply(b'{"a":1}')) as up:
        gateway.base_url = up.url
        async with engine(gateway, tmp_path) as run, client(run.port) as c:
            got = await c.ask("GET", "/")
            assert got.status == 500
            assert b"internal_error" in got.body
            assert b"secret detail" not in got.body
            assert (await c.ask("GET", "/")).status == 500


async def test_head_204_and_304(tmp_path: Path) -> None:
    """Answers without a body are framed right: the next answer on the connection is read correctly."""
    answers = {
        "/head": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n",
        "/204": b"HTTP/1.1 204 No Content\r\n\r\n",
        "/304": b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 77\r\n\r\n',
        "/": reply(b'{"ok":1}'),
    }
    async with upstream(lambda s: answers[s.line.split()[1]]) as up, engine(FakeGateway(up.url), tmp_path) as run:
        async with client(run.port) as c:
            head = await c.ask("HEAD", "/head")
            assert (head.status, head.header("content-length")) == (200, "500")
            assert (await c.ask("GET", "/204")).status == 204
            assert (await c.ask("GET", "/304")).header("etag") == '"x"'
            assert (await c.ask("GET", "/")).body == b'{"ok":1}'


async def test_local_answer_to_head(tmp_path: Path) -> None:
    """HEAD of an answer of our own has its length and no body."""

    async def local(x: Exchange) -> Response:
        return Response(200, Headers([("Content-Type", "application/json")]), b'{"data":[]}')

    async with engine(FakeGateway("", local=local), tmp_path) as run, client(run.port) as c:
        got = await c.ask("HEAD", "/")
        assert (got.status, got.header("content-length")) == (200, "11")
        assert (await c.ask("GET", "/")).body == b'{"data":[]}'


async def test_range_and_unknown_length(tmp_path: Path) -> None:
    """206 keeps its headers; bodies that end with the connection or come in chunks arrive whole, and ours stays open."""
    part = reply(b"abc", "206 Partial Content", "video/mp4", "Content-Range: bytes 0-2/9")
    until_close = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nuntil close"
    chunked = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"

    def answer(s: Seen) -> bytes:
        return {"/p": part, "/c": chunked}[s.line.split()[1]]

    async with upstream(answer) as up, upstream(lambda s: until_close, close_after=1) as closing:
        gateway = FakeGateway(up.url)
        async with engine(gateway, tmp_path) as run, client(run.port) as c:
            got = await c.ask("GET", "/p", "Range: bytes=0-2")
            assert (got.status, got.header("content-range"), got.body) == (206, "bytes 0-2/9", b"abc")
            assert (await c.ask("GET", "/c")).body == b"abcdefg"
            gateway.base_url = closing.url
            assert (await c.ask("GET", "/")).body == b"until close"
            gateway.base_url = up.url
            assert (await c.ask("GET", "/c")).body == b"abcdefg"


async def test_upload_is_streamed(tmp_path: Path) -> None:
    """A multipart upload reaches upstream byte by byte, with Expect: 100-continue and without."""
    body = b"--b\r\n" + bytes(range(256)) * 20_000 + b"\r\n--b--"
    async with upstream(lambda s: reply(hashlib.sha256(s.body).hexdigest().encode(), kind="text/plain")) as up:
        async with engine(FakeGateway(up.url), tmp_path) as run, client(run.port) as c:
            head = "POST /up HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n"
            await c.send(f"{head}Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n")
            assert (await c.read()).status == 100
            await c.send(body)
            assert (await c.read()).body == hashlib.sha256(body).hexdigest().encode()
            got = await c.ask("POST", "/up", "Content-Type: multipart/form-data; boundary=b", body=body)
            assert got.body == hashlib.sha256(body).hexdigest().encode()
            assert run.gateway.begun[0].request.body is None
            assert up.seen[0].header("expect") is None


async def test_chunked_request_and_expect(tmp_path: Path) -> None:
    """A chunked JSON body is held, and sent up with a length."""
    async with (
        upstream(lambda s: reply(s.body)) as up,
        engine(FakeGateway(up.url), tmp_path) as run,
        client(run.port) as c,
    ):
        await c.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert (await c.read()).status == 100
        await c.send(b"3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n")
        assert (await c.read()).body == b"[1,2]"
        assert up.seen[0].header("content-length") == "5"


async def test_large_bodies_turn_to_streaming(tmp_path: Path) -> None:
    """JSON over max_body_bytes is not held: announced or found out on the way, it is streamed and not edited."""
    body = b"[" + b"1," * 60_000 + b"1]"
    chunked = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunked += b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (body[i : i + 9000] for i in range(0, len(body), 9000)))
    gateway = FakeGateway("", edit=lambda b: b"edited")

    def answer(s: Seen) -> bytes:
        return reply(body) if s.line.split()[1] == "/sized" else chunked + b"0\r\n\r\n"

    async with upstream(answer) as up, engine(gateway, tmp_path, Policy(max_body_bytes=50_000)) as run:
        gateway.base_url = up.url
        async with client(run.port) as c:
            assert (await c.ask("GET", "/sized")).body == body
            assert (await c.ask("GET", "/chunked")).body == body
            assert (await c.ask("GET", "/sized")).body == body


async def test_decompression_bomb_is_not_decoded(tmp_path: Path) -> None:
    """A body that would be larger than max_body_bytes once decoded goes through as it came."""
    packed = gzip.compress(b"0" * 3_000_000)
    gateway = FakeGateway("", edit=lambda b: b"edited")
    async with upstream(lambda s: reply(packed, "200 OK", "application/json", "Content-Encoding: gzip")) as up:
        gateway.base_url = up.url
        async with engine(gateway, tmp_path, Policy(max_body_bytes=100_000)) as run, client(run.port) as c:
            got = await c.ask("GET", "/", "Accept-Encoding: gzip")
    assert got.body == packed


async def test_pipelining_and_http10(tmp_path: Path) -> None:
    """Pipelined requests are answered in order; an HTTP/1.0 client gets an answer it can read, and the connection ends."""
    async with upstream(lambda s: reply(s.line.encode(), kind="text/plain")) as up:
        async with engine(FakeGateway(up.url), tmp_path) as run:
            async with client(run.port) as c:
                await c.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % i for i in range(20)))
                assert [(await c.read()).body for _ in range(20)] == [b"GET /%d HTTP/1.1" % i for i in range(20)]
            async with client(run.port) as c:
                await c.send(b"GET /old HTTP/1.0\r\n\r\n")
                got = await c.reader.read()
                assert got.startswith(b"HTTP/1.1 200")
                assert got.endswith(b"GET /old HTTP/1.1")
                assert b"chunked" not in got


async def test_two_hundred_at_once(tmp_path: Path) -> None:
    """200 clients at once each get their own answer, and none waits for another's slow upstream."""

    async def slow(x: Exchange) -> Response | None:
        await asyncio.sleep(0.2)
        return None

    async with (
        upstream(lambda s: reply(s.line.encode())) as up,
        engine(FakeGateway(up.url, local=slow), tmp_path) as run,
    ):

        async def one(i: int) -> bytes:
            async with client(run.port) as c:
                return (await c.ask("GET", f"/{i}")).body

        async with asyncio.timeout(30):  # one after the other it would be 40 s
            got = await asyncio.gather(*(one(i) for i in range(200)))
        assert got == [f"GET /{i} HTTP/1.1".encode() for i in range(200)]
        await until(lambda: len(run.gateway.after_calls) == 200)


async def test_after_runs_once_per_request_and_after_the_answer(tmp_path: Path) -> None:
    """`after` never delays the answer."""
    gateway = FakeGateway("")
    answered = asyncio.Event()

    async def after(x: Exchange) -> None:
        await answered.wait()
        gateway.after_calls.append(x)

    gateway.after = after  # type: ignore[method-assign]
    async with upstream(lambda s: reply()) as up, engine(gateway, tmp_path) as run, client(run.port) as c:
        gateway.base_url = up.url
        async with asyncio.timeout(30):
            assert (await c.ask("GET", "/")).status == 200
        assert gateway.after_calls == []
        answered.set()
        await until(lambda: bool(gateway.after_calls))
    assert len(gateway.after_calls) == 1


async def test_streaming_mode_never_holds(tmp_path: Path) -> None:
    """A streamed answer reaches the client before upstream has ended it."""
    release = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 10\r\n\r\nfirst")
        await release.wait()
        writer.write(b"later")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    gateway = FakeGateway(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", mode=BodyMode.STREAM)
    async with engine(gateway, tmp_path) as run, client(run.port) as c:
        await c.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await c.reader.readuntil(b"\r\n\r\n")
        assert await c.reader.readexactly(5) == b"first"
        release.set()
        assert await c.reader.readexactly(5) == b"later"
    server.close()


async def test_a_client_that_does_not_read_gets_no_more_answers_made(tmp_path: Path) -> None:
    """Pipelined requests wait while their answers are left unread, and are all answered once the client reads."""
    body, count = b"x" * 50_000, 1000

    async def local(x: Exchange) -> Response:
        return Response(200, Headers([("Content-Type", "application/json")]), body)

    async with engine(FakeGateway("", local=local), tmp_path) as run, client(run.port) as c:
        await c.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * count)
        begun = 0
        while not begun or begun < len(run.gateway.begun):
            begun = len(run.gateway.begun)
            await asyncio.sleep(0.5)
        assert begun < count / 2
        for _ in range(count):
            assert (await c.read()).body == body
