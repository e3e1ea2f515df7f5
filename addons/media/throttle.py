"""A shared limit on bytes per second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable


class Throttle:
    """Spends one second's bytes at most in one go, then waits. None: no limit. `clock` counts seconds."""

    def __init__(
        self,
        bytes_per_s: int | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._rate = bytes_per_s
        self._clock, self._sleep = clock, sleep
        self._free_at = 0.0

    async def spend(self, size: int) -> None:
        """Account for `size` bytes, and wait while more than a second's worth has gone out."""
        if self._rate is None:
            return
        now = self._clock()
        self._free_at = max(self._free_at, now - 1.0) + size / self._rate
        if self._free_at > now:
            await self._sleep(self._free_at - now)
