"""Which rule serves a request: a trie over path segments, built once per plan.

Order (design 4): `priority`, more literal segments, fewer parameters, a named method before `*`. HEAD uses the GET rule
where none names HEAD.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from addons.pipeline.paths import CanonicalPath, Template, parse_template

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Ranked(Protocol):
    """What the matcher needs to know of an owner of routes."""

    @property
    def priority(self) -> int: ...


Rank = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Route[R: Ranked]:
    """One spelling of one rule. `rank`: smaller wins."""

    method: str
    template: Template
    owner: R
    rank: Rank

    @classmethod
    def of(cls, method: str, template: Template, owner: R) -> Route[R]:
        params = len(template.parts) - template.literals
        return cls(method, template, owner, (-owner.priority, -template.literals, params, method == "*"))

    def serves(self, method: str) -> bool:
        return self.method in ("*", method) or (method == "HEAD" and self.method == "GET")

    def __str__(self) -> str:
        return f"{self.method} {self.template.text}"


@dataclass(slots=True)
class _Node[R: Ranked]:
    literals: dict[str, _Node[R]] = field(default_factory=dict)
    param: _Node[R] | None = None
    ends: list[Route[R]] = field(default_factory=list)
    rests: list[Route[R]] = field(default_factory=list)


class Matcher[R: Ranked]:
    """Immutable after construction; `find` takes microseconds whatever the number of rules."""

    def __init__(self, routes: Iterable[Route[R]]) -> None:
        self.routes = tuple(routes)
        self._root: _Node[R] = _Node()
        for route in self.routes:
            self._insert(route)

    def _insert(self, route: Route[R]) -> None:
        node = self._root
        for part in route.template.parts:
            if part.kind == "rest":
                node.rests.append(route)
                return
            if part.kind == "literal":
                node = node.literals.setdefault(part.text, _Node())
            else:
                if node.param is None:
                    node.param = _Node()
                node = node.param
        node.ends.append(route)

    def on_path(self, path: CanonicalPath) -> Iterator[Route[R]]:
        """Every route whose template matches, whatever its method, in no order."""
        segments = path.segments
        size = len(segments)
        stack = [(self._root, 0)]
        while stack:
            node, at = stack.pop()
            if at == size:
                yield from node.ends
                continue
            if node.rests:
                yield from node.rests
            child = node.literals.get(segments[at])
            if child is not None:
                stack.append((child, at + 1))
            if node.param is not None:
                stack.append((node.param, at + 1))

    def find(self, method: str, path: CanonicalPath) -> Route[R] | None:
        """The route that wins, or None. Raises BadPath if the part of the path that it covers has a fault."""
        best: Route[R] | None = None
        best_rank: tuple[int, ...] = ()
        for route in self.on_path(path):
            if route.serves(method):
                rank = order(route, method)
                if best is None or rank < best_rank:
                    best, best_rank = route, rank
        if path.faults:
            path.check(covered(best))
        return best


def order[R: Ranked](route: Route[R], method: str) -> tuple[int, ...]:
    """Sort key of a route for a request's method: a rule for HEAD goes before the GET rule that HEAD falls back to."""
    return (*route.rank, method == "HEAD" and route.method == "GET")


def covered[R: Ranked](route: Route[R] | None) -> int | None:
    """How many leading segments a route takes as segments: all, but for the text of a `{rest+}`."""
    return len(route.template.parts) - 1 if route is not None and route.template.has_rest else None


def parse_match(text: str) -> tuple[str, Template]:
    """`GET /{account}/fans` as method and template. Raises ValueError with the reason."""
    method, _, path = text.strip().partition(" ")
    path = path.strip()
    if not path:
        raise ValueError(f"`{text}` must be `METHOD /path`")
    if method != "*" and method not in METHODS:
        raise ValueError(f"method `{method}` is not one of {', '.join(METHODS)} or `*`")
    if "?" in path:
        raise ValueError("`match` has no query: the query never chooses the rule")
    return method, parse_template(path)
