"""Rows for the store from bodies that pass by, after the answer has gone out.

Bodies wait in a queue bounded by bytes. When it is full, the exchanges that have been answered wait for room before
they end: while the store takes rows nothing is dropped, and the wait is counted. Where it takes none for half a minute,
bodies are left out, and counted: traffic or a sync brings their rows again. Identical bodies of one account and rule
within a minute are taken once.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog
from cachetools import TTLCache

from ofapi_store.errors import StoreUnavailable

if TYPE_CHECKING:
    from addons.pipeline.exchange import Exchange
    from addons.pipeline.metrics import Metrics

log = structlog.get_logger(__name__)

MAX_QUEUE_BYTES = 64_000_000
MAX_BATCH = 200
SAME_BODY_S = 60
MAX_LAST_BYTES = 8_000_000
RETRY_S = (0.05, 0.2, 1.0, 5.0)
INGEST_S = 30.0
ROOM_S = 30.0
_OUTAGE = (StoreUnavailable, TimeoutError)


@dataclass(frozen=True, slots=True)
class Sight:
    """One body that one rule observes for one account."""

    team_id: str
    account_id: str
    rule: Any
    params: dict[str, str]
    body: bytes
    at: float


def sight_of(x: Exchange) -> Sight | None:
    """What the rule of an exchange sees in upstream's answer; None where there is nothing to see."""
    rule = x.match.rule if x.match else None
    if rule is None or not rule.observe or x.account is None or not x.upstream_body or x.state.get("replayed"):
        return None
    if "selection" in x.state:  # its rows must stay where they are in the index while a client walks them by offset
        return None
    if x.upstream_status is None or not 200 <= x.upstream_status < 300:
        return None
    params = dict(x.match.params) if x.match else {}
    return Sight(x.account.team_id, x.account.id, rule, params, x.upstream_body, time.time())


Ingest = Callable[[Sequence[Sight]], Awaitable[int]]
"""Stores the rows of a batch in one transaction; returns how many it wrote."""


class Observer:
    """Queue, batching and de-duplication. `start` and `close` run it; `see` is called per exchange."""

    def __init__(self, ingest: Ingest, metrics: Metrics, *, max_bytes: int = MAX_QUEUE_BYTES) -> None:
        self._ingest = ingest
        self._metrics = metrics
        self._max_bytes = max_bytes
        self._waiting: list[Sight] = []
        self._taken = self._done = 0
        self._bytes = 0
        self._room = asyncio.Condition()
        self._seen: TTLCache[bytes, bool] = TTLCache(50_000, SAME_BODY_S, timer=time.monotonic)
        self._last: TTLCache[Hashable, bytes] = TTLCache(
            MAX_LAST_BYTES, SAME_BODY_S, timer=time.monotonic, getsizeof=len
        )
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    async def see(self, sight: Sight) -> None:
        """Take a body; waits while the queue is full, but not for ever."""
        if self._is_last(sight) or (key := _digest(sight)) in self._seen:
            self._metrics.observed.labels("same").inc()
            return
        self._seen[key] = True
        self._remember(sight)
        async with self._room:
            if self._bytes and self._bytes + len(sight.body) > self._max_bytes:
                self._metrics.observed.labels("waited").inc()
                if not await self._has_room(len(sight.body)):
                    self._metrics.observed.labels("dropped").inc()
                    self._forget([sight])
                    return
            self._waiting.append(sight)
            self._taken += 1
            self._bytes += len(sight.body)
            self._metrics.observe_queue.set(self._bytes)
            self._room.notify_all()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="observe")

    async def _has_room(self, size: int) -> bool:
        try:
            async with asyncio.timeout(ROOM_S):
                await self._room.wait_for(lambda: not self._bytes or self._bytes + size <= self._max_bytes)
        except TimeoutError:
            return False
        return True

    def _forget(self, batch: Sequence[Sight]) -> None:
        """Bodies that were not stored may come again at once."""
        for sight in batch:
            self._seen.pop(_digest(sight), None)
            self._last.pop(_place(sight), None)

    def _is_last(self, sight: Sight) -> bool:
        """Whether the body is the last one that was taken for this request: comparing takes a tenth of hashing."""
        return self._last.get(_place(sight)) == sight.body

    def _remember(self, sight: Sight) -> None:
        if len(sight.body) <= MAX_LAST_BYTES:
            self._last[_place(sight)] = sight.body

    async def flush(self) -> None:
        """Return when everything seen so far is stored or given up."""
        until = self._taken
        async with self._room:
            await self._room.wait_for(lambda: self._done >= until)

    async def _empty(self) -> None:
        async with self._room:
            await self._room.wait_for(lambda: not self._bytes and not self._waiting)

    async def close(self) -> None:
        """Store what waits, then stop."""
        if self._task is not None and not self._task.done():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty(), 30)
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        """Store batches until none waits; the next body starts a new run."""
        while True:
            async with self._room:
                batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            if not batch:
                return
            await self._store(batch)
            async with self._room:
                self._bytes -= sum(len(s.body) for s in batch)
                self._done += len(batch)
                self._metrics.observe_queue.set(self._bytes)
                self._room.notify_all()

    async def _store(self, batch: list[Sight]) -> None:
        """Retry while the store is busy; a batch that never fits is tried body by body, so that one cannot spoil all."""
        error: Exception | None = None
        for wait_s in (*RETRY_S, None):
            try:
                async with asyncio.timeout(INGEST_S):
                    await self._ingest(batch)
            except Exception as e:
                error = e
                log.warning("observed bodies not stored yet", error=f"{type(e).__name__}: {e}", bodies=len(batch))
                if wait_s is not None:
                    await asyncio.sleep(wait_s)
            else:
                self._metrics.observed.labels("stored").inc(len(batch))
                return
        if len(batch) > 1 and not isinstance(error, _OUTAGE):
            for sight in batch:
                await self._store_alone(sight)
        else:
            self._metrics.observed.labels("failed").inc(len(batch))
            self._forget(batch)

    async def _store_alone(self, sight: Sight) -> None:
        try:
            await self._ingest([sight])
            self._metrics.observed.labels("stored").inc()
        except Exception as e:
            self._metrics.observed.labels("failed").inc()
            log.error("observed body not stored", rule=sight.rule.id, error=f"{type(e).__name__}: {e}")


def _place(sight: Sight) -> Hashable:
    return sight.account_id, sight.rule.id, *sight.params.items()


def _digest(sight: Sight) -> bytes:
    head = f"{sight.account_id}\0{sight.rule.id}\0{sorted(sight.params.items())}\0".encode()
    return hashlib.blake2b(sight.body, digest_size=16, key=hashlib.blake2b(head, digest_size=32).digest()).digest()
