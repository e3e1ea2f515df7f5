"""The sockets of one client connection: events one after another, in turns with those of other connections.

mitmproxy guards `server_event` with a lock, as eager tasks may call it while it runs: each hook that completes at once
then waits for that lock and costs a task, a future and a turn of the loop. Here events wait in a queue of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from mitmproxy import flow
from mitmproxy.connection import Connection
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers.http._hooks import HttpRequestHeadersHook
from mitmproxy.proxy.mode_servers import ProxyConnectionHandler
from mitmproxy.proxy.server import ConnectionIO
from mitmproxy.utils import asyncio_utils

from addons.engine.turns import turns_of

JOINED_BYTES = 256 * 1024
MOST_WAITING = 8
"""Events that may wait before no more is read: of at most 64 KiB each, as mitmproxy reads."""
MOST_UNREAD = 1024 * 1024
"""Bytes that the client may leave unread before its next request is looked at: pipelined answers cost memory."""
_mark_killed: Callable[[flow.Flow], None] = flow.Flow.kill
_SOON = (events.DataReceived, events.HookCompleted)


class GatewayConnection(ProxyConnectionHandler):
    """mitmproxy's connection handler, which serves its events in turns and sends what one of them yields at once."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)  # type: ignore[no-untyped-call]
        self._loop = asyncio.get_running_loop()
        self._turns = turns_of(self._loop)
        self._events: deque[events.Event] = deque()
        self._waits = False
        self._active = False
        self._hooks: set[asyncio.Task[None]] = set()
        self._unsent: dict[Connection, list[bytes]] = {}

    async def server_event(self, event: events.Event) -> None:
        """Give `event` to the layers, soon or, where the caller looks at what came of it, now. Never suspends."""
        self._events.append(event)
        if self._active:  # called by a hook that an event of this connection has just run
            return
        if not isinstance(event, _SOON):  # what it causes, a whole pipeline perhaps, waits for its turn
            while self._next() is not event:
                pass
        if self._events and not self._waits:
            self._waits = True
            self._turns.add(self)

    def turn(self) -> bool:
        """Serve one event that waits; say whether there are more."""
        if self._events:
            self._next()
        self._waits = bool(self._events)
        return self._waits

    def _next(self) -> events.Event:
        event = self._events.popleft()
        self._active = True
        self.timeout_watchdog.register_activity()
        try:
            self._serve(event)
        finally:
            self._active = False
        return event

    def _serve(self, event: events.Event) -> None:
        try:
            try:
                for command in self.layer.handle_event(event):
                    self._obey(command)
            finally:
                if self._unsent:
                    self._send()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # a panic of an extension in Rust is no Exception; the turns of all others go on
            self.log("a layer has crashed", logging.ERROR, exc_info=True)

    def _obey(self, command: commands.Command) -> None:
        match command:
            case commands.StartHook():
                self._run_hook(command)
            case commands.OpenConnection():
                self._connect(command)
            case commands.RequestWakeup():
                task = asyncio_utils.create_task(
                    self.wakeup(command),
                    name=f"wakeup timer ({command.delay:.1f}s)",
                    keep_ref=False,
                    client=self.client.peername,
                )
                self.wakeup_timer.add(task)
            case commands.ConnectionCommand() if command.connection not in self.transports:
                pass  # it has been closed already
            case commands.SendData():
                self._unsent.setdefault(command.connection, []).append(command.data)
            case commands.CloseConnection():
                self._send()
                half = isinstance(command, commands.CloseTcpConnection) and command.half_close
                self.close_connection(command.connection, half)
            case commands.Log():
                self.log(command.message, command.level)
            case _:
                raise RuntimeError(f"a command that this handler does not know: {command}")

    def _send(self) -> None:
        """Write what the layers have sent since the last time: a head and its body leave together."""
        unsent, self._unsent = self._unsent, {}
        for connection, chunks in unsent.items():
            io = self.transports.get(connection)
            if io is None or io.writer is None or io.writer.is_closing():
                continue
            stream = connection.transport_protocol == "tcp"  # datagrams stay apart
            joined = stream and len(chunks) > 1 and sum(map(len, chunks)) <= JOINED_BYTES
            for chunk in [b"".join(chunks)] if joined else chunks:
                io.writer.write(chunk)

    def _connect(self, command: commands.OpenConnection) -> None:
        task = asyncio_utils.create_task(
            self.open_connection(command),
            name=f"server connection handler {command.connection.address}",
            keep_ref=False,
            client=self.client.peername,
        )
        self.transports[command.connection] = ConnectionIO(handler=task)

    def _run_hook(self, hook: commands.StartHook) -> None:
        task = asyncio.Task(self.hook_task(hook), loop=self._loop, eager_start=True)
        if task.done():
            return
        asyncio_utils.set_task_debug_info(task, name=f"handle_hook({hook.name})", client=self.client.peername)
        self._hooks.add(task)
        task.add_done_callback(self._hooks.discard)

    async def handle_hook(self, hook: commands.StartHook) -> None:
        if isinstance(hook, HttpRequestHeadersHook):
            await self._until_client_reads()
        watchdog = self.timeout_watchdog
        watchdog.can_timeout.clear()
        watchdog.blocker += 1
        try:
            await self.master.addons.handle_lifecycle(hook)
            subject = getattr(hook, "flow", None)
            if isinstance(subject, flow.Flow) and subject.intercepted:
                await subject.wait_for_resume()
        finally:
            watchdog.blocker -= 1
            if watchdog.blocker == 0:
                watchdog.register_activity()
                watchdog.can_timeout.set()

    async def _until_client_reads(self) -> None:
        io = self.transports.get(self.client)
        writer = io.writer if io is not None else None
        if isinstance(writer, asyncio.StreamWriter) and writer.transport.get_write_buffer_size() > MOST_UNREAD:
            with contextlib.suppress(OSError):  # it has gone: the layers are told by another event
                await writer.drain()

    async def drain_writers(self) -> None:
        """Wait until what was read is served and what was written is on its way, if much still waits here."""
        while len(self._events) > MOST_WAITING:  # noqa: ASYNC110 (they are served in the next turn of the loop)
            await asyncio.sleep(0)
        for io in self.transports.values():
            writer = io.writer
            if writer is None:
                continue
            if not isinstance(writer, asyncio.StreamWriter) or writer.is_closing():
                break
            if writer.transport.get_write_buffer_size():
                break
        else:
            return
        await super().drain_writers()  # type: ignore[no-untyped-call]


def kill(self: flow.Flow) -> None:
    """mitmproxy's own leaves the hook of an intercepted flow waiting for ever, and its client too."""
    _mark_killed(self)
    if self._resume_event is not None:
        self._resume_event.set()
