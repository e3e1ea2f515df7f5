"""The way of a request, free of any proxy engine (docs/architecture.md, "The way of a request").

Each stage may set `x.response`, a local answer; the engine then sends it and still calls `after`. No stage raises: an
ApiError becomes the answer it describes, any other exception a 500 with the request id, which finds it in the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import structlog
from ulid import ULID

from addons.pipeline import access_log, admit, finish, forward, idempotency, local, selection, upstream_errors
from addons.pipeline.answers import error_response, internal_error
from addons.pipeline.begin import route
from addons.pipeline.build import build_parts
from addons.pipeline.credits import Debit
from addons.pipeline.errors import ApiError, StoreDown
from addons.pipeline.exchange import (
    BodyMode,
    Entry,
    Exchange,
    Request,
    Response,
    ResponseHead,
    UpstreamFailure,
    UpstreamRequest,
)
from addons.pipeline.mounts import PUBLIC
from addons.pipeline.observe import sight_of
from ofapi_store.errors import SchemaOutdated, StoreClosed, StoreCorrupt, StoreError, StoreUnavailable

if TYPE_CHECKING:
    from addons.pipeline.parts import BodyEditor, Parts
    from addons.pipeline.plan import Plan
    from addons.pipeline.services import Services

log = structlog.get_logger(__name__)


STORE_DOWN = (StoreUnavailable, StoreCorrupt, StoreClosed, SchemaOutdated)


class Gateway:
    """One per process.

    Args:
        services: config, store, secrets, clock and the optional parts that other packages registered.
        plan: gives the rules in force; asked once per request.
        editor: runs the steps of rules; default: the runner on the store of `services`.
        handlers: computed and media handlers by name; default: those of `addons.compute.registry`.
    """

    def __init__(
        self,
        services: Services,
        plan: Callable[[], Plan],
        *,
        editor: BodyEditor | None = None,
        handlers: Mapping[str, Any] | None = None,
    ) -> None:
        self.parts: Parts = build_parts(services, plan, editor=editor, handlers=handlers)
        self._background: set[asyncio.Task[Any]] = set()

    def media_hosts(self) -> Sequence[str]:
        """Host patterns of media files, by the rules in force."""
        media = self.parts.plan().media
        return media.hosts if media is not None else ()

    def begin(self, request: Request, entry: Entry) -> Exchange:
        """Mount, dialect, canonical path, rule. Synchronous, no I/O."""
        x = Exchange(str(ULID()), entry, request, time.perf_counter())
        try:
            route(self.parts, x)
        except Exception as e:
            self._answer_error(x, e)
        self.parts.metrics.active.inc()
        return x

    async def admit(self, x: Exchange) -> None:
        """API key, account, rate limit, parameters."""
        if x.response is not None:
            return
        try:
            await admit.admit(self.parts, x)
            x.state["idempotency_key"] = idempotency.key_of(x)
            x.admitted = True
        except Exception as e:
            self._answer_error(x, e)

    def request_mode(self, x: Exchange) -> BodyMode:
        """Whether the request body may be forwarded unread. To be asked after `admit`."""
        return admit.request_mode(x)

    async def prepare(self, x: Exchange) -> None:
        """Answer locally (`x.response`) or say what goes upstream (`x.upstream`). The request body is there by now."""
        if x.response is not None:
            return
        try:
            if not x.admitted:
                raise RuntimeError("a request that was not admitted is not served")
            if x.mount in PUBLIC or x.mount == "cdn_host":
                self._take(x, await local.answer_public(self.parts, x))
            elif x.match is not None and x.match.rule.source in ("computed", "media") and x.mount != "upstream":
                await self._prepare_handler(x)
            else:
                await self._prepare_forward(x)
        except Exception as e:
            await self._undo(x)
            self._answer_error(x, e)

    async def _prepare_handler(self, x: Exchange) -> None:
        body = local.read_body(self.parts, x)
        await self._reserve(x)
        answer = await local.call_handler(self.parts, x, body)
        if isinstance(answer, UpstreamRequest):
            x.upstream = answer
            return
        if answer.status >= 500 and x.reservation is not None:
            self.parts.meter.refund(x.reservation)
        await self._settle(x)
        x.notes.credits = x.reservation.used if x.reservation else x.notes.credits
        response = local.answer_response(self.parts, x, answer, finish.counters(self.parts, x))
        finish.add_counters(self.parts, x, response.headers)
        x.response = self._final(x, response)

    async def _prepare_forward(self, x: Exchange) -> None:
        await forward.check_body(self.parts, x)
        await selection.select(self.parts, x)
        request = await forward.build(self.parts, x)
        if (key := x.state.get("idempotency_key")) is not None:
            found = await self.parts.replays.begin(x, key)
            if isinstance(found, Response):
                x.state["replayed"] = True
                await self.parts.meter.balance(x.principal.team.id if x.principal else "")
                x.response = await self._finish(x, found)
                x.response.headers.set("Idempotent-Replayed", "true")
                return
            x.state["claim"] = found
        await self._reserve(x)
        if (answer := selection.nothing(x)) is not None:
            x.response = await self._finish(x, answer)
            return
        x.upstream = request

    async def _reserve(self, x: Exchange) -> None:
        if x.principal is None:
            return
        rule = x.match.rule if x.match else None
        price = self.parts.prices.of(x.rule_id, rule.spec.credits if rule else None)
        account = x.account.id if x.account else ""
        x.reservation = await self.parts.meter.reserve(Debit(x.principal.team.id, account, x.rule_id, price))
        x.notes.credits = price

    async def _settle(self, x: Exchange) -> None:
        if x.reservation is not None:
            await self.parts.meter.settle(x.reservation)

    def response_mode(self, x: Exchange, head: ResponseHead) -> BodyMode:
        """Whether upstream's body must be held (to be edited, wrapped or translated) or may stream."""
        return finish.response_mode(self.parts, x, head)

    async def finish(self, x: Exchange, response: Response) -> Response:
        """Upstream's whole answer → the client's. Where nothing was edited, `body` is the very same object."""
        try:
            x.response = await self._finish(x, response)
        except Exception as e:
            self._give_back(x)
            self._answer_error(x, e)
        assert x.response is not None
        return x.response

    async def _finish(self, x: Exchange, response: Response) -> Response:
        answer = await finish.finish(self.parts, x, response)
        await self._settle(x)
        finish.add_counters(self.parts, x, answer.headers)
        return self._final(x, answer)

    def finish_head(self, x: Exchange, head: ResponseHead) -> ResponseHead:
        """Status and headers of a streamed answer."""
        try:
            out = finish.finish_head(self.parts, x, head)
        except Exception as e:
            self._answer_error(x, e)
            assert x.response is not None
            return ResponseHead(x.response.status, x.response.headers)
        if x.request.method == "HEAD" or head.status in (401, 204):
            self._spawn(finish.note_session(self.parts, x, head.status, b""))
        x.response = Response(out.status, out.headers)
        return out

    def fail(self, x: Exchange, failure: UpstreamFailure) -> Response:
        """The answer where upstream gave none that can be used. What was reserved goes back."""
        self._give_back(x)
        if (claim := x.state.pop("claim", None)) is not None:
            self._spawn(self._release(claim, failure))
        log.warning("upstream failed", request_id=x.id, kind=failure.kind, detail=failure.detail[:200])
        timeout = x.upstream.timeout_s if x.upstream else 0.0
        self._answer_error(x, upstream_errors.from_failure(failure, timeout))
        assert x.response is not None
        return x.response

    async def after(self, x: Exchange) -> None:
        """Observe, settle credits, log, count. The answer is out, so nothing here can fail it."""
        seconds = time.perf_counter() - x.started
        self.parts.metrics.active.dec()
        self.parts.metrics.finished(x, seconds)
        access_log.write(x, seconds)
        try:
            await self._observe(x)
            await self._settle(x)
            await self._touch(x)
        except Exception as e:
            log.error("work after an answer failed", request_id=x.id, error=f"{type(e).__name__}: {e}")

    async def close(self) -> None:
        """Write what waits: observed rows, credits, idempotency claims."""
        await self.parts.observer.close()
        with contextlib.suppress(StoreError):  # what cannot be booked now stays in its journal
            await self.parts.meter.close()
        await self.parts.touches.flush()
        if self._background:
            await asyncio.wait(self._background)

    async def _observe(self, x: Exchange) -> None:
        sight = sight_of(x)
        if sight is not None:
            await self.parts.observer.see(sight)

    async def _touch(self, x: Exchange) -> None:
        if x.principal is not None:
            await self.parts.touches.used(x.principal.key.id)

    def _take(self, x: Exchange, answer: Response | UpstreamRequest) -> None:
        if isinstance(answer, UpstreamRequest):
            x.upstream = answer
        else:
            x.response = self._final(x, answer)

    def _final(self, x: Exchange, response: Response) -> Response:
        response.headers.set("X-OFAPI-Request-Id", x.id)
        if x.request.method == "HEAD" and x.upstream is None and response.body:
            response.headers.set("Content-Length", str(len(response.body)))
            response.body = b""
        return response

    async def _undo(self, x: Exchange) -> None:
        """Nothing was sent: give back what was taken for it."""
        self._give_back(x)
        if (claim := x.state.pop("claim", None)) is not None:
            await self._release(claim, None)

    def _give_back(self, x: Exchange) -> None:
        """An answer that we fail to give costs nothing."""
        if x.reservation is not None:
            self.parts.meter.refund(x.reservation)
            x.notes.credits = x.reservation.used

    async def _release(self, claim: idempotency.Claim, failure: UpstreamFailure | None) -> None:
        """Free a key whose message cannot have been sent. After a timeout it may have been: the lease runs out first."""
        if failure is not None and failure.kind != "connect":
            return
        try:
            await self.parts.replays.release(claim)
        except Exception as e:
            log.error("idempotency key not released", error=type(e).__name__)

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _answer_error(self, x: Exchange, error: Exception) -> None:
        if isinstance(error, STORE_DOWN):
            log.error("request failed", request_id=x.id, rule=x.rule_id, error=f"{type(error).__name__}: {error}"[:300])
            error = StoreDown()
        elif not isinstance(error, ApiError):
            log.error("request failed", request_id=x.id, rule=x.rule_id, **_trace(error))
            error = internal_error(x.id)
        response = error_response(error, x.id)
        finish.add_counters(self.parts, x, response.headers)
        x.response = self._final(x, response)


def _trace(error: Exception) -> dict[str, str]:
    """What an operator needs of an exception; never its locals or SQL parameters, which may be secrets."""
    first = (str(error).splitlines() or [""])[0][:300]
    return {"error": f"{type(error).__name__}: {first}", "trace": "".join(traceback.format_tb(error.__traceback__))}
