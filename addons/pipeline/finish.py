"""Last stage before the client: upstream's answer, edited where a rule says so, in the exchange's dialect."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import structlog

from addons.pipeline import pagination, selection, upstream_errors
from addons.pipeline.answers import JSON_TYPE, down_headers, error_response, is_json_type, location
from addons.pipeline.dialects import CHARGED_NOTE, FREE_NOTE, REPLAY_NOTE, Counters, envelope, is_json
from addons.pipeline.exchange import BodyMode, Headers, Response, ResponseHead
from addons.pipeline.local import base_url, call_then, page_url
from ofapi_store.errors import StoreError

if TYPE_CHECKING:
    from addons.pipeline.credits import Reservation
    from addons.pipeline.exchange import Exchange
    from addons.pipeline.idempotency import Claim
    from addons.pipeline.parts import Parts

log = structlog.get_logger(__name__)

NO_BODY = (204, 304)


def counters(parts: Parts, x: Exchange) -> Counters:
    """What the client is told about credits and rate."""
    used, note = x.notes.credits, CHARGED_NOTE if x.notes.credits else FREE_NOTE
    if x.state.get("replayed"):
        note = REPLAY_NOTE
    team = x.principal.team.id if x.principal else ""
    return Counters(used, parts.meter.last_balance(team), x.state.get("rate"), note)


def add_counters(parts: Parts, x: Exchange, headers: Headers) -> None:
    """The counters as headers. Media handlers and our file server price their own work: their figure stands."""
    if x.principal is None:
        return
    own = headers.get("x-ofapi-credits-used")
    if own is not None and own.isdigit():
        x.notes.credits = int(own)
    for name, value in counters(parts, x).headers():
        headers.set(name, value)


def response_mode(parts: Parts, x: Exchange, head: ResponseHead) -> BodyMode:
    """BUFFER what may be edited, wrapped, translated or kept for a replay; STREAM everything else."""
    if x.upstream is not None and x.upstream.internal:
        return BodyMode.STREAM
    declared = head.headers.get("content-length") or ""
    if declared.isdigit() and int(declared) > parts.config.limits.max_body_bytes:
        return BodyMode.STREAM
    hold = x.state.get("claim") is not None or head.status in NO_BODY or x.request.method == "HEAD"
    return BodyMode.BUFFER if hold or _interesting(x, head) else BodyMode.STREAM


def _interesting(x: Exchange, head: ResponseHead) -> bool:
    """Whether a body of this status and type may be one that we change or read."""
    kind = head.headers.get("content-type")
    if head.status >= 400:
        return x.dialect == "envelope" or is_json_type(kind)
    if not 200 <= head.status < 300 or head.status == 206:
        return False
    return kind is None or is_json_type(kind) or _mislabelled(x, kind)


def _mislabelled(x: Exchange, content_type: str) -> bool:
    """A hybrid rule's body that says it is plain text may still be JSON: look before giving up on the rule."""
    hybrid = x.match is not None and x.match.rule.source == "hybrid"
    return hybrid and content_type.lower().startswith("text/plain")


async def finish(parts: Parts, x: Exchange, response: Response) -> Response:
    """Upstream's whole answer → the client's. Raises ApiError (a step with `on_error: fail`)."""
    x.upstream_status = response.status
    x.upstream_body = response.body
    charge_for(parts, x, response.status)
    await note_session(parts, x, response.status, response.body)
    if (claim := x.state.pop("claim", None)) is not None:
        await _keep(parts, claim, response)
    if x.upstream is not None and x.upstream.internal:
        return Response(response.status, response.headers, response.body)
    if response.status >= 400 and x.dialect == "envelope" and x.request.method != "HEAD":
        answer = error_response(upstream_errors.translate(response), x.id)
    elif response.status in NO_BODY or x.request.method == "HEAD" or not _editable(parts, x, response):
        answer = Response(response.status, _headers(x, response, edited=False), response.body)
    else:
        answer = await _present(parts, x, response)
    return answer


async def _keep(parts: Parts, claim: Claim, response: Response) -> None:
    """The message is sent, so the answer goes out even where a repeat of it cannot be answered from the store."""
    try:
        await parts.replays.keep(claim, response)
    except StoreError as e:
        log.error("answer not kept for its Idempotency-Key", error=type(e).__name__)


def _editable(parts: Parts, x: Exchange, response: Response) -> bool:
    if not 200 <= response.status < 300 or response.status == 206 or not response.body:
        return False
    if len(response.body) > parts.config.limits.max_body_bytes:
        x.notes.skipped.append(("*", "body over limits.max_body_bytes"))
        return False
    kind = response.headers.get("content-type")
    return is_json_type(kind) or response.body.lstrip()[:1] in (b"{", b"[")


async def _present(parts: Parts, x: Exchange, response: Response) -> Response:
    body = chosen = selection.page(x, response.body)
    rule = x.match.rule if x.match else None
    stranger = x.mount == "upstream" and x.account is None
    if rule is not None and rule.spec.then is not None and not stranger and x.principal is not None:
        await call_then(parts, x, rule.spec.then)
    if x.query.get("synchronous") is True and (wait := parts.services.parts.get("synchronous")) is not None:
        await wait(x)  # rows are stored, and figures that steps look up are worked out, first
    if rule is not None and not stranger and (rule.steps or (rule.present and x.dialect == "envelope")):
        x.state["base_url"] = base_url(parts, x) + x.state.get("prefix", "")
        body = await parts.editor.response(x, body)
    edited = (rule is not None and rule.source == "hybrid") or body is not response.body
    before_swap = body
    body = await _swapped(parts, x, body)
    headers = _headers(x, response, edited=edited, swapped=body is not before_swap)
    bare = rule is not None and rule.spec.present.bare
    if x.dialect == "envelope" and not bare and is_json(body):
        body = envelope(body, counters(parts, x).meta(), _next_page(parts, x, chosen))
    return Response(response.status, headers, body)


async def _swapped(parts: Parts, x: Exchange, body: bytes) -> bytes:
    swap = parts.services.parts.get("media_swap")
    if swap is None:
        return body
    try:
        swapped: Any = swap(body, x)
        result: bytes = await swapped if inspect.isawaitable(swapped) else swapped
        return result
    except Exception as e:  # the index of copies may fail in many ways; upstream's own URLs serve as well
        log.warning("media URLs left as they are", error=f"{type(e).__name__}: {e}")
        x.notes.skipped.append(("media", type(e).__name__))
        return body


def _next_page(parts: Parts, x: Exchange, body: bytes) -> dict[str, Any] | None:
    page = x.match.rule.spec.present.page if x.match else None
    if page is None or page.kind == "none" or x.path is None:
        return None
    query = pagination.next_query(page_spec(x), x.path.query, body)
    return {"next_page": None if query is None else page_url(parts, x, query)}


def page_spec(x: Exchange) -> pagination.PageSpec:
    """How the matched operation pages: the page size that upstream was sent, else the one that the rule names."""
    assert x.match is not None
    spec = x.match.rule.spec
    page = spec.present.page
    assert page is not None
    sent = spec.query.default.get("limit", "")
    return pagination.PageSpec(page.kind, int(sent) if sent.isdigit() else page.limit, page.param)


def _headers(x: Exchange, response: Response, *, edited: bool, swapped: bool = False) -> Headers:
    headers = down_headers(response.headers, streamed=False, edited=edited, swapped=swapped)
    _add_location(x, response.headers, headers)
    return headers


def _add_location(x: Exchange, upstream: Headers, headers: Headers) -> None:
    target = upstream.get("location")
    if target is not None and (kept := location(x, target)) is not None:
        headers.set("Location", kept)
    if x.state.get("own_session"):
        for cookie in upstream.get_all("set-cookie"):
            headers.add("Set-Cookie", cookie)


def finish_head(parts: Parts, x: Exchange, head: ResponseHead) -> ResponseHead:
    """Status and headers of an answer whose body goes on as it comes."""
    x.upstream_status = head.status
    charge_for(parts, x, head.status)
    if x.upstream is not None and x.upstream.internal:
        headers = head.headers.copy()
        if (used := headers.get("x-ofapi-credits-used") or "").isdigit():  # the file server books by size
            x.notes.credits = int(used)
    else:
        headers = down_headers(head.headers, streamed=True)
        _add_location(x, head.headers, headers)
        if x.request.method == "HEAD":
            _unsay(x, head, headers)
    add_counters(parts, x, headers)
    headers.set("X-OFAPI-Request-Id", x.id)
    return ResponseHead(head.status, headers)


def _unsay(x: Exchange, head: ResponseHead, headers: Headers) -> None:
    """HEAD says of the body what GET would: nothing of upstream's where ours is edited, wrapped or translated."""
    rule, ok = x.match.rule if x.match else None, head.status < 400
    edited = ok and rule is not None and rule.source == "hybrid"
    wrapped = x.dialect == "envelope" and not (ok and rule is not None and rule.spec.present.bare)
    if not _interesting(x, head) or not (edited or wrapped):
        return
    headers.remove("content-length", "content-encoding")
    if edited:
        headers.remove("etag", "last-modified")
    if not ok:
        headers.set("Content-Type", JSON_TYPE)


def charge_for(parts: Parts, x: Exchange, status: int) -> None:
    """Keep the reservation where upstream answered (contract 3: its errors too), give it back for its 5xx and 429."""
    reservation: Reservation | None = x.reservation
    if reservation is None:
        return
    if status >= 500 or status == 429:
        parts.meter.refund(reservation)
    x.notes.credits = reservation.used


async def note_session(parts: Parts, x: Exchange, status: int, body: bytes) -> None:
    """Mark the account whose session upstream no longer knows, and take the mark away when it answers again."""
    if x.account is None or x.upstream is None or x.upstream.internal or x.state.get("replayed"):
        return
    dead = upstream_errors.is_dead_session(status, body)
    if dead and x.account.state != "session_expired" and not x.state.get("own_session"):
        await parts.sessions.expired(x.account)
    elif 200 <= status < 300 and x.account.state == "session_expired" and not x.state.get("own_session"):
        await parts.sessions.alive(x.account)
