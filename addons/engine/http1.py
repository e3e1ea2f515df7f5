"""HTTP/1 towards the client: bounded heads, JSON errors, and connections that close without losing the answer."""

from __future__ import annotations

import re
from typing import ClassVar

from h11._readers import ChunkedReader
from mitmproxy import http
from mitmproxy.connection import ConnectionState
from mitmproxy.net.http import http1 as assemble
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http import _http1
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import HttpEvent, RequestHeaders, ResponseProtocolError

from addons.engine.errorpages import error_response
from addons.engine.policy import Policy
from addons.engine.state import wire_of

_BLANK_LINE = re.compile(rb"\n\r?\n")
_OTHER_VERSION = re.compile(rb" HTTP/(?!1\.[01]\r?$)\d\.\d\r?$")
_INTERIM = re.compile(rb"HTTP/1\.[01] 1(?!01)\d\d[ \r\n]")
LINGER_BYTES = 64 * 1024 * 1024
PIPELINE_BYTES = 1024 * 1024


class AnsweredError(ResponseProtocolError):
    """A failure for which the answer was already made: sent where nothing was sent yet, then the connection closes."""

    answer: http.Response | None = None


def _without_trailers(
    self: _http1.Http1Connection, event: events.Event, error: NotImplementedError
) -> layer.CommandGenerator[None]:
    """mitmproxy gives up on trailers (RFC 9110 lets a recipient drop them): end the message as without them."""
    if not isinstance(self.body_reader, ChunkedReader):
        raise error
    assert self.stream_id is not None
    yield ReceiveHttp(self.ReceiveEndOfMessage(self.stream_id))
    is_request = isinstance(self, _http1.Http1Server)
    yield from self.mark_done(request=is_request, response=not is_request)


class GatewayHttp1Server(_http1.Http1Server):
    """The client's side of an HTTP/1 connection."""

    policy: ClassVar[Policy] = Policy()
    _lingered: int = 0

    def send(self, event: HttpEvent) -> layer.CommandGenerator[None]:
        if isinstance(event, AnsweredError) and event.answer is not None and not self.response:
            if self.conn.state & ConnectionState.CAN_WRITE:
                event.answer.headers["Connection"] = "close"
                yield from self._refuse(assemble.assemble_response(event.answer))
            return
        if self.state == self._linger:
            return
        yield from super().send(event)
        if self.response is not None and self.response.status_code < 200:
            self.response = None  # `100 Continue` is no answer yet: a failure can still be told

    def read_headers(self, event: events.ConnectionEvent) -> layer.CommandGenerator[None]:
        if isinstance(event, events.DataReceived):
            head = self._refused_head()
            if head is not None:
                yield from self._refuse(head)
                return
        elif isinstance(event, events.ConnectionClosed):
            yield commands.CloseConnection(self.conn)  # an unfinished head may hold a key: it is not logged
            return
        yield from super().read_headers(event)

    def _refused_head(self) -> bytes | None:
        """The answer to a head that must not be read on: too large, or of another protocol version."""
        limit = self.policy.header_bytes
        data = bytes(self.buf)
        if data[:1] in (b"\r", b"\n"):  # RFC 9112 2.2: empty lines before a request are skipped
            self.buf.maybe_extract_at_most(len(data) - len(data.lstrip(b"\r\n")))
            data = bytes(self.buf)
        if len(data) > limit and not _BLANK_LINE.search(data, 0, limit + 4):
            if b"\n" not in data[:limit]:
                return error_response(414, f"The request line is longer than the limit of {limit} bytes.")
            return error_response(431, f"The request's headers are larger than the limit of {limit} bytes.")
        line, newline, _ = data.partition(b"\n")
        if newline and _OTHER_VERSION.search(line):
            return error_response(505, "This server speaks HTTP/1.1, and HTTP/2 over TLS.")
        return None

    def read_body(self, event: events.Event) -> layer.CommandGenerator[None]:
        try:
            for command in super().read_body(event):
                if isinstance(command, commands.CloseConnection) and self._is_broken(event):
                    yield from self._refuse(error_response(400, "The request's body is not framed as HTTP wants it."))
                else:
                    yield command
        except NotImplementedError as e:
            yield from _without_trailers(self, event, e)

    def _is_broken(self, event: events.Event) -> bool:
        """Whether mitmproxy closes for what it has read of a body, and nothing was answered yet."""
        return isinstance(event, events.DataReceived) and self.response is None and self.state == self.read_body

    def wait(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.DataReceived) and len(self.buf) > self.policy.header_bytes + PIPELINE_BYTES:
            yield commands.CloseConnection(self.conn)
            return
        yield from super().wait(event)

    def _refuse(self, answer: bytes) -> layer.CommandGenerator[None]:
        """Send `answer`, then close, but read on first: closing on unread data would reset the connection."""
        yield commands.SendData(self.conn, answer)
        if self.conn.tls:
            yield commands.CloseConnection(self.conn)
            self.state = self.done
            return
        yield commands.CloseTcpConnection(self.conn, half_close=True)
        self.state = self._linger

    def _linger(self, event: events.Event) -> layer.CommandGenerator[None]:
        self._lingered += len(self.buf)
        self.buf.maybe_extract_at_most(len(self.buf))
        if isinstance(event, events.ConnectionClosed) or self._lingered > LINGER_BYTES:
            yield commands.CloseConnection(self.conn)


class GatewayHttp1Client(_http1.Http1Client):
    """Upstream's side of an HTTP/1 connection."""

    policy: ClassVar[Policy] = Policy()

    def send(self, event: HttpEvent) -> layer.CommandGenerator[None]:
        if isinstance(event, RequestHeaders):
            event = RequestHeaders(event.stream_id, wire_of(event.request), event.end_stream, event.replay_flow)
        yield from super().send(event)

    def read_headers(self, event: events.ConnectionEvent) -> layer.CommandGenerator[None]:
        self._skip_interim()
        limit = 4 * self.policy.header_bytes
        oversized = isinstance(event, events.DataReceived) and len(self.buf) > limit
        if oversized and self.request and not _BLANK_LINE.search(bytes(self.buf), 0, limit + 4):
            yield commands.CloseConnection(self.conn)
            assert self.stream_id is not None
            text = f"upstream's headers are larger than {limit} bytes"
            yield ReceiveHttp(ResponseProtocolError(self.stream_id, text, ResponseProtocolError.code))
            return
        yield from super().read_headers(event)

    def read_body(self, event: events.Event) -> layer.CommandGenerator[None]:
        try:
            yield from super().read_body(event)
        except NotImplementedError as e:
            yield from _without_trailers(self, event, e)

    def _skip_interim(self) -> None:
        """Answers 1xx come before the real one (RFC 9110 15.2), which mitmproxy would take for the next request's."""
        while self.request and _INTERIM.match(bytes(self.buf)) and self.buf.maybe_extract_lines():
            pass
