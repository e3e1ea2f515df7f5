"""One client connection's handler: the order of events, what is written when, and what a crash leaves."""

from __future__ import annotations

import asyncio
import logging
import socketserver
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.connection import Server
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import taddons

from addons.engine import turns as turns_module
from addons.engine.connection import JOINED_BYTES, MOST_WAITING, GatewayConnection


@dataclass
class Ping(commands.StartHook):
    """A hook whose handler may take its time."""

    number: int


class Addons:
    """Answers every hook with `handler`."""

    def __init__(self, handler: Callable[[Any], Any]) -> None:
        self.handler = handler

    async def handle_lifecycle(self, hook: Any) -> None:
        await self.handler(hook)


Script = Callable[[Any, events.Event], Iterator[commands.Command]]


class Scripted(layer.Layer):
    """Yields what the script says, without waiting for hooks."""

    script: Script

    def handle_event(self, event: events.Event) -> Iterator[commands.Command]:  # type: ignore[override]
        if isinstance(event, events.ConnectionClosed):
            yield commands.CloseConnection(event.connection)
        else:
            yield from self.script(self.context.client, event)

    def _handle_event(self, event: events.Event) -> Iterator[commands.Command]:  # type: ignore[override]
        yield from ()


@asynccontextmanager
async def connected(
    script: Script, hook: Callable[[Any], Any]
) -> AsyncIterator[tuple[GatewayConnection, asyncio.StreamReader, asyncio.StreamWriter]]:
    """A handler on a real socket, its layer scripted; and the client's side of that socket."""
    made: asyncio.Future[GatewayConnection] = asyncio.get_running_loop().create_future()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        master = SimpleNamespace(addons=Addons(hook))
        handler = GatewayConnection(master, reader, writer, tctx.options, ProxyMode.parse("regular"))
        scripted = Scripted(handler.layer.context)
        scripted.script = script
        handler.layer = scripted
        made.set_result(handler)
        await handler.handle_client()

    with taddons.context(Proxyserver()) as tctx:
        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        try:
            async with asyncio.timeout(10):
                yield await made, reader, writer
        finally:
            writer.close()
            server.close()
            await asyncio.wait_for(server.wait_closed(), 5)


async def at_once(_hook: Any) -> None:
    """A hook that completes without waiting."""


async def test_events_are_served_one_after_another() -> None:
    """What a hook causes comes after the event that ran it and before later data, though the hook ended inside of it."""
    seen: list[str] = []

    def script(client: Any, event: events.Event) -> Iterator[commands.Command]:
        if isinstance(event, events.DataReceived):
            seen.append(f"data {event.data.decode()} begins")
            yield Ping(1)
            yield Ping(2)
            seen.append("data ends")
        elif isinstance(event, events.HookCompleted):
            seen.append(f"hook {cast(Ping, event.command).number}")
            if cast(Ping, event.command).number == 2:
                yield commands.SendData(client, b"done")

    async with connected(script, at_once) as (_, reader, writer):
        writer.write(b"a")
        assert await reader.readexactly(4) == b"done"
    assert seen == ["data a begins", "data ends", "hook 1", "hook 2"]


async def test_a_slow_hook_keeps_no_other_event_waiting() -> None:
    """A hook that waits goes on in a task of its own; data that comes meanwhile is served."""
    go_on = asyncio.Event()

    async def wait(hook: Any) -> None:
        if isinstance(hook, Ping):
            await go_on.wait()

    def script(client: Any, event: events.Event) -> Iterator[commands.Command]:
        if isinstance(event, events.DataReceived) and event.data == b"slow":
            yield Ping(1)
        elif isinstance(event, events.DataReceived):
            yield commands.SendData(client, b"fast")
        elif isinstance(event, events.HookCompleted):
            yield commands.SendData(client, b"slow")

    async with connected(script, wait) as (_, reader, writer):
        writer.write(b"slow")
        await asyncio.sleep(0.05)
        writer.write(b"next")
        assert await reader.readexactly(4) == b"fast"
        go_on.set()
        assert await reader.readexactly(4) == b"slow"


@pytest.mark.parametrize(("size", "writes"), [(1000, 1), (JOINED_BYTES, 2)])
async def test_head_and_body_leave_together(size: int, writes: int) -> None:
    """What one event sends is written once; a large body is not copied for that."""
    written: list[int] = []

    def script(client: Any, event: events.Event) -> Iterator[commands.Command]:
        if isinstance(event, events.DataReceived):
            yield commands.SendData(client, b"head")
            yield commands.SendData(client, b"x" * size)

    async with connected(script, at_once) as (handler, reader, writer):
        out = handler.transports[handler.client].writer
        assert isinstance(out, asyncio.StreamWriter)
        write = out.write
        out.write = lambda data: (written.append(len(data)), write(data))[1]  # type: ignore[method-assign]
        writer.write(b"a")
        assert await reader.readexactly(4 + size) == b"head" + b"x" * size
    assert len(written) == writes


async def test_what_was_sent_before_a_close_arrives() -> None:
    """Closing does not overtake the bytes that were sent before it."""

    def script(client: Any, event: events.Event) -> Iterator[commands.Command]:
        if isinstance(event, events.DataReceived):
            yield commands.SendData(client, b"bye")
            yield commands.CloseConnection(client)

    async with connected(script, at_once) as (_, reader, writer):
        writer.write(b"a")
        assert await reader.read() == b"bye"


class Panic(BaseException):
    """What a crash of an extension in Rust raises, with this very base."""


@pytest.mark.parametrize("crash", [RuntimeError, Panic])
async def test_a_crash_is_logged_and_loses_nothing_sent(
    crash: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """A layer that raises is logged; what it had sent goes out, and the next event is served."""

    def script(client: Any, event: events.Event) -> Iterator[commands.Command]:
        if isinstance(event, events.DataReceived):
            yield commands.SendData(client, b"part")
            if event.data == b"bad":
                raise crash("broken layer")

    with caplog.at_level(logging.ERROR):
        async with connected(script, at_once) as (_, reader, writer):
            writer.write(b"bad")
            assert await reader.readexactly(4) == b"part"
            writer.write(b"good")
            assert await reader.readexactly(4) == b"part"
    assert "a layer has crashed" in caplog.text


async def test_an_event_served_at_once_does_not_drag_a_pipeline_along(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the caller waits for is served now; the chain of hooks that it starts takes turns with the event loop."""
    monkeypatch.setattr(turns_module, "SLICE_S", 0.0)
    served: list[int] = []

    def script(client: Any, event: events.Event) -> Iterator[commands.Command]:
        if isinstance(event, events.DataReceived):
            yield commands.RequestWakeup(0)
        elif isinstance(event, (events.Wakeup, events.HookCompleted)):
            served.append(len(served))
            if len(served) < 1000:
                yield Ping(len(served))
            else:
                yield commands.SendData(client, b"end")

    async with connected(script, at_once) as (_, reader, writer):
        writer.write(b"a")
        turns = 0
        while len(served) < 1000:
            await asyncio.sleep(0)
            turns += bool(served)
        assert await reader.readexactly(3) == b"end"
    assert turns >= 900


class Pouring(socketserver.BaseRequestHandler):
    """Sends as fast as it is read."""

    def handle(self) -> None:
        self.request.sendall(b"x" * POURED)


POURED = 1_000_000


async def test_no_more_is_read_than_is_served() -> None:
    """However many upstream connections send at once, only a few events wait: reading stops until they are served."""
    most = total = 0

    def script(client: Any, event: events.Event) -> Iterator[commands.Command]:
        nonlocal most, total
        if isinstance(event, events.DataReceived) and event.connection is client:
            for _ in range(30):
                yield commands.OpenConnection(Server(address=pouring.server_address))
        elif isinstance(event, events.DataReceived):
            time.sleep(0.001)  # slower than upstream
            most = max(most, len(handler._events))
            total += len(event.data)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Pouring) as pouring:
        pouring.socket.listen(30)
        threading.Thread(target=pouring.serve_forever, daemon=True).start()
        async with connected(script, at_once) as (handler, _, writer):
            handler.max_conns = defaultdict(lambda: asyncio.Semaphore(30))
            writer.write(b"a")
            while total < 30 * POURED:
                await asyncio.sleep(0.01)
        pouring.shutdown()
    assert most <= MOST_WAITING + 30


@pytest.mark.parametrize(("protocol", "writes"), [("tcp", [b"onetwo"]), ("udp", [b"one", b"two"])])
async def test_datagrams_stay_apart(protocol: Any, writes: list[bytes]) -> None:
    """Only on a stream may two messages leave as one."""
    written: list[bytes] = []

    def script(client: Any, event: events.Event) -> Iterator[commands.Command]:
        if isinstance(event, events.DataReceived):
            client.transport_protocol = protocol
            yield commands.SendData(client, b"one")
            yield commands.SendData(client, b"two")

    async with connected(script, at_once) as (handler, reader, writer):
        out = handler.transports[handler.client].writer
        assert isinstance(out, asyncio.StreamWriter)
        write = out.write
        out.write = lambda data: (written.append(data), write(data))[1]  # type: ignore[method-assign]
        writer.write(b"a")
        assert await reader.readexactly(6) == b"onetwo"
    assert written == writes
