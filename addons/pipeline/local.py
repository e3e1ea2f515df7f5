"""Third stage for what we answer ourselves: computed and media handlers, and the mounts without API keys."""

from __future__ import annotations

import asyncio
import contextlib
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from addons.compute.api import Answer, Call, Checked
from addons.pipeline import health, pagination, phpquery, validate
from addons.pipeline.admit import body_limit
from addons.pipeline.answers import dumps, json_response
from addons.pipeline.begin import method_not_allowed, not_routed
from addons.pipeline.dialects import Counters, envelope
from addons.pipeline.errors import ApiError, StoreDown
from addons.pipeline.exchange import Headers, Response, UpstreamRequest
from addons.pipeline.metrics import CONTENT_TYPE
from ofapi_store.errors import StoreError
from ofapi_store.queries import backlog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from addons.compute.api import Selection
    from addons.pipeline.exchange import Exchange
    from addons.pipeline.parts import Parts

HANDLER_S = 50.0  # clients give up after 60 s
_NO_BODY = ("GET", "HEAD", "OPTIONS")


def base_url(parts: Parts, x: Exchange) -> str:
    """Root under which the client reaches us: config's `public_url`, else what it addressed."""
    if parts.config.public_url:
        return parts.config.public_url
    usual = {"http": 80, "https": 443}.get(x.entry.scheme)
    host = f"[{x.entry.host}]" if ":" in x.entry.host else x.entry.host
    port = "" if x.entry.port == usual else f":{x.entry.port}"
    return f"{x.entry.scheme}://{host}{port}"


def read_body(parts: Parts, x: Exchange) -> Any:
    """The JSON body of a call to a handler, checked by the rule. None for uploads, which handlers read themselves."""
    if x.request.method in _NO_BODY or x.match is None:
        return None
    kind = (x.request.headers.get("content-type") or "").lower()
    if x.match.rule.source == "media" and kind.startswith("multipart/"):
        return None
    value = validate.read_json(x.request.body, limit=body_limit(parts, x), content_type=kind)
    fields = x.match.rule.spec.body
    if not fields:
        return value
    handler = parts.handlers.get(x.match.rule.spec.handler or "")
    also = partial(handler.check, parts.config) if isinstance(handler, Checked) else None
    return validate.check_body({} if value is None else value, fields, parts.services.clock(), also=also)


async def call_handler(parts: Parts, x: Exchange, body: Any) -> Answer | UpstreamRequest:
    """Run the rule's handler. Raises ApiError."""
    assert x.match is not None
    return await _run(parts, x, x.match.rule.spec.handler or "", body)


async def call_then(parts: Parts, x: Exchange, name: str) -> None:
    """Run the handler that a forwarded rule names in `then`, on upstream's success. What it answers is ignored."""
    await _run(parts, x, name, read_body(parts, x), upstream=x.upstream_body)


async def _run(
    parts: Parts, x: Exchange, name: str, body: Any, *, upstream: bytes | None = None
) -> Answer | UpstreamRequest:
    assert x.match is not None
    handler = _found(parts.handlers, name)
    call = _call(parts, x, body, upstream)
    x.notes.handler = name
    return await _timed(x, call, handler(call), HANDLER_S if x.match.rule.source == "computed" else None)


async def call_selector(parts: Parts, x: Exchange, name: str) -> Selection:
    """Ask the store for the rows of a page, by the handler that a rule names in `index`. Raises ApiError."""
    selector = _found(parts.selectors, name)
    call = _call(parts, x, None, None)
    return await _timed(x, call, selector(call), HANDLER_S)


def _found[H](handlers: Mapping[str, H], name: str) -> H:
    if name not in handlers:
        raise ApiError(501, "not_available", f"This installation has no handler `{name}` for this operation.")
    return handlers[name]


async def _timed[T](x: Exchange, call: Call, work: Awaitable[T], wait_s: float | None) -> T:
    """What a handler answers; its time and its queries are noted."""
    started = time.perf_counter()
    try:
        async with asyncio.timeout(wait_s):
            answer = await work
    except TimeoutError as e:
        raise StoreDown from e
    x.notes.store_ms += (time.perf_counter() - started) * 1000
    x.notes.queries.extend(call.queries)
    return answer


def _call(parts: Parts, x: Exchange, body: Any, upstream: bytes | None) -> Call:
    assert x.match is not None
    assert x.principal is not None
    return Call(
        params=x.match.params,
        query=x.query,
        body=body,
        request=x.request,
        team=x.principal.team,
        key=x.principal.key,
        account=x.account,
        services=parts.services,
        base_url=base_url(parts, x),
        prefix=x.state.get("prefix", ""),
        client_ip=x.entry.client_ip,
        args=x.match.rule.spec.args,
        upstream=upstream,
    )


def answer_response(parts: Parts, x: Exchange, answer: Answer, counters: Counters) -> Response:
    """A handler's answer in the exchange's dialect."""
    headers = list(answer.headers)
    if answer.raw is not None or answer.status in (204, 304):
        return Response(answer.status, Headers(headers), answer.raw or b"")
    data = answer.data if isinstance(answer.data, bytes) else dumps(answer.data)
    bare = answer.bare or (x.match is not None and x.match.rule.spec.present.bare)
    if x.dialect == "envelope" and not bare:
        meta = {**counters.meta(), **(answer.meta or {})}
        data = envelope(data, meta, _pagination(parts, x, answer))
    return json_response(answer.status, data, headers)


def _pagination(parts: Parts, x: Exchange, answer: Answer) -> dict[str, Any] | None:
    if answer.page is None and answer.pagination is None:
        return None
    url = None
    if answer.page is not None and answer.page.query is not None and x.path is not None:
        changes = {k: None if v is None else str(v) for k, v in answer.page.query.items()}
        url = page_url(parts, x, phpquery.with_values(x.path.query, changes))
    return {"next_page": url, **(answer.pagination or {})}


def page_url(parts: Parts, x: Exchange, query: str) -> str:
    """The absolute URL of this request with another query."""
    return pagination.page_url(base_url(parts, x), x.request.target, query)


async def answer_public(parts: Parts, x: Exchange) -> Response | UpstreamRequest:
    """Health, metrics, and what other parts registered for the mounts without API keys."""
    assert x.path is not None
    name = x.mount
    if x.mount == "internal":
        first = x.path.segments[0] if x.path.segments else ""
        name = f"internal/{first}"
        if name in ("internal/health", "internal/metrics"):
            if x.request.method not in ("GET", "HEAD"):
                raise method_not_allowed(x.request.method, ["GET", "HEAD"])
            return await _internal(parts, first)
    handler = parts.services.parts.get("mounts", {}).get(name)
    if handler is None:
        raise not_routed(x)
    answer: Response | UpstreamRequest = await handler(x)
    return answer


async def _internal(parts: Parts, name: str) -> Response:
    if name == "metrics":
        with contextlib.suppress(StoreError):  # then the last figures stand
            parts.metrics.waiting(await parts.services.store.aread_slow(backlog.count, now=parts.services.clock()))
        return Response(
            200, Headers([("Content-Type", CONTENT_TYPE), ("Cache-Control", "no-store")]), parts.metrics.render()
        )
    status, report = await health.report(parts)
    return json_response(status, dumps(report), [("Cache-Control", "no-store")])
