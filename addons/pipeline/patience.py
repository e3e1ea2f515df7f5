"""Reads of the store on the way of a request: none waits long, and a store that does not answer is left alone for a while.

Most answers come from upstream. A store that is down, or hangs, must not keep them waiting one after the other.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import structlog

from ofapi_store.errors import StoreUnavailable

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from ofapi_store.engine import Store

log = structlog.get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

WAIT_S = 10.0
PAUSE_S = 2.0


class StoreSlow(StoreUnavailable):
    """The store took longer than the caller may wait."""


class PatientStore:
    """The hot reads of a store (`Store.aread`) with an end to the waiting. One per gateway."""

    def __init__(self, store: Store, *, timer: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._timer = timer
        self._paused_until = 0.0

    async def aread(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Raises StoreUnavailable after ten seconds, or at once while the store is left alone."""
        return await self.within(WAIT_S, fn, *args, **kwargs)

    async def within(
        self, wait_s: float, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The same for a caller with a wait of its own; the end of a shorter one says nothing about the store."""
        if self._timer() < self._paused_until:
            raise StoreUnavailable("the store did not answer a moment ago; it is asked again soon")
        try:
            if self._store.reads_inline:  # nothing else runs meanwhile, a timer neither
                return await self._store.aread(fn, *args, **kwargs)
            async with asyncio.timeout(wait_s):
                return await self._store.aread(fn, *args, **kwargs)
        except TimeoutError as e:
            if wait_s >= WAIT_S:
                self._pause(f"no answer within {wait_s:g} s")
            raise StoreSlow(f"the store took longer than {wait_s:g} s") from e
        except StoreUnavailable as e:
            self._pause(str(e))
            raise

    def _pause(self, reason: str) -> None:
        log.warning("store does not answer", reason=reason, asked_again_in_s=PAUSE_S)
        self._paused_until = self._timer() + PAUSE_S


class Shared[K, V]:
    """Reads of one thing by many at once: one of them asks, all get its answer."""

    def __init__(self) -> None:
        self._under_way: dict[K, asyncio.Task[V]] = {}

    async def get(self, key: K, read: Callable[[], Coroutine[Any, Any, V]], wait_s: float | None = None) -> V:
        """What `read` gives. Raises what it raises, and StoreSlow after `wait_s`; the read itself goes on."""
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.get_running_loop().create_task(read(), name="shared read")
            task.add_done_callback(lambda done: self._ended(key, done))
        try:
            async with asyncio.timeout(wait_s):
                return await asyncio.shield(task)
        except TimeoutError as e:
            raise StoreSlow(f"the store took longer than {wait_s:g} s") from e

    def forget(self) -> None:
        """Who asks from now on asks anew."""
        self._under_way.clear()

    def _ended(self, key: K, task: asyncio.Task[V]) -> None:
        if self._under_way.get(key) is task:
            del self._under_way[key]
        if not task.cancelled():
            task.exception()  # nobody may be waiting for it any more
