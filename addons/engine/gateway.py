"""The one mitmproxy addon that serves requests: it turns hooks into the gateway's stages and holds no decisions of its own."""

from __future__ import annotations

import asyncio
import collections
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import structlog
from mitmproxy import connection, ctx, http
from mitmproxy.proxy import server_hooks
from mitmproxy.proxy.server import ConnectionHandler

from addons.engine import messages
from addons.engine.encodings import BrokenEncoding, decode, decoder_for
from addons.engine.entries import entry_of, proxied_kind
from addons.engine.errorpages import body_of
from addons.engine.policy import METHODS, Hosts, Policy
from addons.engine.state import FlowState, Observer, attach, show_as, state_of
from addons.pipeline.answers import error_response, internal_error
from addons.pipeline.errors import ApiError, PayloadTooLarge
from addons.pipeline.exchange import BodyMode, Exchange, Response, UpstreamFailure

if TYPE_CHECKING:
    from addons.pipeline.gateway import Gateway

log = structlog.get_logger(__name__)

MAX_CONNECTIONS_PER_HOST = 1000
AFTER_GRACE_S = 10.0
_NOT_SERVED = (
    "This proxy serves only the hosts in `proxy.api_hosts`, `upstream.direct_hosts`, `media.hosts` and rules/media.yaml;"
    " {host} is not among them."
)
Stage = Callable[[], Awaitable[None]]


def _handler_of(client: connection.Client) -> ConnectionHandler | None:
    server = ctx.master.addons.get("proxyserver")
    return server.connections.get(client.id) if server else None


def _unsent_bytes(client: connection.Client) -> int:
    """What was written to the client and is not yet in its hands, nor in the system's."""
    handler = _handler_of(client)
    io = handler.transports.get(client) if handler is not None else None
    if io is None or not isinstance(io.writer, asyncio.StreamWriter):
        return 0
    return io.writer.transport.get_write_buffer_size()


class GatewayAddon:
    """Drives `Gateway` from mitmproxy's hooks. `observer` gets each finished flow, for mitmweb."""

    name = "ofapi"

    def __init__(
        self,
        gateway: Gateway,
        policy: Policy,
        hosts: Hosts,
        *,
        observer: Observer | None = None,
    ) -> None:
        self.gateway = gateway
        self.policy = policy
        self.hosts = hosts
        self.observer = observer
        self._open: dict[str, dict[str, tuple[http.HTTPFlow, FlowState]]] = {}
        self._after: set[asyncio.Task[None]] = set()

    # -- connections ---------------------------------------------------------------------------------------------

    def client_connected(self, client: connection.Client) -> None:
        if (
            handler := _handler_of(client)
        ) is not None:  # mitmproxy allows five upstream connections per client and host, whatever the options
            handler.max_conns = collections.defaultdict(lambda: asyncio.Semaphore(MAX_CONNECTIONS_PER_HOST))

    def client_disconnected(self, client: connection.Client) -> None:
        for flow, state in list(self._open.pop(client.id, {}).values()):
            self._settle(flow, state)

    def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        data.server.alpn_offers = (b"http/1.1",)

    def http_connect(self, flow: http.HTTPFlow) -> None:
        self._show_masked(flow)
        if proxied_kind(flow.request.host, self.hosts) is None:
            flow.response = self._not_served(flow.request.host)

    def http_connect_upstream(self, flow: http.HTTPFlow) -> None:
        address = flow.server_conn.address
        token = getattr(address[0], "authorization", None) if address else None
        if token:
            flow.request.headers["Proxy-Authorization"] = token

    # -- requests ------------------------------------------------------------------------------------------------

    async def requestheaders(self, flow: http.HTTPFlow) -> None:
        if not flow.live or flow.is_replay:
            return  # a recorded flow
        if flow.error:  # mitmproxy has already refused it
            self._show_masked(flow)
            return
        state = self._state(flow)
        attach(flow, state)
        client_id = flow.client_conn.id
        entry = entry_of(flow, self.hosts)
        if entry is None:
            state.local = True
            self._show_masked(flow)
            flow.response = self._not_served(flow.request.host)
            return
        started = time.perf_counter()
        request = messages.request_of(flow.request)
        self._show_masked(flow)
        try:
            x = self.gateway.begin(request, entry)
        except Exception as e:
            x = Exchange(id=flow.id, entry=entry, request=request, started=started)
            x.response = self._answer_for(e, x)
        state.exchange = x
        self._open.setdefault(client_id, {})[flow.id] = (flow, state)
        await self._stage(x, lambda: self._receive(flow, state, x))
        if x.response is not None:
            state.expects_continue = flow.request.headers.pop("expect", None) is not None
            self._answer_locally(flow, state, x.response)

    async def _receive(self, flow: http.HTTPFlow, state: FlowState, x: Exchange) -> None:
        """All that the head of a request decides."""
        if (refusal := self._refusal(flow.request, state)) is not None:
            raise refusal
        if x.response is None:
            await self.gateway.admit(x)
        if x.response is not None:
            return
        if self.gateway.request_mode(x) is BodyMode.STREAM:
            await self._start_upload(flow, state, x)
        else:
            self._hold_body(flow.request, state)

    def _show_masked(self, flow: http.HTTPFlow) -> None:
        if self.observer is not None:
            flow.request = self.observer.shown_request(flow.request)

    def _state(self, flow: http.HTTPFlow) -> FlowState:
        request = flow.request
        state = FlowState(
            exchange=None,
            request_limit=self.policy.request_limit(request.headers.get("content-type", "")),
            read_timeout_s=self.policy.read_timeout_s,
            max_body_bytes=self.policy.max_body_bytes,
            accept_encoding=request.headers.get("accept-encoding", ""),
            client_http10=request.http_version == "HTTP/1.0",
            client_http2=request.is_http2,
            client_head=request.method == "HEAD",
        )
        state.client_is_behind = lambda: _unsent_bytes(flow.client_conn) > 0
        state.too_large = lambda: self._too_large(state)
        state.overflow = lambda: self._to_streaming(flow, state)
        return state

    def _refusal(self, request: http.Request, state: FlowState) -> ApiError | None:
        """What no stage needs to see."""
        if request.method not in METHODS:
            text = f"The method {request.method[:32]} is not one of {', '.join(METHODS)}."
            return ApiError(405, "method_not_allowed", text, headers=(("Allow", ", ".join(METHODS)),))
        if any(b"\r" in v or b"\n" in v or b"\0" in v for _, v in request.headers.fields):
            return ApiError(400, "bad_request", "A header value contains a line break or NUL.")
        if len(request.headers.get_all("host")) > 1:
            return ApiError(400, "bad_request", "The request names more than one Host.")
        coding = request.headers.get("transfer-encoding")
        if coding is not None and coding.strip().lower() != "chunked":
            return ApiError(400, "bad_request", "The only Transfer-Encoding that is read here is chunked.")
        size = request.headers.get("content-length", "")
        if size.isdigit() and int(size) > state.request_limit:
            return PayloadTooLarge(state.request_limit)
        return None

    def _hold_body(self, request: http.Request, state: FlowState) -> None:
        """What is held in memory has the limit of JSON, whatever its type says."""
        state.request_limit = min(state.request_limit, self.policy.json_body_bytes)
        size = request.headers.get("content-length", "")
        if size.isdigit() and int(size) > state.request_limit:
            raise PayloadTooLarge(state.request_limit)

    async def _start_upload(self, flow: http.HTTPFlow, state: FlowState, x: Exchange) -> None:
        size = flow.request.headers.get("content-length")
        if size == "0" or (size is None and "transfer-encoding" not in flow.request.headers):
            return  # nothing to stream
        await self._stage(x, lambda: self.gateway.prepare(x))
        if x.response is None and x.upstream is not None:
            state.upload = True
            self._send_up(flow, state, x)
            flow.request.stream = not state.local

    async def request(self, flow: http.HTTPFlow) -> None:
        state = state_of(flow)
        if state is None or state.local or state.upload or state.exchange is None:
            return
        x = state.exchange
        x.request.body = flow.request.raw_content or b""
        await self._stage(x, lambda: self.gateway.prepare(x))
        if x.response is not None:
            self._answer_locally(flow, state, x.response)
        else:
            self._send_up(flow, state, x)

    def _send_up(self, flow: http.HTTPFlow, state: FlowState, x: Exchange) -> None:
        try:
            if x.upstream is None:
                raise RuntimeError("prepare() gave neither an answer nor an upstream request")
            upstream = messages.to_upstream(x.upstream, flow.request, streamed=state.upload)
            messages.route(flow, x.upstream.via_proxy)
        except Exception as e:
            no_address = isinstance(e, ValueError)  # of upstream, or of the account's own proxy
            answer = self._failed(x, UpstreamFailure("connect", str(e))) if no_address else self._answer_for(e, x)
            x.response = answer
            self._answer_locally(flow, state, answer)
            return
        state.read_timeout_s = x.upstream.timeout_s
        state.upstream_started = time.perf_counter()
        flow.request = upstream if self.observer is None else show_as(self.observer.shown_request(upstream), upstream)

    # -- answers -------------------------------------------------------------------------------------------------

    async def responseheaders(self, flow: http.HTTPFlow) -> None:
        state = state_of(flow)
        if state is None or state.local or state.exchange is None or flow.response is None:
            return
        x, head = state.exchange, messages.head_of(flow.response)
        state.upstream_head = head
        x.upstream_status = head.status
        size = head.headers.get("content-length") or ""
        if (
            state.client_head
            or messages.bodiless(head.status)
            or (size.isdigit() and int(size) > self.policy.max_body_bytes)
        ):
            mode = BodyMode.STREAM
        else:
            mode = self.gateway.response_mode(x, head)
        state.response_mode = mode
        if mode is BodyMode.STREAM:
            self._to_streaming(flow, state)
        elif self.observer is not None:
            flow.response = self.observer.shown_response(flow.response, flow.request.path)

    def _to_streaming(self, flow: http.HTTPFlow, state: FlowState) -> None:
        """Only status and headers are ours; the body goes through as it comes, or decoded for a client that must."""
        assert flow.response is not None
        assert state.exchange is not None
        assert state.upstream_head is not None
        x, state.response_mode = state.exchange, BodyMode.STREAM
        head = self.gateway.finish_head(x, state.upstream_head)
        coding = state.upstream_head.headers.get("content-encoding")
        decoder = None
        if coding and not state.client_head and not messages.client_takes(coding, state):
            decoder = decoder_for(coding)
        flow.response = messages.to_http_head(head, state, decoded=decoder is not None)
        flow.response.stream = decoder or True
        self._clock(state, x)

    async def response(self, flow: http.HTTPFlow) -> None:
        state = state_of(flow)
        if state is None:
            return
        x = state.exchange
        if x is not None and not state.local and state.response_mode is BodyMode.BUFFER:
            self._clock(state, x)
            await self._finish(flow, state, x)
        if x is not None and self.observer is not None:
            self.observer.note(flow, x)  # before what saves flows at this hook
        self._settle(flow, state)

    async def _finish(self, flow: http.HTTPFlow, state: FlowState, x: Exchange) -> None:
        """Everything is computed first and put into the flow at once: a failure leaves no half-edited body."""
        assert flow.response is not None
        assert state.upstream_head is not None
        head, raw = state.upstream_head, flow.response.raw_content or b""
        coding = head.headers.get("content-encoding")
        try:
            body = decode(raw, coding, self.policy.max_body_bytes)
        except BrokenEncoding as e:
            log.warning("upstream body cannot be decoded", request_id=x.id, encoding=coding, error=str(e))
            head = self.gateway.finish_head(x, head)
            answer = Response(head.status, head.headers, b"")
            flow.response = self._shown(flow, messages.to_http(answer, state, raw, (coding or "").encode()))
            return
        try:
            answer = await self.gateway.finish(x, Response(head.status, head.headers.copy(), body))
        except Exception as e:
            answer = self._answer_for(e, x)
        x.response = answer
        if coding and answer.body == body and messages.client_takes(coding, state):
            flow.response = self._shown(flow, messages.to_http(answer, state, raw, coding.encode()))
        else:
            flow.response = self._shown(flow, messages.to_http(answer, state))

    def error(self, flow: http.HTTPFlow) -> None:
        state = state_of(flow)
        if state is None:
            return
        x = state.exchange
        if x is not None and state.failure is not None and not state.answered:
            self._clock(state, x)
            state.failure_answer = x.response = self._failed(x, state.failure)
        self._settle(flow, state)

    def _failed(self, x: Exchange, failure: UpstreamFailure) -> Response:
        try:
            return self.gateway.fail(x, failure)
        except Exception as e:
            return self._answer_for(e, x)

    # -- helpers -------------------------------------------------------------------------------------------------

    async def _stage(self, x: Exchange, run: Stage) -> None:
        try:
            await run()
        except Exception as e:
            x.response = self._answer_for(e, x)

    def _answer_for(self, error: Exception, x: Exchange) -> Response:
        if isinstance(error, ApiError):
            return error_response(error, x.id)
        log.error("stage failed", request_id=x.id, exc_info=error)
        return error_response(internal_error(x.id), x.id)

    def _answer_locally(self, flow: http.HTTPFlow, state: FlowState, response: Response) -> None:
        state.local = True
        flow.response = self._shown(flow, messages.to_http(response, state))

    def _shown(self, flow: http.HTTPFlow, response: http.Response) -> http.Response:
        """What mitmweb may see of an answer; what is sent goes with it. The request's body has been read by now."""
        if self.observer is None:
            return response
        self.observer.hide_body(flow.request)
        return show_as(self.observer.shown_response(response, flow.request.path), response)

    def _not_served(self, host: str) -> http.Response:
        body = body_of("forbidden", _NOT_SERVED.format(host=host[:255]))
        return http.Response.make(403, body, {"Content-Type": "application/json"})

    def _too_large(self, state: FlowState) -> http.Response:
        x = state.exchange
        answer = error_response(PayloadTooLarge(state.request_limit), x.id if x else "")
        if x is not None:
            x.response = answer
        state.local = True
        return messages.to_http(answer, state)

    def _clock(self, state: FlowState, x: Exchange) -> None:
        if state.upstream_started is not None and x.notes.upstream_ms is None:
            x.notes.upstream_ms = (time.perf_counter() - state.upstream_started) * 1000

    def _settle(self, flow: http.HTTPFlow, state: FlowState) -> None:
        """`after` runs once per exchange, when the answer has been handed over (the next turn of the loop)."""
        if state.settled:
            return
        state.settled = True
        if self.observer is not None:
            self.observer.hide_body(flow.request)
        open_flows = self._open.get(flow.client_conn.id)
        if open_flows is not None:
            open_flows.pop(flow.id, None)
            if not open_flows:
                del self._open[flow.client_conn.id]
        if state.exchange is not None:
            asyncio.get_running_loop().call_soon(self._start_after, flow, state, state.exchange)

    def _start_after(self, flow: http.HTTPFlow, state: FlowState, x: Exchange) -> None:
        task = asyncio.get_running_loop().create_task(self._run_after(flow, state, x))
        if not task.done():
            self._after.add(task)
            task.add_done_callback(self._after.discard)

    async def _run_after(self, flow: http.HTTPFlow, state: FlowState, x: Exchange) -> None:
        try:
            await self.gateway.after(x)
            if self.observer is not None:
                await self.observer.finished(flow, x)
        except Exception as e:
            log.error("work after the answer failed", request_id=x.id, exc_info=e)

    async def done(self) -> None:
        """Let what is due after the last answers finish before the process ends."""
        await asyncio.sleep(0)
        if self._after:
            await asyncio.wait(set(self._after), timeout=AFTER_GRACE_S)
