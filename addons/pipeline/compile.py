"""One checked model → `CompiledRule`: templates parsed, JSONPath and steps compiled, each problem with its place."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from addons.pipeline.matcher import parse_match
from addons.pipeline.model_problems import validate
from addons.pipeline.observing import compile_observe
from addons.pipeline.paths import Template
from addons.pipeline.plan import ACCOUNT_NAMES, CompiledRule, UpstreamTemplate, parse_upstream
from addons.pipeline.problems import Problem, did_you_mean
from addons.pipeline.rule_models import ParamRule, RuleModel, StepRule
from addons.pipeline.rule_yaml import Path_, Source
from addons.pipeline.steps import BoundStep, CompileContext, RuleProblem, StepAddon

STEP_KEYS = tuple(StepRule.model_fields)
WHERES: tuple[tuple[str, Path_], ...] = (
    ("request", ("request",)),
    ("response", ("steps",)),
    ("present", ("present", "steps")),
)


class RuleCompiler:
    """Compiles rules against one set of addons."""

    def __init__(self, addons: Mapping[str, StepAddon]) -> None:
        self._addons = addons

    def compile(self, model: RuleModel, source: Source, path: Path_, problems: list[Problem]) -> CompiledRule:
        """The rule as far as it can be compiled; what cannot is in `problems` and left out."""
        templates = _templates(model, source, path, problems)
        upstream = _upstream(model, templates, source, path, problems)
        _combination(model, source, path, problems)
        _params(model.params, source, (*path, "params"), problems)
        _params(model.body, source, (*path, "body"), problems)
        names: Counter[str] = Counter()
        steps = {
            where: self._steps(rules, where, model.id, names, source, (*path, *key), problems)
            for (where, key), rules in zip(WHERES, (model.request, model.steps, model.present.steps), strict=True)
        }
        observe = tuple(
            compile_observe(entry, source, (*path, "observe", i), problems) for i, entry in enumerate(model.observe)
        )
        line, column = source.place(path)
        return CompiledRule(
            spec=model,
            where=f"{source.name}:{line}:{column}",
            upstream=upstream,
            request=steps["request"],
            steps=steps["response"],
            present=steps["present"],
            observe=observe,
            templates=tuple(templates),
        )

    def check_steps(self, entry: Any, source: Source, path: Path_, problems: list[Problem]) -> None:
        """Find what is wrong with the steps of a rule whose model failed elsewhere, so that all is told at once."""
        for where, key in WHERES:
            found: Any = entry
            for part in key:
                found = found.get(part) if isinstance(found, dict) else None
            for i, step in enumerate(found if isinstance(found, list) else ()):
                if isinstance(step, dict) and isinstance(step.get("addon"), str):
                    params = {k: v for k, v in step.items() if k not in STEP_KEYS}
                    ctx = CompileContext("", step["addon"], where)
                    self._compile_step(step["addon"], params, ctx, source, (*path, *key, i), problems)

    def _steps(
        self,
        rules: Sequence[StepRule],
        where: str,
        rule_id: str,
        names: Counter[str],
        source: Source,
        path: Path_,
        problems: list[Problem],
    ) -> tuple[BoundStep, ...]:
        out = []
        for index, rule in enumerate(rules):
            names[rule.addon] += 1
            step_id = rule.id or (rule.addon if names[rule.addon] == 1 else f"{rule.addon}-{names[rule.addon]}")
            ctx = CompileContext(rule_id, step_id, where)
            params = dict(rule.model_extra or {})
            impl = self._compile_step(rule.addon, params, ctx, source, (*path, index), problems)
            if impl is not None:
                out.append(BoundStep(step_id, rule.addon, impl, rule.on_error, rule.deadline_ms, index))
        return tuple(out)

    def _compile_step(
        self, name: str, params: dict[str, Any], ctx: CompileContext, source: Source, path: Path_, problems: list[Problem]
    ) -> Any:
        addon = self._addons.get(name)
        if addon is None:
            hint = did_you_mean(name, self._addons, what="addons")
            problems.append(source.problem((*path, "addon"), "unknown-addon", f"unknown addon `{name}`", hint))
            return None
        what = f"a `{name}` step"
        model: BaseModel | None = validate(
            addon.Params, params, source, path, problems, what=what, other_keys=STEP_KEYS
        )
        if model is None:
            return None
        try:
            return addon.compile(model, ctx)
        except RuleProblem as wrong:
            problems.append(source.problem((*path, *wrong.path), wrong.code, f"{what}: {wrong.message}", wrong.hint))
            return None


def _templates(
    model: RuleModel, source: Source, path: Path_, problems: list[Problem]
) -> list[tuple[str, Template]]:
    found: list[tuple[str, Template]] = []
    for index, text in enumerate(model.match):
        try:
            found.append(parse_match(text))
        except ValueError as error:
            hint = "write `GET /{account}/path/{name}`"
            problems.append(source.problem((*path, "match", index), "bad-template", str(error), hint))
    return found


def _upstream(
    model: RuleModel, templates: Sequence[tuple[str, Template]], source: Source, path: Path_, problems: list[Problem]
) -> UpstreamTemplate | None:
    if model.upstream is None:
        return None
    place = (*path, "upstream")
    try:
        upstream = parse_upstream(model.upstream)
    except ValueError as error:
        hint = "write `GET /api2/v2/path/{name}?fixed=value`"
        problems.append(source.problem(place, "bad-template", str(error), hint))
        return None
    common = set.intersection(*({*t.names} for _, t in templates)) if templates else set()
    for name in upstream.names:
        if templates and name not in common and name not in ACCOUNT_NAMES:
            hint = did_you_mean(name, {*common, *ACCOUNT_NAMES}, what="parameters that every `match` has")
            text = f"`upstream` names `{{{name}}}`, which not every `match` has"
            problems.append(source.problem(place, "unknown-parameter", text, hint))
    return upstream


def _combination(model: RuleModel, source: Source, path: Path_, problems: list[Problem]) -> None:
    def wrong(key: str, message: str, hint: str = "") -> None:
        problems.append(source.problem((*path, key), "bad-combination", message, hint, key=True))

    local = model.source == "computed"
    if model.handler is None and model.source in ("computed", "media"):
        wrong("source", f"a {model.source} rule needs a `handler`", "name it as `<family>.<function>`")
    if model.args and model.handler is None:
        wrong("args", "`args` are for a `handler`, and this rule has none", "remove the key")
    if model.handler is not None and model.source in ("hybrid", "passthrough"):
        wrong("handler", f"a {model.source} rule has no `handler`", "its answer comes from upstream; remove the key")
    for key in ("upstream", "query", "request", "observe", "steps", "timeout_s"):
        if local and getattr(model, key) and key in model.model_fields_set:
            wrong(key, f"a computed rule has no `{key}`", "it never calls upstream; remove the key")
    if model.source == "passthrough" and model.steps:
        wrong("steps", "a passthrough rule has no `steps`", "its body is not touched; make it `source: hybrid`")
    if model.source in ("hybrid", "passthrough") and model.upstream is None:
        wrong("source", f"a {model.source} rule needs an `upstream`", "write `GET /api2/v2/…`")


def _params(params: Mapping[str, ParamRule], source: Source, path: Path_, problems: list[Problem]) -> None:
    for name, rule in params.items():
        _param(rule, source, (*path, name), problems)
        for key, others in (("after", [rule.after] if rule.after else []), ("requires", rule.requires)):
            for other in others:
                if other not in params:
                    hint = did_you_mean(other, params, what="parameters")
                    text = f"`{key}` names `{other}`, which is not declared"
                    problems.append(source.problem((*path, name, key), "unknown-parameter", text, hint))


def _param(rule: ParamRule, source: Source, path: Path_, problems: list[Problem]) -> None:
    def wrong(key: str, code: str, message: str, hint: str = "") -> None:
        problems.append(source.problem((*path, key), code, message, hint))

    if rule.pattern is not None:
        try:
            re.compile(rule.pattern)
        except (re.error, OverflowError, RecursionError) as error:
            wrong("pattern", "bad-regex", f"`{rule.pattern}` is not a regular expression: {error}")
    for least, most in (("min", "max"), ("min_length", "max_length")):
        low, high = getattr(rule, least), getattr(rule, most)
        if low is not None and high is not None and low > high:
            wrong(least, "bad-combination", f"`{least}` is greater than `{most}`")
    if rule.items is not None:
        if rule.type != "array":
            wrong("items", "bad-combination", f"`items` belongs to arrays, not to {rule.type}", "write `type: array`")
        _param(rule.items, source, (*path, "items"), problems)
    if rule.enum is not None and rule.default is not None and rule.default not in rule.enum:
        wrong("default", "bad-combination", f"the default `{rule.default}` is not in `enum`")
