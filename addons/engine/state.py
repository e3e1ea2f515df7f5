"""What the engine knows of a flow beside mitmproxy's own fields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mitmproxy import http

from addons.pipeline.exchange import BodyMode, Exchange, Response, UpstreamFailure

_ATTRIBUTE = "_ofapi"


@dataclass(slots=True)
class FlowState:
    """`local`: the answer is ours, upstream is not asked. `answered`: handed to the client. `settled`: `after` is due or done."""

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
    upstream_started: float | None = None
    too_large: Callable[[], http.Response] | None = None
    overflow: Callable[[], None] | None = None
    view: dict[str, Any] = field(default_factory=dict)


def state_of(flow: http.HTTPFlow) -> FlowState | None:
    return getattr(flow, _ATTRIBUTE, None)


def attach(flow: http.HTTPFlow, state: FlowState) -> None:
    setattr(flow, _ATTRIBUTE, state)
