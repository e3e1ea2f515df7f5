"""What one sender holds of one webhook in memory: queues by lane, and how fast the endpoint may be asked.

Lanes take turns here as in the store, so that one with a long queue delays none of the others.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from yarl import URL

from ofapi_store.queries.webhooks_delivery import Room

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ofapi_store.queries.webhooks_delivery import Leased


@dataclass(frozen=True, slots=True)
class Pacing:
    """After `after` failed tries in a row an endpoint gets one try at a time, the next after `first_s`, doubled up to `max_s`.

    A dead endpoint with a long queue costs next to nothing then, and any success brings back full speed.
    """

    after: int = 5
    first_s: float = 0.25
    max_s: float = 5.0

    def gap_s(self, failures: int) -> float:
        if failures < self.after:
            return 0.0
        return float(min(self.max_s, self.first_s * 2.0 ** min(failures - self.after, 20)))


LEAST_AHEAD = 8  # per request at once
LOOK_S = 0.5
QUICK_S = 1.0
LONG_S = 4.0


@dataclass(slots=True)
class Target:
    """Where and how to send, as of `updated_at` of the webhook. `problem`: why nothing can be sent at all."""

    url: URL
    secret: str | None
    updated_at: datetime
    problem: str | None = None


class Line:
    """`held`: ids of deliveries leased and not yet settled. Times are the event loop's.

    How much is held follows how fast the endpoint is: a thousand slow or dead ones cost little memory.
    """

    __slots__ = (
        "_filled_at",
        "_fresh_first",
        "_lanes",
        "_last_fresh",
        "_last_retry",
        "_looked_at",
        "_pacing",
        "_ready",
        "_window",
        "failures",
        "held",
        "held_until",
        "parallel",
        "running",
        "target",
    )

    def __init__(self, target: Target, pacing: Pacing, parallel: int) -> None:
        self.target = target
        self.parallel = parallel
        self.held: set[int] = set()
        self.running = 0
        self.failures = 0
        self.held_until = 0.0
        self._pacing = pacing
        self._lanes: dict[str, deque[Leased]] = {}
        self._ready: deque[str] = deque()
        self._window = LEAST_AHEAD * parallel
        self._filled_at = 0.0
        self._looked_at = 0.0
        self._last_fresh = ""
        self._last_retry = ""
        self._fresh_first = True

    @property
    def outstanding(self) -> int:
        return len(self.held)

    @property
    def suspect(self) -> bool:
        return self.failures >= self._pacing.after

    @property
    def queued(self) -> bool:
        return any(self._lanes.values())

    @property
    def others_wait(self) -> bool:
        """Whether there are lanes that nobody works on."""
        return bool(self._ready)

    def room(self, most: int, now: float, *, look_s: float = LOOK_S) -> Room | None:
        """What to lease: for all lanes once half of what is held is gone, before that, every `look_s`, for those without any."""
        count, full = self._portion(most, now), frozenset[str]()
        if not count and not self.suspect and now - self._looked_at >= look_s:
            count = min(LEAST_AHEAD * self.parallel, most - self.outstanding)
            full = frozenset(lane for lane, queue in self._lanes.items() if queue)
        if count <= 0:
            return None
        self._looked_at = now
        self._fresh_first = not self._fresh_first
        return Room(count, full, self._last_fresh, self._last_retry, self._fresh_first)

    def _portion(self, most: int, now: float) -> int:
        """Leases are few. A portion that is soon gone doubles what is held, up to `most`; one that takes long halves it."""
        if self.suspect:
            return 1 if self.outstanding == 0 and now >= self.held_until else 0
        if self.outstanding > min(self._window, most) // 2:
            return 0
        took, self._filled_at = now - self._filled_at, now
        if took < QUICK_S:
            self._window *= 2
        elif took > LONG_S:
            self._window //= 2
        self._window = min(max(self._window, LEAST_AHEAD * self.parallel), most)
        return self._window - self.outstanding

    def fill(self, leased: Sequence[Leased]) -> None:
        """Takes in what was leased; the lane that came last to its turn is remembered, the next lease goes on after it."""
        seen: set[tuple[str, bool]] = set()
        for delivery in leased:
            turn = (delivery.lane, delivery.attempts > 0)
            if turn not in seen:
                seen.add(turn)
                if delivery.attempts:
                    self._last_retry = delivery.lane
                else:
                    self._last_fresh = delivery.lane
            self.add(delivery)

    def add(self, delivery: Leased) -> None:
        lane = self._lanes.get(delivery.lane)
        if lane is None:
            lane = self._lanes[delivery.lane] = deque()
            self._ready.append(delivery.lane)
        lane.append(delivery)
        self.held.add(delivery.id)

    def take_lane(self, now: float) -> str | None:
        """A lane that nobody works on and that may be worked on now; give it back with `give_back`."""
        most = 1 if self.suspect else self.parallel
        if self.running >= most or now < self.held_until or not self._ready:
            return None
        self.running += 1
        return self._ready.popleft()

    def next(self, lane: str) -> Leased | None:
        queue = self._lanes[lane]
        return queue.popleft() if queue else None

    def give_back(self, lane: str) -> None:
        self.running -= 1
        if self._lanes[lane]:
            self._ready.append(lane)
        else:
            del self._lanes[lane]

    def drop_queue(self) -> list[int]:
        """Empties the queues; gives the ids of what was in them."""
        dropped = [delivery.id for queue in self._lanes.values() for delivery in queue]
        for queue in self._lanes.values():
            queue.clear()
        self._lanes = {lane: queue for lane, queue in self._lanes.items() if lane not in self._ready}
        self._ready.clear()
        self.held.difference_update(dropped)
        return dropped

    def heard(self, *, ok: bool, now: float, retry_after_s: float | None) -> None:
        """How a try went."""
        if ok:
            self.failures, self.held_until = 0, 0.0
            return
        self.failures += 1
        self.held_until = max(self.held_until, now + self._pacing.gap_s(self.failures))
        if retry_after_s:
            self.held_until = max(self.held_until, now + min(retry_after_s, 60.0))
