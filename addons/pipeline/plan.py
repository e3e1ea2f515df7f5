"""The compiled, immutable form of a set of rule files: what requests are matched with.

A `Plan` is built aside, checked whole and then swapped in by one reference; an exchange keeps the plan that decided.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from addons.pipeline import phpquery
from addons.pipeline.matcher import METHODS, Matcher, Route, order
from addons.pipeline.nearness import nearness
from addons.pipeline.paths import CanonicalPath, Template, fill_text, names_in, parse_template
from addons.pipeline.rule_models import MediaRules, RuleModel

if TYPE_CHECKING:
    from addons.pipeline.observing import CompiledObserve
    from addons.pipeline.steps import BoundStep

ACCOUNT_NAMES = frozenset({"account.username", "account.onlyfans_id", "account.id"})


@dataclass(frozen=True, slots=True)
class UpstreamTemplate:
    """`GET /api2/v2/chats/{chat_id}/messages?limit=10`: method (`*`: the client's), path template, fixed query.

    In the fixed query, and nowhere else, a value may hold `{names}`; as in the path, beside the rule's own parameters
    there are `{account.username}`, `{account.onlyfans_id}` and `{account.id}`.
    """

    text: str
    method: str
    template: Template
    query: tuple[tuple[str, str], ...]

    @property
    def names(self) -> list[str]:
        return [*self.template.names, *(n for _, value in self.query for n in names_in(value))]

    def path(self, params: Mapping[str, str]) -> str:
        """The upstream path for these parameters, percent-encoded."""
        return self.template.fill(params)

    def fixed_query(self, params: Mapping[str, str]) -> list[tuple[str, str]]:
        """Name and value pairs that the rule itself sends, decoded."""
        return [(name, fill_text(value, params)) for name, value in self.query]


def parse_upstream(text: str) -> UpstreamTemplate:
    """Parse the `upstream` of a rule. Raises ValueError with the reason."""
    method, _, target = text.strip().partition(" ")
    target = target.strip()
    if not target:
        raise ValueError(f"`{text}` must be `METHOD /path`")
    if method != "*" and method not in METHODS:
        raise ValueError(f"method `{method}` is not one of {', '.join(METHODS)} or `*`")
    path, _, query = target.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    return UpstreamTemplate(text, method, parse_template(path, dotted=True), tuple(pairs))


@dataclass(frozen=True, slots=True)
class CompiledIndex:
    """`index` of a rule: while the client sends `when`, upstream is asked for the rows that the store names."""

    when: str
    handler: str
    upstream: UpstreamTemplate
    ids: str

    def target(self, params: Mapping[str, str], ids: Sequence[str]) -> str:
        """Path and query upstream for these rows."""
        pairs = [*self.upstream.fixed_query(params), *((self.ids, value) for value in ids)]
        query = "&".join(f"{phpquery.encode(name)}={phpquery.encode(value)}" for name, value in pairs)
        return f"{self.upstream.path(params)}?{query}" if query else self.upstream.path(params)


@dataclass(frozen=True, slots=True, eq=False)
class CompiledRule:
    """A rule ready to run. `where` is `file:line:col` of its beginning."""

    spec: RuleModel
    where: str
    upstream: UpstreamTemplate | None = None
    index: CompiledIndex | None = None
    request: tuple[BoundStep, ...] = ()
    steps: tuple[BoundStep, ...] = ()
    present: tuple[BoundStep, ...] = ()
    observe: tuple[CompiledObserve, ...] = ()
    templates: tuple[tuple[str, Template], ...] = ()

    @property
    def id(self) -> str:
        return self.spec.id

    @property
    def source(self) -> str:
        return self.spec.source

    @property
    def priority(self) -> int:
        return self.spec.priority

    @property
    def active(self) -> bool:
        return self.spec.state == "active"

    def __repr__(self) -> str:
        return f"CompiledRule({self.id!r})"


RuleRoute = Route[CompiledRule]


@dataclass(frozen=True, slots=True)
class Match:
    """The rule that serves a request. `params`: path parameters, decoded (a `{rest+}` as sent, query included)."""

    rule: CompiledRule
    params: Mapping[str, str]
    route: RuleRoute

    @property
    def template(self) -> str:
        return self.route.template.text


@dataclass(frozen=True, slots=True)
class Near:
    """A route that nearly matched; `distance` as in `nearness.py`, which says what differs."""

    route: RuleRoute
    distance: float
    reason: str


@dataclass(frozen=True)
class Plan:
    """All rules of one load. `version`: SHA-256 over names and bytes of the files."""

    rules: tuple[CompiledRule, ...]
    version: str
    loaded_at: datetime
    media: MediaRules | None = None
    files: tuple[str, ...] = ()
    by_id: Mapping[str, CompiledRule] = field(default_factory=dict)

    @cached_property
    def _matcher(self) -> Matcher[CompiledRule]:
        return Matcher(
            Route.of(method, template, rule)
            for rule in self.rules
            if rule.active
            for method, template in rule.templates
        )

    @cached_property
    def _upstream(self) -> Matcher[CompiledRule]:
        found = []
        for rule in self.rules:
            up = rule.upstream
            if rule.active and up is not None and rule.source in ("hybrid", "passthrough"):
                methods = {m for m, _ in rule.templates} if up.method == "*" else {up.method}
                found += [Route.of(m, up.template, rule) for m in sorted(methods)]
        return Matcher(found)

    def warm(self) -> Plan:
        """Build the indexes now instead of at the first request."""
        _ = self._matcher, self._upstream
        return self

    def match(self, method: str, path: CanonicalPath) -> Match | None:
        """The rule for a request, or None. Raises BadPath (400) for a path that cannot be routed safely."""
        route = self._matcher.find(method, path)
        if route is None:
            return None
        return Match(route.owner, route.template.bind(path) or {}, route)

    def match_upstream(self, method: str, path: CanonicalPath) -> Match | None:
        """The rule whose `upstream` a request sent straight to upstream is; its fixed query must not contradict."""
        path.check()
        sent = dict(parse_qsl(path.query, keep_blank_values=True))
        best: tuple[tuple[Any, ...], RuleRoute] | None = None
        for number, route in enumerate(self._upstream.on_path(path)):
            fixed = route.owner.upstream.query if route.owner.upstream else ()
            if not route.serves(method) or any(k in sent and sent[k] != v for k, v in fixed if not names_in(v)):
                continue
            agreed = sum(sent.get(k) == v for k, v in fixed)
            # a note is read from the user's own path, too: the enriched one wins
            plain = route.owner.source != "hybrid"
            rank = (*order(route, method)[1:], -agreed, len(fixed), plain, number)
            if best is None or rank < best[0]:
                best = (rank, route)
        if best is None:
            return None
        return Match(best[1].owner, best[1].template.bind(path) or {}, best[1])

    def candidates(self, method: str, path: CanonicalPath) -> list[tuple[RuleRoute, bool]]:
        """Every route on this path, winner first; the flag says whether it serves the method."""
        routes = list(self._matcher.on_path(path))
        return [(r, r.serves(method)) for r in sorted(routes, key=lambda r: (not r.serves(method), order(r, method)))]

    def allowed(self, path: CanonicalPath, *, sources: Sequence[str] = ()) -> list[str]:
        """Methods that rules (of these sources, if given) take on this path, for a 405's Allow."""
        found = {r.method for r in self._matcher.on_path(path) if not sources or r.owner.source in sources}
        if "*" in found:
            return list(METHODS)
        if "GET" in found:
            found.add("HEAD")
        return [m for m in METHODS if m in found]

    def nearest(self, method: str, path: CanonicalPath, count: int = 5, *, upstream: bool = False) -> list[Near]:
        """The routes (`upstream`: the upstream paths) that come nearest to a path, at most one of each rule."""
        text, routes = "/".join(path.segments), (self._upstream if upstream else self._matcher).routes
        found = [Near(route, *nearness(route, method, path.segments)) for route in routes]

        def order_of(near: Near) -> tuple[float, float, str]:
            alike = difflib.SequenceMatcher(None, near.route.template.text, text, autojunk=False).quick_ratio()
            return near.distance, -alike, near.route.owner.id

        best: dict[str, Near] = {}
        for near in sorted(found, key=order_of):
            best.setdefault(near.route.owner.id, near)
        return list(best.values())[:count]

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """Active rules by source."""
        return Counter(rule.source for rule in self.rules if rule.active)
