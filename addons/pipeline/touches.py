"""When API keys were last used: noted at most once a minute per key, written in batches, never in the way of a request."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import datetime

EVERY_S = 60.0


class Touches:
    """`write` takes key id → time; a failed write is tried again with the next one."""

    def __init__(
        self,
        write: Callable[[dict[str, datetime]], Awaitable[None]],
        now: Callable[[], datetime],
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._now = now
        self._timer = timer
        self._noted: dict[str, float] = {}
        self._waiting: dict[str, datetime] = {}

    async def used(self, key_id: str) -> None:
        """A request with this key was answered."""
        at = self._timer()
        if at - self._noted.get(key_id, -EVERY_S) < EVERY_S:
            return
        self._noted[key_id] = at
        self._waiting[key_id] = self._now()
        await self.flush()

    async def flush(self) -> None:
        """Write what waits."""
        if not self._waiting:
            return
        batch, self._waiting = self._waiting, {}
        try:
            await self._write(batch)
        except Exception:
            self._waiting = {**batch, **self._waiting}
            raise
