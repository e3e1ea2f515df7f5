"""The HTTP layer of one client connection: upstream connections with an age, and deadlines."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from mitmproxy.connection import Connection, Server
from mitmproxy.proxy import commands, events, layer, tunnel
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import GetHttpConnection, HttpLayer, HTTPMode
from mitmproxy.proxy.layers.http._events import ErrorCode, ResponseProtocolError
from mitmproxy.proxy.mode_specs import ReverseMode

from addons.engine.policy import Policy
from addons.engine.timers import Timers

if TYPE_CHECKING:
    from addons.engine.stream import GatewayStream


class UpstreamTimedOut(ResponseProtocolError):
    """Upstream was silent for longer than the request allows."""


class FreshConnection(GetHttpConnection):
    """A connection on which nothing was sent before."""

    __hash__ = GetHttpConnection.__hash__


class GatewayHttpLayer(HttpLayer):
    """mitmproxy's HTTP layer, which never forgets a connection and never times out, taught both.

    Each listener is a proxy too, so that a client may name either one in HTTPS_PROXY.
    """

    policy: ClassVar[Policy] = Policy()

    def __init__(self, context: Context, mode: HTTPMode) -> None:
        self.tunnelled = any(isinstance(outer, HttpLayer) for outer in context.layers)
        ours = isinstance(context.client.proxy_mode, ReverseMode) and not self.tunnelled
        super().__init__(context, HTTPMode.regular if ours and self.policy.proxying else mode)
        self.timers = Timers(self.policy.keepalive_s)
        self.used: set[Connection] = set()
        self.connecting: dict[int, GetHttpConnection] = {}
        self._wakeups: set[commands.RequestWakeup] = set()

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.Wakeup) and event.command in self._wakeups:
            self._wakeups.discard(event.command)
            self.timers.woke()
            yield from self._on_wakeup()
        else:
            yield from super()._handle_event(event)
        delay = self.timers.arm()
        if delay is not None:
            wakeup = commands.RequestWakeup(delay)
            self._wakeups.add(wakeup)
            yield wakeup

    def _on_wakeup(self) -> layer.CommandGenerator[None]:
        for stream_id in self.timers.overdue():
            connecting = self.connecting.get(stream_id)
            if connecting is not None:
                yield from self._abandon(connecting)
            elif stream := self.streams.get(stream_id):
                known = cast("GatewayStream", stream).known
                if known is not None and known.client_is_behind():
                    self.timers.touch(stream_id, known.read_timeout_s)
                    continue
                text = "upstream did not answer in time"
                error = UpstreamTimedOut(stream_id, text, ErrorCode.GENERIC_SERVER_ERROR)
                yield from self.event_to_child(stream, error)
        for connection in self.timers.expired():
            yield commands.CloseConnection(self._transport(connection))

    def _abandon(self, wanted: GetHttpConnection) -> layer.CommandGenerator[None]:
        """Give up connecting: closing makes the attempt fail, which reaches every stream that waits for it."""
        for connection, waiting in list(self.waiting_for_establishment.items()):
            if wanted in waiting:
                yield commands.CloseConnection(self._transport(connection))

    def _transport(self, connection: Connection) -> Connection:
        """The connection with a socket below `connection`: the first in the stack, where a tunnel leads to it."""
        first = self.connections.get(connection)
        return first.tunnel_connection if isinstance(first, tunnel.TunnelLayer) else connection

    def get_connection(self, event: GetHttpConnection, *, reuse: bool = True) -> layer.CommandGenerator[None]:
        for connection in self.timers.expired():
            yield commands.CloseConnection(self._transport(connection))
        self._forget_dead()
        fresh = isinstance(event, FreshConnection)
        yield from super().get_connection(event, reuse=reuse and not fresh)

    def _forget_dead(self) -> None:
        """Drop what is closed for good, and failed attempts, which mitmproxy would answer from memory."""
        for connection in list(self.connections):
            if not isinstance(connection, Server) or connection in self.waiting_for_establishment:
                continue
            over = connection.timestamp_end is not None or (connection.error and not connection.timestamp_tcp_setup)
            if over and not connection.connected:
                del self.connections[connection]
                self.used.discard(connection)
                self.timers.idle.pop(connection, None)
            elif connection.error:
                connection.error = None
