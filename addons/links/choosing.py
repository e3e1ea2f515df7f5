"""Which real link a visitor is sent to: each recent click holds its own, and what happens when none is free.

In memory, in the process that answers; holds are stored with the clicks and read back at start. The link that was held
least recently goes first. Where even that one is still held, it is shared, and a subscription through it is credited to
the latest click. A visitor who comes again is sent to the same link. Robots hold nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from cachetools import TTLCache

from ofapi_store.queries.pools import PoolRow

MAX_VISITORS = 20_000
_SAME_S = 0.002  # the stored time of a hold is that of the click's id, in whole milliseconds


@dataclass(slots=True)
class Member:
    """A pool link; times are Unix seconds. `visitor`: who was sent there last, as far as this process knows."""

    id: int
    url: str
    held_at: float = 0.0
    visitor: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """`is_shared`: another click holds the link too."""

    id: int
    url: str
    is_shared: bool


class Chooser:
    """The pool of one smart link. `window_s`: how long a click holds its link."""

    def __init__(self, window_s: float, again_s: float) -> None:
        self._window_s = window_s
        self._members: OrderedDict[int, Member] = OrderedDict()  # the least recently held first
        self._visitors: TTLCache[str, int] = TTLCache(MAX_VISITORS, again_s)

    def __len__(self) -> int:
        return len(self._members)

    def update(self, rows: Iterable[PoolRow]) -> None:
        """Takes over what is stored; of two times a link was held the later one counts."""
        found = [Member(r.id, r.url, _seconds(r)) for r in rows if r.state == "ready" and r.url]
        for member in found:
            known = self._members.get(member.id)
            if known is not None and known.held_at >= member.held_at - _SAME_S:
                member.held_at, member.visitor = known.held_at, known.visitor
        found.sort(key=lambda m: (m.held_at, m.id))
        self._members = OrderedDict((m.id, m) for m in found)

    def choose(self, visitor: str, now: float, *, hold: bool = True) -> Choice | None:
        """None where no link is ready. `hold` False: a robot, which takes nothing away from visitors."""
        if not self._members:
            return None
        again = self._members.get(self._visitors.get(visitor, -1))
        member = again or next(iter(self._members.values()))
        recent = member.held_at > 0 and abs(now - member.held_at) < self._window_s
        choice = Choice(member.id, member.url, recent and member.visitor != visitor)
        if hold:
            self._take(member, visitor, now)
        return choice

    def _take(self, member: Member, visitor: str, now: float) -> None:
        member.held_at, member.visitor = max(now, member.held_at), visitor
        self._members.move_to_end(member.id)
        self._visitors[visitor] = member.id


def _seconds(row: PoolRow) -> float:
    return row.last_held_at.timestamp() if row.last_held_at is not None else 0.0
