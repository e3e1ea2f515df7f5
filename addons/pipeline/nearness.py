"""How near a route comes to a path that it does not match: the cheapest way to write the one as the other.

A segment that is spelled alike costs little, one that differs, is missing or is too much costs 1, another method 0.5. A
parameter takes any segment for nearly nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from functools import cache
from typing import Protocol

from addons.pipeline.paths import Part, Template

ALIKE = 0.6
PARAMETER = 0.1
OTHER_METHOD = 0.5
MOST_SEGMENTS = 16

Way = tuple[float, tuple[str, ...]]


class Served(Protocol):
    """What nearness needs to know of a route."""

    @property
    def method(self) -> str: ...
    @property
    def template(self) -> Template: ...
    def serves(self, method: str) -> bool: ...


def nearness(route: Served, method: str, segments: Sequence[str]) -> tuple[float, str]:
    """The distance, and what differs."""
    cost, wrong = _cheapest(route.template.parts, tuple(segments[:MOST_SEGMENTS]))
    if not route.serves(method):
        cost, wrong = cost + OTHER_METHOD, (*wrong, f"its method is {route.method}")
    return round(cost, 2), "; ".join(wrong)


def _cheapest(parts: tuple[Part, ...], segments: tuple[str, ...]) -> Way:
    @cache
    def way(at: int, here: int) -> Way:
        if at == len(parts):
            return len(segments) - here, tuple(f"`{s}` is too much" for s in segments[here:])
        if here == len(segments):
            return len(parts) - at, tuple(f"`{_shown(p)}` is missing" for p in parts[at:])
        part, segment = parts[at], segments[here]
        if part.kind == "rest":
            return PARAMETER, ()
        cost = _cost(part, segment)
        differs = (f"`{segment}` is not `{part.text}`",) if cost and part.kind == "literal" else ()
        ways = (
            _and(cost, differs, way(at + 1, here + 1)),
            _and(1, (f"`{_shown(part)}` is missing",), way(at + 1, here)),
            _and(1, (f"`{segment}` is too much",), way(at, here + 1)),
        )
        return min(ways, key=lambda found: found[0])

    return way(0, 0)


def _and(cost: float, wrong: tuple[str, ...], rest: Way) -> Way:
    return cost + rest[0], (*wrong, *rest[1])


def _cost(part: Part, segment: str) -> float:
    return PARAMETER if part.kind != "literal" else 1 - _alike(part.text, segment)


@cache
def _alike(one: str, other: str) -> float:
    """1: the same; 0: not alike."""
    found = difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()
    return found if found >= ALIKE else 0


def _shown(part: Part) -> str:
    return part.text if part.kind == "literal" else f"{{{part.text}{'+' if part.kind == 'rest' else ''}}}"
