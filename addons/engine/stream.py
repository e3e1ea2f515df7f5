"""One request and its answer on the wire: limits, our own answers, one retry, failures as answers."""

from __future__ import annotations

import time
from typing import cast

from mitmproxy import flow as mflow
from mitmproxy import http
from mitmproxy.net.http.validate import validate_headers
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http import DropStream, GetHttpConnection, HTTPMode, HttpStream, SendHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._hooks import HttpErrorHook, HttpResponseHook

from addons.engine.encodings import BrokenEncoding
from addons.engine.http1 import AnsweredError
from addons.engine.layer import FreshConnection, GatewayHttpLayer, UpstreamTimedOut
from addons.engine.messages import to_http
from addons.engine.policy import RETRYABLE_METHODS
from addons.engine.state import FlowState, mark_addressed, release, state_of, wire_of
from addons.pipeline.exchange import UpstreamFailure

CLOSED_EARLY = "server closed connection"
_CUT_OFF = "peer closed connection without sending complete message body"
PLACEHOLDER = ("placeholder", 1)  # is never connected to: every flow names its own destination
DISCARD_BYTES = 64 * 1024 * 1024
ANSWER_AT_ONCE_BYTES = 1024 * 1024

Steps = layer.CommandGenerator[None]


def failure_of(event: ResponseProtocolError) -> UpstreamFailure:
    """What went wrong with upstream, in the pipeline's words."""
    if isinstance(event, UpstreamTimedOut):
        return UpstreamFailure("timeout", event.message)
    if event.code is ErrorCode.CONNECT_FAILED:
        return UpstreamFailure("connect", event.message)
    if event.code is ErrorCode.RESPONSE_TOO_LARGE:
        return UpstreamFailure("too_large", event.message)
    if CLOSED_EARLY in event.message or _CUT_OFF in event.message:
        return UpstreamFailure("closed", event.message)
    return UpstreamFailure("protocol", event.message)


class GatewayStream(HttpStream):
    """mitmproxy's stream with the gateway's promises. Flows without a FlowState behave as in mitmproxy."""

    _received: int = 0

    @property
    def known(self) -> FlowState | None:
        return state_of(self.flow) if hasattr(self, "flow") else None

    @property
    def http_layer(self) -> GatewayHttpLayer:
        return cast(GatewayHttpLayer, self.context.layers[self.context.layers.index(self) - 1])

    def _handle_event(self, event: events.Event) -> Steps:
        timers = self.http_layer.timers
        if self.stream_id in timers.deadlines and (known := self.known):
            timers.touch(self.stream_id, known.read_timeout_s)
        yield from super()._handle_event(event)

    # -- the request ---------------------------------------------------------------------------------------------

    def state_wait_for_request_headers(self, event: RequestHeaders) -> Steps:
        self._note_destination(event.request)
        yield from super().state_wait_for_request_headers(event)
        known = self.known
        if known is None or not known.local or event.end_stream or self.client_state != self.state_consume_request_body:
            return
        size = event.request.headers.get("content-length", "")
        if known.expects_continue or not size.isdigit() or int(size) > ANSWER_AT_ONCE_BYTES:
            yield from self._answer_before_body(known)

    def _note_destination(self, request: http.Request) -> None:
        """What a request line names. One with a path alone is ours, whatever its Host header says."""
        if self.http_layer.tunnelled or (request.data.host and self.mode is HTTPMode.regular):
            mark_addressed(request)
        elif self.mode is HTTPMode.regular:
            request.data.host, request.data.port = PLACEHOLDER
            request.data.scheme = b"https" if self.context.client.tls else b"http"

    def _answer_before_body(self, known: FlowState) -> Steps:
        """The answer is known and the body is large or of unknown size: say so now, then read the rest into nothing."""
        assert self.flow.response
        known.answered = True
        wire_of(self.flow.response).headers["Connection"] = "close"
        yield from self.send_response()

    def state_consume_request_body(self, event: events.Event) -> Steps:
        known = self.known
        if known is None or not known.local:
            if isinstance(event, RequestData) and known is not None:
                self._received += len(event.data)
                if self._received > known.request_limit and known.too_large is not None:
                    self.request_body_buf.clear()
                    self.flow.response = known.too_large()
                    yield from self._answer_before_body(known)
                    return
            yield from super().state_consume_request_body(event)
        elif isinstance(event, RequestData):
            self._received += len(event.data)
            if self._received > DISCARD_BYTES:
                yield commands.CloseConnection(self.context.client)
        elif isinstance(event, RequestEndOfMessage) and known.answered:
            self.client_state = self.state_done
            if self.server_state == self.state_done:
                yield from self.flow_done()
        else:
            yield from super().state_consume_request_body(event)

    def start_request_stream(self) -> Steps:
        if not (yield from self.make_server_connection()):
            self.client_state = self.state_errored
            return
        yield SendHttp(RequestHeaders(self.stream_id, self.flow.request, end_stream=False), self.context.server)
        self.client_state = self.state_stream_request_body

    def state_stream_request_body(self, event: RequestData | RequestEndOfMessage) -> Steps:
        known = self.known
        if known is not None and isinstance(event, RequestData):
            self._received += len(event.data)
            if self._received > known.request_limit and known.too_large is not None:
                yield from self._stop_upload(known)
                return
        yield from super().state_stream_request_body(event)

    def _stop_upload(self, known: FlowState) -> Steps:
        text = "request body over the limit"
        assert known.too_large is not None
        error = AnsweredError(self.stream_id, text, ErrorCode.REQUEST_TOO_LARGE)
        error.answer = known.too_large()
        yield SendHttp(RequestProtocolError(self.stream_id, text, ErrorCode.REQUEST_TOO_LARGE), self.context.server)
        yield from self._end_with(error, known)

    def check_body_size(self, request: bool) -> layer.CommandGenerator[bool]:
        """Limits are each flow's own: requests are checked where their bytes are counted, answers turn to streaming."""
        known = self.known
        if request or known is None or not self.response_body_buf:
            return False
        if len(self.response_body_buf) > known.max_body_bytes and known.overflow is not None:
            known.overflow()
            body = bytes(self.response_body_buf)
            self.response_body_buf.clear()
            yield from self.start_response_stream()
            yield from self.handle_event(ResponseData(self.stream_id, body))
        return False

    # -- upstream ------------------------------------------------------------------------------------------------

    def make_server_connection(self) -> layer.CommandGenerator[bool]:
        known = self.known
        if known is None:
            return (yield from super().make_server_connection())
        if known.upstream_started is None:  # a hook failed: what the client sent never leaves as it came
            text = "nothing was prepared"
            yield from self.handle_protocol_error(ResponseProtocolError(self.stream_id, text, ErrorCode.CONNECT_FAILED))
            return False
        hub = self.http_layer
        kind = FreshConnection if known.retried else GetHttpConnection
        request, server = self.flow.request, self.flow.server_conn
        wanted = kind((request.host, request.port), request.scheme == "https", server.via)
        hub.timers.touch(self.stream_id, hub.policy.connect_timeout_s)
        hub.connecting[self.stream_id] = wanted
        connection, err = yield wanted
        del hub.connecting[self.stream_id]
        if err:
            late = self.stream_id not in hub.timers.deadlines
            hub.timers.release(self.stream_id)
            error = UpstreamTimedOut if late else ResponseProtocolError
            text = "connecting to upstream took too long" if late else err
            yield from self.handle_protocol_error(error(self.stream_id, text, ErrorCode.CONNECT_FAILED))
            return False
        self.context.server = self.flow.server_conn = connection
        hub.timers.touch(self.stream_id, known.read_timeout_s)
        hub.timers.idle.pop(connection, None)
        return True

    def handle_protocol_error(self, event: RequestProtocolError | ResponseProtocolError) -> Steps:
        self.http_layer.timers.release(self.stream_id)
        known = self.known
        if not isinstance(event, ResponseProtocolError) or known is None:
            yield from super().handle_protocol_error(event)
        elif known.answered or self.server_state in (self.state_done, self.state_errored):
            return
        elif self._may_retry(event, known):
            yield from self._retry(known)
        elif self.server_state == self.state_stream_response_body:
            yield from self._drop_upstream(event)
            yield from super().handle_protocol_error(event)
        else:
            yield from self._fail(event, known)

    def _may_retry(self, event: ResponseProtocolError, known: FlowState) -> bool:
        return (
            event.message == CLOSED_EARLY
            and not known.retried
            and self.server_state == self.state_wait_for_response_headers
            and self.client_state == self.state_done
            and self.flow.request.method in RETRYABLE_METHODS
            and self.flow.server_conn in self.http_layer.used
        )

    def _retry(self, known: FlowState) -> Steps:
        """The kept-alive connection had died before upstream saw the request: ask again, once, on a new one."""
        known.retried = True
        if known.exchange is not None:
            known.exchange.notes.retried = True
        if not (yield from self.make_server_connection()):
            return
        content = self.flow.request.raw_content
        yield SendHttp(RequestHeaders(self.stream_id, self.flow.request, not content), self.context.server)
        if content:
            yield SendHttp(RequestData(self.stream_id, content), self.context.server)
        yield SendHttp(RequestEndOfMessage(self.stream_id), self.context.server)

    def _drop_upstream(self, event: ResponseProtocolError) -> Steps:
        """A connection in the middle of an answer cannot be used again."""
        if event.code is ErrorCode.CONNECT_FAILED or self.context.server not in self.http_layer.connections:
            return
        yield SendHttp(RequestProtocolError(self.stream_id, event.message, event.code), self.context.server)

    def _fail(self, event: ResponseProtocolError, known: FlowState) -> Steps:
        """No usable answer from upstream: the pipeline makes one."""
        known.failure = failure_of(event)
        yield from self._drop_upstream(event)
        self.flow.error = mflow.Error(event.message)
        yield HttpErrorHook(self.flow)
        if (yield from self.check_killed(False)):
            return
        answer = to_http(known.failure_answer, known) if known.failure_answer else None
        if answer is None or self.client_state != self.state_done:
            error = AnsweredError(self.stream_id, event.message, event.code)
            error.answer = answer
            yield from self._end_with(error, known)
            return
        known.answered = True
        self.flow.response = answer
        self.server_state = self.state_done
        yield from self._send_whole(answer)
        yield from self.flow_done()

    def _end_with(self, error: AnsweredError, known: FlowState) -> Steps:
        """End flow and client connection; whatever the client still sends is ignored."""
        if not known.settled and not self.flow.error:
            self.flow.error = mflow.Error(error.message)
            yield HttpErrorHook(self.flow)
        known.answered = True
        yield SendHttp(error, self.context.client)
        self.client_state = self.server_state = self.state_errored
        self.flow.live = False
        yield DropStream(self.stream_id)

    # -- the answer ----------------------------------------------------------------------------------------------

    def check_invalid(self, request: bool) -> layer.CommandGenerator[bool]:
        if request or self.known is None:
            return (yield from super().check_invalid(request))
        assert self.flow.response
        try:
            if self.flow.response.status_code < 200:  # 101: nobody asked to switch
                raise ValueError(f"upstream answered with status {self.flow.response.status_code}")
            validate_headers(self.flow.response)
        except ValueError as e:
            code = ErrorCode.RESPONSE_VALIDATION_FAILED
            yield from self.handle_protocol_error(ResponseProtocolError(self.stream_id, str(e), code))
            return True
        return False

    def send_response(self, already_streamed: bool = False) -> Steps:
        if self.known is None:
            yield from super().send_response(already_streamed)
            return
        assert self.flow.response
        self.flow.response.timestamp_end = time.time()
        yield HttpResponseHook(self.flow)
        self.server_state = self.state_done
        if (yield from self.check_killed(False)):
            return
        if not already_streamed:
            yield from self._send_whole(wire_of(self.flow.response))
        if self.client_state == self.state_done:
            yield from self.flow_done()

    def _send_whole(self, answer: http.Response) -> Steps:
        content = answer.raw_content
        yield SendHttp(ResponseHeaders(self.stream_id, answer, not content), self.context.client)
        if content:
            yield SendHttp(ResponseData(self.stream_id, content), self.context.client)

    def start_response_stream(self) -> Steps:
        assert self.flow.response
        yield SendHttp(ResponseHeaders(self.stream_id, self.flow.response, end_stream=False), self.context.client)
        self.server_state = self.state_stream_response_body

    def state_stream_response_body(self, event: events.Event) -> Steps:
        try:
            yield from super().state_stream_response_body(event)
        except BrokenEncoding as e:
            text = f"upstream's body cannot be decoded: {e}"
            yield from self.handle_protocol_error(
                ResponseProtocolError(self.stream_id, text, ErrorCode.GENERIC_SERVER_ERROR)
            )

    def flow_done(self) -> Steps:
        hub = self.http_layer
        hub.timers.release(self.stream_id)
        server = self.flow.server_conn
        if server in hub.connections and server.connected:
            hub.used.add(server)
            hub.timers.idle_from_now(server)
        self.flow.request.timestamp_end = self.flow.request.timestamp_end or time.time()
        yield from super().flow_done()
        release(self.flow)


__all__ = ["CLOSED_EARLY", "GatewayStream", "ResponseEndOfMessage", "failure_of"]
