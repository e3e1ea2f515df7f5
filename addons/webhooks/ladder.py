"""What follows from one try: done, again after the next wait of the ladder, or failed for good."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ofapi_store.queries.webhooks_delivery import Result

if TYPE_CHECKING:
    from addons.webhooks.sender import Outcome
    from ofapi_store.queries.webhooks_delivery import Leased

GONE = 410
Spread = Callable[[float, float], float]


@dataclass(frozen=True, slots=True)
class Ladder:
    """`schedule_s`: wait before each try; its length is the number of tries. `jitter`: share by which a wait varies."""

    schedule_s: tuple[float, ...]
    jitter: float = 0.2
    spread: Spread = random.uniform

    def result(self, delivery: Leased, outcome: Outcome, now: datetime) -> Result:
        """The try `delivery.attempts + 1` has ended at `now`.

        An endpoint's Retry-After lengthens the wait, to the ladder's longest at most. A probe that fails costs its
        delivery nothing: it goes out again when the webhook is probed again.
        """
        state, next_at = self._next(delivery, outcome, now)
        return Result(
            delivery,
            state,
            now,
            outcome.duration_ms,
            next_at,
            outcome.status_code,
            outcome.error_type,
            outcome.error_message,
            outcome.response,
        )

    def _next(self, delivery: Leased, outcome: Outcome, now: datetime) -> tuple[str, datetime | None]:
        if outcome.ok:
            return "delivered", None
        if outcome.status_code == GONE:
            return "gone", None
        if delivery.is_probe:
            return "pending", now
        wait_s = self.wait_s(delivery.attempts + 1, outcome.retry_after_s)
        return ("failed", None) if wait_s is None else ("pending", now + timedelta(seconds=wait_s))

    def wait_s(self, tries: int, retry_after_s: float | None = None) -> float | None:
        """How long to wait after `tries` tries; None: that was the last one."""
        if tries >= len(self.schedule_s):
            return None
        wait_s = self.schedule_s[tries] * self.spread(1 - self.jitter, 1 + self.jitter)
        return max(wait_s, min(retry_after_s or 0.0, max(self.schedule_s)))
