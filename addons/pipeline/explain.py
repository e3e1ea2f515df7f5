"""Why a request is served the way it is: candidates, the winner, what would go out, the steps; else the nearest rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import SplitResult, urlsplit

from addons.config import Config
from addons.pipeline.answers import API_ROOT
from addons.pipeline.begin import method_not_allowed, origin_form
from addons.pipeline.errors import ApiError
from addons.pipeline.forward import method_of, target_of
from addons.pipeline.matcher import METHODS, covered
from addons.pipeline.mounts import PUBLIC, MountTable
from addons.pipeline.paths import BadPath, CanonicalPath, canonical_path
from addons.pipeline.plan import ACCOUNT_NAMES, CompiledRule, Match, Plan, RuleRoute
from addons.pipeline.steps import BoundStep
from addons.pipeline.validate import check_query


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request as the gateway takes it. `mount`: `raw`, `envelope`, another mount, or `upstream`."""

    method: str
    path: CanonicalPath
    mount: str


def explain(plan: Plan, method: str, target: str, config: Config | None = None) -> dict[str, Any]:
    """Everything about one request as plain data, ready for JSON.

    Keys: `request`, `dialect`, `canonical`, `params`, `candidates` (winner first), `winner` or None, `upstream` or None,
    `steps`; where no rule matches `nearest` and `default`; where the request is refused `error`. `target` is a path or a
    URL; one of upstream's is explained as the regular proxy serves it. `config` (default: all defaults) has the mounts.
    """
    config = config if config is not None else Config()
    out: dict[str, Any] = {"request": f"{method} {target}", "winner": None, "upstream": None}
    try:
        if method not in METHODS:
            raise method_not_allowed(method, METHODS)
        try:
            asked = _asked(method, target, config)
        except ValueError as error:
            raise BadPath("it is no URL") from error
        out["dialect"] = "envelope" if asked.mount == "envelope" else "raw"
        if asked.mount in PUBLIC:
            return {**out, "default": f"the gateway itself answers below `{getattr(config.mounts, asked.mount)}`"}
        find = plan.match_upstream if asked.mount == "upstream" else plan.match
        found = find(method, asked.path)
    except ApiError as error:
        return {**out, "error": _error(error)}
    return {**out, **_routed(plan, asked, found, config)}


def _asked(method: str, target: str, config: Config) -> _Asked:
    path, url = canonical_path(origin_form(target)), urlsplit(target)
    if not target.startswith("/") and _is_upstream(url, config):
        if not path.canonical.startswith(API_ROOT):
            raise ApiError(404, "route_not_found", f"Only what is below {API_ROOT} goes to upstream.")
        return _Asked(method, path, "upstream")
    mount, below = MountTable(config.mounts).resolve(path)
    return _Asked(method, below, mount or "raw")


def _is_upstream(url: SplitResult, config: Config) -> bool:
    """Whether the regular proxy takes this URL for one of upstream's."""
    return url.hostname in config.upstream.direct_hosts or url.netloc == urlsplit(config.upstream.base_url).netloc


def _routed(plan: Plan, asked: _Asked, found: Match | None, config: Config) -> dict[str, Any]:
    path, rule = asked.path, found.rule if found else None
    sent = {"method": method_of(rule, asked.method), "target": _target(asked, found)}
    out: dict[str, Any] = {
        "canonical": _canonical(path, found),
        "params": dict(found.params) if found else {},
        "candidates": _candidates(plan, asked, found),
        "winner": _winner(rule) if rule else None,
        "upstream": sent if rule is not None and rule.upstream is not None else None,
        "steps": _steps(rule) if rule else {},
    }
    if rule is None:
        out["nearest"] = [
            {**_rule(near.route), "distance": near.distance, "reason": near.reason}
            for near in plan.nearest(asked.method, path, upstream=asked.mount == "upstream")
        ]
        out["default"], live = _default(plan, asked)
        out["upstream"] = sent if live else None
    elif asked.mount != "upstream":
        try:
            query = check_query(path.query, rule.spec.params, datetime.now(UTC), computed=rule.source == "computed")
            if rule.index is not None and query.get(rule.index.when) is not None:
                sent["target"] = _readable(rule.index.target(_named(found), ["{id}"]).replace("%7Bid%7D", "{id}"))
                out["index"] = {"handler": rule.index.handler, "when": rule.index.when}
                out["winner"]["observes"] = []  # what the store has chosen tells it nothing
        except ApiError as error:
            out |= {"error": _error(error), "upstream": None}
    if out["upstream"] is not None:
        out["upstream"]["url"] = config.upstream.base_url + sent["target"]
    return out


def _candidates(plan: Plan, asked: _Asked, found: Match | None) -> list[dict[str, Any]]:
    if asked.mount != "upstream":
        return [_candidate(r, serves, found) for r, serves in plan.candidates(asked.method, asked.path)]
    reason = "its `upstream` is this request"
    return [{**_rule(found.route), "won": True, "reason": reason}] if found else []


def _canonical(path: CanonicalPath, found: Match | None) -> str:
    upto = covered(found.route) if found else None
    return path.canonical if upto is None else "/".join([*path.canonical.split("/")[: upto + 1], path.tail(upto)])


def _error(error: ApiError) -> dict[str, Any]:
    more = {"errors": error.errors} if error.errors else {}
    return {"status": error.status, "code": error.code, "message": error.message, **more}


def _target(asked: _Asked, found: Match | None) -> str:
    """What would go up; parts that only the account knows are shown by their names."""
    path = asked.path
    if asked.mount == "upstream":
        return path.canonical + (f"?{path.query}" if path.query else "")
    return _readable(target_of(found.rule if found else None, path, _named(found)))


def _named(found: Match | None) -> Mapping[str, str]:
    """Path parameters, and for those that only the account knows their names."""
    return {**{name: f"{{{name}}}" for name in ACCOUNT_NAMES}, **(found.params if found else {})}


def _readable(target: str) -> str:
    for name in ACCOUNT_NAMES:
        target = target.replace(f"%7B{name}%7D", f"{{{name}}}")
    return target


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


def _default(plan: Plan, asked: _Asked) -> tuple[str, bool]:
    """What happens without a rule, and whether that goes upstream."""
    path = asked.path
    if asked.mount == "upstream":
        return "passthrough as it is, with the login of the account that X-OFAPI-Account or the cookie names", True
    allowed = plan.allowed(path, sources=("computed", "media"))
    if allowed:
        return f"405 method_not_allowed; allowed: {', '.join(allowed)}", False
    if len(path.segments) < 2:
        return "404 route_not_found", False
    return f"passthrough, if {path.segments[0]} is an account of the key's team; else 404", True
