"""Requests per team and minute: an exact sliding window, so that no 60 seconds ever hold more than the limit.

Kept in the memory of one process. Behind several gateway processes each counts its own share: give each
`requests_per_minute / processes`, or balance by API key.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

WINDOW_S = 60.0


@dataclass(frozen=True, slots=True)
class RateState:
    """What the client is told. `retry_after_s` is 0 unless the request was refused."""

    limit: int
    remaining: int
    retry_after_s: int = 0

    @property
    def allowed(self) -> bool:
        return self.retry_after_s == 0


class RateLimiter:
    """One window per team. A refused request does not count, so that hammering does not prolong the wait."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, deque[float]] = {}
        self._swept = clock()

    def hit(self, team_id: str, limit: int) -> RateState:
        """Count one request of `team_id` against `limit` per minute."""
        now = self._clock()
        self._sweep(now)
        seen = self._seen.setdefault(team_id, deque())
        while seen and seen[0] <= now - WINDOW_S:
            seen.popleft()
        if len(seen) >= limit:
            wait = seen[len(seen) - limit] + WINDOW_S - now
            return RateState(limit, 0, max(1, math.ceil(wait)))
        seen.append(now)
        return RateState(limit, limit - len(seen))

    def peek(self, team_id: str, limit: int) -> RateState:
        """What is left, without counting."""
        now = self._clock()
        used = sum(1 for at in self._seen.get(team_id, ()) if at > now - WINDOW_S)
        return RateState(limit, max(0, limit - used))

    def _sweep(self, now: float) -> None:
        """Forget teams that were silent for a whole window, so that memory follows the active ones."""
        if now - self._swept < WINDOW_S:
            return
        self._swept = now
        idle = [team for team, seen in self._seen.items() if not seen or seen[-1] <= now - WINDOW_S]
        for team in idle:
            del self._seen[team]
