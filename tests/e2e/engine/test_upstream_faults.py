"""What the engine does when upstream fails: one retry where it is safe, else a clear error, and never half an answer."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from addons.engine.options import FreePorts
from addons.engine.policy import Policy
from addons.pipeline.exchange import BodyMode
from tests.e2e.engine.harness import FakeGateway, Seen, client, engine, reply, until, upstream

QUICK = Policy(connect_timeout_s=0.3, read_timeout_s=0.3, keepalive_s=1.0)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_retried_once_on_a_dead_kept_alive_connection(method: str, tmp_path: Path) -> None:
    """A GET that dies on a reused connection before any byte is asked again, once, on a fresh one."""
    seen_on: dict[int, int] = {}

    def answer(s: Seen) -> bytes | None:
        n = seen_on[0] = seen_on.get(0, 0) + 1
        return None if n == 2 else reply(b"{}" if s.line.startswith("GET") else b"")

    async with upstream(answer) as up, engine(FakeGateway(up.url), tmp_path) as run, client(run.port) as c:
        assert (await c.ask(method, "/1")).status == 200
        assert (await c.ask(method, "/2")).status == 200
        assert [s.line.split()[1] for s in up.seen] == ["/1", "/2", "/2"]
        assert up.connections == 2
        assert run.gateway.begun[1].notes.retried


async def test_never_retried_twice(tmp_path: Path) -> None:
    """If the fresh connection dies too, that is a 502."""
    count = 0

    def answer(s: Seen) -> bytes | None:
        nonlocal count
        count += 1
        return reply() if count == 1 else None

    async with upstream(answer) as up, engine(FakeGateway(up.url), tmp_path) as run, client(run.port) as c:
        await c.ask("GET", "/1")
        got = await c.ask("GET", "/2")
        assert (got.status, json.loads(got.body)["error"]) == (502, "upstream_unreachable")
        assert len(up.seen) == 3
        assert run.gateway.failures[0].kind == "closed"


async def test_first_request_of_a_connection_is_not_retried(tmp_path: Path) -> None:
    """A server that closes a fresh connection did see the request."""
    async with upstream(lambda s: None) as up, engine(FakeGateway(up.url), tmp_path) as run, client(run.port) as c:
        assert (await c.ask("GET", "/")).status == 502
        assert len(up.seen) == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_writes_are_never_retried(method: str, tmp_path: Path) -> None:
    """A write may have happened: it is not sent again."""
    count = 0

    def answer(s: Seen) -> bytes | None:
        nonlocal count
        count += 1
        return reply() if count == 1 else None

    async with upstream(answer) as up, engine(FakeGateway(up.url), tmp_path) as run, client(run.port) as c:
        await c.ask("GET", "/1")
        assert (await c.ask(method, "/2", body=b"{}")).status == 502
        assert len(up.seen) == 2


async def test_not_retried_after_response_bytes(tmp_path: Path) -> None:
    """Once upstream sent a byte, the request is not repeated."""
    count = 0

    def answer(s: Seen) -> bytes | None:
        nonlocal count
        count += 1
        return reply() if count == 1 else b"HTTP/1.1 200 OK\r\nConte"

    async with upstream(answer) as up, engine(FakeGateway(up.url), tmp_path) as run, client(run.port) as c:
        await c.ask("GET", "/1")
        run.gateway.timeout_s = 0.3
        got = await c.ask("GET", "/2")
        assert got.status in (502, 504)
        assert len(up.seen) == 2


async def test_client_connection_survives_upstream_failures(tmp_path: Path) -> None:
    """A failed request is answered on the same client connection, and the next one works when upstream is back."""
    down = True

    def answer(s: Seen) -> bytes | None:
        return None if down else reply()

    async with upstream(answer) as up, engine(FakeGateway(up.url), tmp_path) as run, client(run.port) as c:
        assert (await c.ask("GET", "/")).status == 502
        down = False
        assert (await c.ask("GET", "/")).status == 200


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=b"])
async def test_a_failure_after_100_continue_is_told(kind: str, tmp_path: Path) -> None:
    """`100 Continue` was no answer: the client that goes on with its body gets one."""
    async with engine(FakeGateway("http://127.0.0.1:1"), tmp_path) as run, client(run.port) as c:
        head = f"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Type: {kind}\r\n"
        await c.send(f"{head}Content-Length: 100000\r\n\r\n")
        assert (await c.read()).status == 100
        await c.send(b"x" * 100_000)
        got = await c.read()
        assert (got.status, json.loads(got.body)["error"]) == (502, "upstream_unreachable")


async def test_connection_refused_then_back(tmp_path: Path) -> None:
    """Nothing listens: 502; mitmproxy's memory of the failure does not outlive it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply())

    with FreePorts() as ports:
        host, port = "127.0.0.1", ports.take("127.0.0.1")
        async with engine(FakeGateway(f"http://{host}:{port}"), tmp_path) as run, client(run.port) as c:
            assert (await c.ask("GET", "/")).status == 502
            assert run.gateway.failures[0].kind == "connect"
            server = await asyncio.start_server(serve, host, port)
            assert (await c.ask("GET", "/")).status == 200
            server.close()


async def test_read_timeout(tmp_path: Path) -> None:
    """An upstream that does not answer in time is a 504, and its connection is closed."""
    async with upstream(lambda s: b"") as up:
        gateway = FakeGateway(up.url, timeout_s=0.3)
        async with engine(gateway, tmp_path) as run, client(run.port) as c:
            got = await c.ask("GET", "/slow")
            assert (got.status, json.loads(got.body)["error"]) == (504, "upstream_timeout")
            await until(lambda: up.closed == 1)


async def test_connect_timeout(tmp_path: Path) -> None:
    """A host that takes no connections is a 504 after the connect timeout."""
    held: list[asyncio.StreamWriter] = []
    blocker = await asyncio.start_server(lambda r, w: held.append(w), "127.0.0.1", 0)
    gateway = FakeGateway("https://127.0.0.1:%d" % blocker.sockets[0].getsockname()[1])  # never ends a TLS handshake
    async with engine(gateway, tmp_path, QUICK) as run, client(run.port) as c:
        got = await c.ask("GET", "/")
        assert (got.status, json.loads(got.body)["error"]) == (504, "upstream_timeout")
        assert (await c.ask("GET", "/")).status == 504
    assert len(held) == 2
    blocker.close()


async def test_stalled_body_times_out(tmp_path: Path) -> None:
    """Silence in the middle of a body ends the request too: nothing was sent, so it is a 504."""
    async with upstream(
        lambda s: b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
    ) as up:
        async with engine(FakeGateway(up.url, timeout_s=0.3), tmp_path) as run, client(run.port) as c:
            assert (await c.ask("GET", "/")).status == 504


async def test_a_slow_client_is_no_silent_upstream(tmp_path: Path) -> None:
    """A client that pauses for longer than upstream may be silent gets the rest when it goes on."""
    body = b"x" * 20_000_000
    async with upstream(lambda s: reply(body, kind="video/mp4")) as up:
        gateway = FakeGateway(up.url, timeout_s=0.2, mode=BodyMode.STREAM)
        async with engine(gateway, tmp_path) as run, client(run.port) as c:
            await c.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await c.reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(1)
            assert await c.reader.readexactly(len(body)) == body


async def test_truncated_body(tmp_path: Path) -> None:
    """A held body that is cut off is a 502, never a shorter 200."""

    def answer(s: Seen) -> bytes:
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{}"

    async with (
        upstream(answer, close_after=1) as up,
        engine(FakeGateway(up.url), tmp_path) as run,
        client(run.port) as c,
    ):
        assert (await c.ask("GET", "/")).status == 502
        assert run.gateway.failures[0].kind == "closed"


@pytest.mark.parametrize(
    "raw",
    [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000,
    ],
    ids=range(4),
)
async def test_protocol_errors(raw: bytes, tmp_path: Path) -> None:
    """What is no HTTP answer is a 502 with a code, and the client can go on."""
    async with upstream(lambda s: raw) as up, engine(FakeGateway(up.url), tmp_path) as run, client(run.port) as c:
        got = await c.ask("GET", "/")
        assert (got.status, json.loads(got.body)["error"]) == (502, "upstream_unreachable")
        assert run.gateway.failures[0].kind == "protocol"
        assert (await c.ask("GET", "/")).status == 502


@pytest.mark.parametrize(
    "interim",
    [b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", b"HTTP/1.1 100\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"],
    ids=range(2),
)
async def test_interim_answers_are_skipped(interim: bytes, tmp_path: Path) -> None:
    """An answer 1xx is not the answer: the client gets the one after it, and the next request its own."""
    async with upstream(lambda s: interim + reply(s.line.encode())) as up:
        async with engine(FakeGateway(up.url), tmp_path) as run, client(run.port) as c:
            for path in ("/1", "/2"):
                got = await c.ask("GET", path)
                assert (got.status, got.body) == (200, f"GET {path} HTTP/1.1".encode())
        assert up.connections == 1


@pytest.mark.parametrize("status", [b"101 Switching Protocols", b"000 Odd"])
async def test_a_status_that_is_no_answer(status: bytes, tmp_path: Path) -> None:
    """A switch of protocols that nobody asked for, and a number that is no status, are a 502."""
    raw = b"HTTP/1.1 " + status + b"\r\nUpgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n"
    async with upstream(lambda s: raw) as up, engine(FakeGateway(up.url), tmp_path) as run, client(run.port) as c:
        for _ in range(2):
            got = await c.ask("GET", "/", "Upgrade: websocket", "Connection: upgrade")
            assert (got.status, json.loads(got.body)["error"]) == (502, "upstream_unreachable")


async def test_idle_connections_are_dropped(tmp_path: Path) -> None:
    """An upstream connection that was idle for keepalive_s is closed, and not used again."""
    async with (
        upstream(lambda s: reply()) as up,
        engine(FakeGateway(up.url), tmp_path, QUICK) as run,
        client(run.port) as c,
    ):
        await c.ask("GET", "/")
        await c.ask("GET", "/")
        assert up.connections == 1
        await until(lambda: up.closed == 1)
        await c.ask("GET", "/")
        assert up.connections == 2


async def test_client_gone_closes_upstream_and_settles(tmp_path: Path) -> None:
    """A client that goes away takes its upstream request with it; `after` still runs, once."""
    async with upstream(lambda s: b"") as up, engine(FakeGateway(up.url), tmp_path) as run:
        async with client(run.port) as c:
            await c.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            while not up.seen:
                await asyncio.sleep(0.01)
        await until(lambda: bool(run.gateway.after_calls) and up.closed == 1)
        assert len(run.gateway.after_calls) == 1
