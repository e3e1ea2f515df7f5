"""Why a request is served the way it is: candidates, the winner, what would go out, the steps; else the nearest rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from addons.pipeline.errors import ApiError
from addons.pipeline.matcher import covered
from addons.pipeline.paths import CanonicalPath, canonical_path
from addons.pipeline.plan import ACCOUNT_NAMES, CompiledRule, Match, Plan, RuleRoute
from addons.pipeline.steps import BoundStep
from addons.pipeline.upstream import QueryMap

DEFAULT_ROOT = "/api2/v2"


def explain(plan: Plan, method: str, target: str, *, mount: str = "/api") -> dict[str, Any]:
    """Everything about one request as plain data, ready for JSON.

    Keys: `request`, `params`, `candidates` (winner first), `winner` or None, `upstream` or None, `steps`, `nearest`
    (only where no rule matches) and `error` (a path that no rule may serve). `mount`: prefix that is left out.
    """
    try:
        path = _below(canonical_path(target), mount)
        found = plan.match(method, path)
    except ApiError as error:
        return {"request": f"{method} {target}", "winner": None, "error": {"status": error.status, **_body(error)}}
    candidates = plan.candidates(method, path)
    out: dict[str, Any] = {
        "request": f"{method} {target}",
        "canonical": _canonical(path, found),
        "params": dict(found.params) if found else {},
        "candidates": [_candidate(route, serves, found) for route, serves in candidates],
        "winner": _winner(found.rule) if found else None,
        "upstream": _upstream(method, path, found),
        "steps": _steps(found.rule) if found else {},
    }
    if found is None:
        out["nearest"] = [
            {**_rule(near.route), "distance": near.distance, "reason": near.reason}
            for near in plan.nearest(method, path)
        ]
        out["default"] = _default(plan, path)
    return out


def _canonical(path: CanonicalPath, found: Match | None) -> str:
    upto = covered(found.route) if found else None
    return path.canonical if upto is None else "/".join([*path.canonical.split("/")[: upto + 1], path.tail(upto)])


def _body(error: ApiError) -> dict[str, Any]:
    return {"code": error.code, "message": error.message}


def _below(path: CanonicalPath, mount: str) -> CanonicalPath:
    parts = tuple(part for part in mount.split("/") if part)
    return path.without(len(parts)) if parts and path.segments[: len(parts)] == parts else path


def _rule(route: RuleRoute) -> dict[str, Any]:
    rule = route.owner
    return {"rule": rule.id, "where": rule.where, "match": str(route), "source": rule.source}


def _candidate(route: RuleRoute, serves: bool, found: Match | None) -> dict[str, Any]:
    won = found is not None and route is found.route
    parameters = len(route.template.parts) - route.template.literals
    return {
        **_rule(route),
        "priority": route.owner.priority,
        "literal_segments": route.template.literals,
        "parameters": parameters,
        "won": won,
        "reason": _why(route, serves, found, won),
    }


def _why(route: RuleRoute, serves: bool, found: Match | None, won: bool) -> str:
    if not serves:
        return f"its method is {route.method}"
    if won or found is None:
        return "it wins"
    win = found.route
    names = ("priority", "literal segments", "parameters")
    ours = (-route.rank[0], -route.rank[1], route.rank[2])
    theirs = (-win.rank[0], -win.rank[1], win.rank[2])
    for name, mine, other in zip(names, ours, theirs, strict=True):
        if mine != other:
            return f"{name}: {mine}, the winner has {other}"
    return f"the winner names the method {win.method}, this one is for {route.method}"


def _winner(rule: CompiledRule) -> dict[str, Any]:
    spec = rule.spec
    return {
        "id": rule.id,
        "where": rule.where,
        "source": rule.source,
        "why": spec.why,
        "owner": spec.owner,
        "handler": spec.handler,
        "credits": spec.credits,
        "checks": sorted([*spec.params, *(f"body.{name}" for name in spec.body)]),
        "observes": [f"{o.table}: {', '.join(o.columns)}" for o in rule.observe],
    }


def _upstream(method: str, path: CanonicalPath, found: Match | None) -> dict[str, str] | None:
    if found is None or found.rule.upstream is None:
        return None
    rule, template = found.rule, found.rule.upstream
    params: Mapping[str, str] = {**{name: f"{{{name}}}" for name in ACCOUNT_NAMES}, **found.params}
    spec = rule.spec.query
    static = [*template.fixed_query(params), *spec.default.items()]
    query = QueryMap(spec.rename, frozenset(spec.drop), spec.values, static, spec.split).apply(path.query)
    target = template.path(params) + (f"?{query}" if query else "")
    for name in ACCOUNT_NAMES:
        target = target.replace(f"%7B{name}%7D", f"{{{name}}}")
    return {"method": method if template.method == "*" or method == "HEAD" else template.method, "target": target}


def _steps(rule: CompiledRule) -> dict[str, Any]:
    blocks = {"request": rule.request, "steps": rule.steps, "present": rule.present}
    return {name: [_step(step) for step in steps] for name, steps in blocks.items() if steps}


def _step(step: BoundStep) -> dict[str, Any]:
    access = step.access
    tables = {use.table: sorted(use.columns) for use in access.tables}
    return {
        "id": step.id,
        "addon": step.addon,
        "on_error": step.on_error,
        "deadline_ms": step.deadline_ms,
        "reads": sorted(access.reads),
        "writes": sorted(access.writes),
        "tables": tables,
    }


def _default(plan: Plan, path: CanonicalPath) -> str:
    allowed = plan.allowed(path, sources=("computed", "media"))
    if allowed:
        return f"405 method_not_allowed; allowed: {', '.join(allowed)}"
    if len(path.segments) < 2:
        return "404 route_not_found"
    below = unquote(path.canonical).split("/", 2)[2]
    return f"passthrough to {DEFAULT_ROOT}/{below}, if {path.segments[0]} is an account of the key's team"
