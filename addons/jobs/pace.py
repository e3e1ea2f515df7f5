"""How fast one account may ask upstream.

OnlyFans throttles per account and early: starts at least 300 ms apart and at most six at once draw few 429s, widening
the gap after each 429 draws fewer (contract 4).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

WIDEN = 2.0
NARROW = 0.9
CALM = 20  # successes in a row after which the gap narrows again
WIDEST_S = 5.0


class Pace:
    """Spaces the requests of one account. Safe for many tasks of one event loop.

    Args:
        min_interval_s: least seconds between two starts.
        max_parallel: most requests at once.
        backoff_max_s: longest pause after a 429.
        monotonic, sleep: the clock, replaceable in tests.
    """

    def __init__(
        self,
        *,
        min_interval_s: float,
        max_parallel: int,
        backoff_max_s: float,
        monotonic: Callable[[], float] | None = None,
    ) -> None:
        self.interval_s = self._least = min_interval_s
        self._slots = asyncio.Semaphore(max_parallel)
        self._backoff_max_s = backoff_max_s
        self._now = monotonic or asyncio.get_running_loop().time
        self._next_start = 0.0
        self._calm = 0
        self._refusals = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Waits for a free slot and the next start, holds the slot for the request."""
        async with self._slots:
            while True:
                wait = self._next_start - self._now()
                if wait <= 0:
                    break
                await asyncio.sleep(wait)  # a 429 elsewhere may move the start meanwhile: look again
            self._next_start = self._now() + self.interval_s
            yield

    def refused(self, retry_after_s: float | None) -> float:
        """Upstream said 429: every request of the account pauses. Returns the pause in seconds."""
        self._calm = 0
        self._refusals += 1
        self.interval_s = min(max(self.interval_s, 0.1) * WIDEN, max(WIDEST_S, self._least))
        pause = retry_after_s
        if pause is None:
            pause = 2.0 ** min(self._refusals, 10) * random.uniform(0.8, 1.2)  # noqa: S311 (spread, not a secret)
        pause = min(pause, self._backoff_max_s)
        self._next_start = max(self._next_start, self._now() + pause)
        return pause

    def accepted(self) -> None:
        """Upstream answered: after a calm while the gap narrows again."""
        self._refusals = 0
        self._calm += 1
        if self._calm >= CALM:
            self._calm = 0
            self.interval_s = max(self.interval_s * NARROW, self._least)
