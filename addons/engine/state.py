"""What the engine knows of a flow beside mitmproxy's own fields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

from mitmproxy import http

from addons.pipeline.exchange import BodyMode, Exchange, Response, ResponseHead, UpstreamFailure

_ATTRIBUTE = "_ofapi"
_WIRE = "_ofapi_wire"
_ADDRESSED = "_ofapi_addressed"


class Observer(Protocol):
    """Somebody who looks at flows: gets copies without secrets, and each flow once it is over."""

    def shown_request(self, request: http.Request) -> http.Request: ...

    def shown_response(self, response: http.Response, path: str) -> http.Response: ...

    def hide_body(self, request: http.Request) -> None: ...

    def note(self, flow: http.HTTPFlow, exchange: Exchange) -> None: ...

    async def finished(self, flow: http.HTTPFlow, exchange: Exchange) -> None: ...


@dataclass(slots=True)
class FlowState:
    """`local`: the answer is ours, upstream is not asked. `answered`: handed to the client. `settled`: `after` is due or done.

    `client_is_behind`: what it was sent waits here, so nothing more is read from upstream.
    """

    exchange: Exchange | None
    request_limit: int
    read_timeout_s: float
    max_body_bytes: int
    accept_encoding: str = ""
    client_http10: bool = False
    client_head: bool = False
    client_http2: bool = False
    local: bool = False
    expects_continue: bool = False
    answered: bool = False
    settled: bool = False
    upload: bool = False
    retried: bool = False
    response_mode: BodyMode = BodyMode.BUFFER
    failure: UpstreamFailure | None = None
    failure_answer: Response | None = None
    upstream_head: ResponseHead | None = None
    upstream_started: float | None = None
    client_is_behind: Callable[[], bool] = lambda: False
    too_large: Callable[[], http.Response] | None = None
    overflow: Callable[[], None] | None = None


def state_of(flow: http.HTTPFlow) -> FlowState | None:
    return cast(FlowState | None, getattr(flow, _ATTRIBUTE, None))


def attach(flow: http.HTTPFlow, state: FlowState) -> None:
    setattr(flow, _ATTRIBUTE, state)


def show_as[M: (http.Request, http.Response)](shown: M, wire: M) -> M:
    """`shown` is what addons and mitmweb see of a message, `wire` what is sent in its place."""
    if shown is not wire:
        setattr(shown, _WIRE, wire)
    return shown


def wire_of[M: (http.Request, http.Response)](message: M) -> M:
    return cast(M, getattr(message, _WIRE, message))


def mark_addressed(request: http.Request) -> None:
    """The request came to a proxy: through a CONNECT tunnel, or with the whole URL in its first line."""
    setattr(request, _ADDRESSED, True)


def is_addressed(request: http.Request) -> bool:
    return hasattr(request, _ADDRESSED)


def release(flow: http.HTTPFlow) -> None:
    """Forget everything once it was sent: mitmweb keeps flows, and an exchange holds bodies of its own."""
    for holder, name in ((flow.request, _WIRE), (flow.response, _WIRE), (flow, _ATTRIBUTE)):
        if holder is not None and hasattr(holder, name):
            delattr(holder, name)
