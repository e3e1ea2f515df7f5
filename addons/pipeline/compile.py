"""One checked model → `CompiledRule`: templates parsed, JSONPath and steps compiled, each problem with its place."""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from addons.pipeline.matcher import parse_match
from addons.pipeline.model_problems import validate
from addons.pipeline.observing import CompiledObserve, compile_observe
from addons.pipeline.paths import Template
from addons.pipeline.plan import ACCOUNT_NAMES, CompiledIndex, CompiledRule, UpstreamTemplate, parse_upstream
from addons.pipeline.problems import did_you_mean
from addons.pipeline.rule_models import ObserveRule, ParamRule, RuleModel, StepRule
from addons.pipeline.rule_yaml import Path_, Place
from addons.pipeline.salvage import ROUNDS, cut, salvaged
from addons.pipeline.steps import BoundStep, CompileContext, RuleProblem, Step, StepAddon

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

    def compile(self, model: RuleModel, place: Place, *, whole: bool = True) -> CompiledRule:
        """The rule as far as it can be compiled; what cannot is noted at its place and left out.

        `whole`: false for what `salvage.py` left of a rule, of which nothing is asked that may have been cut.
        """
        templates = _templates(model, place)
        upstream = _upstream(model, templates, place)
        _excluded(model, place)
        if whole:
            _required(model, place)
        _params(model.params, place.at("params"), whole=whole)
        _params(model.body, place.at("body"), whole=whole)
        names: Counter[str] = Counter()
        steps = {
            where: self._steps(rules, where, model.id, names, place.at(*key))
            for (where, key), rules in zip(WHERES, (model.request, model.steps, model.present.steps), strict=True)
        }
        return CompiledRule(
            spec=model,
            where=str(place),
            upstream=upstream,
            index=_index(model, templates, place.at("index"), whole=whole),
            request=steps["request"],
            steps=steps["response"],
            present=steps["present"],
            observe=tuple(
                self._observe(entry, i, model.id, names, place) for i, entry in enumerate(model.observe) if entry
            ),
            templates=tuple(templates),
        )

    def _observe(
        self, entry: ObserveRule, index: int, rule_id: str, names: Counter[str], rule_place: Place
    ) -> CompiledObserve:
        place = rule_place.at("observe", index)
        at = place.at("steps")
        steps = self._steps(entry.steps, "observe", rule_id, names, at)
        for step in steps:
            if step.access.tables:
                text = f"`{step.addon}` reads the store, and what is observed cannot wait for it"
                at.at(step.index, "addon").wrong("bad-step", text, "use an addon that reads the body alone")
        return compile_observe(entry, place, index, steps)

    def _steps(
        self, rules: Sequence[StepRule | None], where: str, rule_id: str, names: Counter[str], place: Place
    ) -> tuple[BoundStep, ...]:
        out = []
        for index, rule in enumerate(rules):
            if rule is None:
                continue
            names[rule.addon] += 1
            step_id = rule.id or (rule.addon if names[rule.addon] == 1 else f"{rule.addon}-{names[rule.addon]}")
            params = dict(rule.model_extra or {})
            step = self._compile_step(rule.addon, params, CompileContext(rule_id, step_id, where), place.at(index))
            if step is not None:
                impl, whole = step
                out.append(BoundStep(step_id, rule.addon, impl, rule.on_error, rule.deadline_ms, index, whole))
        return tuple(out)

    def _compile_step(
        self, name: str, params: dict[str, Any], ctx: CompileContext, place: Place
    ) -> tuple[Step, bool] | None:
        """The step, and whether it is all that the rule says; what is wrong is noted, and left out to find the rest."""
        addon = self._addons.get(name)
        if addon is None:
            hint = did_you_mean(name, self._addons, what="addons")
            place.at("addon").wrong("unknown-addon", f"unknown addon `{name}`", hint)
            return None
        what = f"a `{name}` step"
        model = validate(addon.Params, params, place, what=what, other_keys=STEP_KEYS)
        whole, left = model is not None, params
        if model is None:
            model = salvaged(addon.Params, left)
        for _ in range(ROUNDS):
            if model is None:
                break
            try:
                return addon.compile(model, ctx), whole
            except RuleProblem as wrong:
                place.at(*wrong.path).wrong(wrong.code, f"{what}: {wrong.message}", wrong.hint)
                whole, left = False, copy.deepcopy(left)
                model = salvaged(addon.Params, left) if cut(left, wrong.path) else None
            except Exception as error:  # of a third party's addon
                text = f"{what}: the addon failed: {type(error).__name__}: {error}"
                place.at("addon").wrong("bad-step", text, "tell who made it")
                break
        return None


def _templates(model: RuleModel, place: Place) -> list[tuple[str, Template]]:
    found: list[tuple[str, Template]] = []
    texts: Sequence[str | None] = model.match
    for index, text in enumerate(texts):
        if text is None:
            continue
        try:
            found.append(parse_match(text))
        except ValueError as error:
            place.at("match", index).wrong("bad-template", str(error), "write `GET /{account}/path/{name}`")
    return found


def _upstream(model: RuleModel, templates: Sequence[tuple[str, Template]], place: Place) -> UpstreamTemplate | None:
    return _up(model.upstream, templates, place.at("upstream")) if model.upstream is not None else None


def _index(
    model: RuleModel, templates: Sequence[tuple[str, Template]], place: Place, *, whole: bool
) -> CompiledIndex | None:
    """A rule's `index`; what is wrong with it is noted at its place."""
    spec = model.index
    if spec is None:
        return None
    if whole and spec.when not in model.params:
        hint = did_you_mean(spec.when, model.params, what="parameters") if model.params else "declare it in `params`"
        place.at("when").wrong("unknown-parameter", f"`when` names `{spec.when}`, which is not declared", hint)
    upstream = _up(spec.upstream, templates, place.at("upstream"))
    if upstream is not None and upstream.method != "GET":
        place.at("upstream").wrong("bad-template", "`index` asks for rows with GET", "write `GET /api2/v2/…`")
    return CompiledIndex(spec.when, spec.handler, upstream, spec.ids) if upstream is not None else None


def _up(text: str, templates: Sequence[tuple[str, Template]], here: Place) -> UpstreamTemplate | None:
    try:
        upstream = parse_upstream(text)
    except ValueError as error:
        here.wrong("bad-template", str(error), "write `GET /api2/v2/path/{name}?fixed=value`")
        return None
    common = set.intersection(*({*t.names} for _, t in templates)) if templates else set()
    for name in upstream.names:
        if templates and name not in common and name not in ACCOUNT_NAMES:
            hint = did_you_mean(name, {*common, *ACCOUNT_NAMES}, what="parameters that every `match` has")
            here.wrong("unknown-parameter", f"`upstream` names `{{{name}}}`, which not every `match` has", hint)
    return upstream


def _excluded(model: RuleModel, place: Place) -> None:
    """Keys that a rule of this source cannot have."""

    def wrong(key: str, message: str, hint: str) -> None:
        place.at(key).wrong("bad-combination", message, hint, key=True)

    if model.handler is not None and model.source in ("hybrid", "passthrough"):
        wrong("handler", f"a {model.source} rule has no `handler`", "its answer comes from upstream; remove the key")
    for key in ("upstream", "query", "request", "observe", "steps", "then", "timeout_s"):
        if model.source == "computed" and key in model.model_fields_set and getattr(model, key):
            wrong(key, f"a computed rule has no `{key}`", "it never calls upstream; remove the key")
    if model.index is not None and model.source != "hybrid":
        wrong(
            "index",
            f"a {model.source} rule has no `index`",
            "upstream's rows are chosen here; make it `source: hybrid`",
        )
    if model.source == "passthrough" and model.steps:
        wrong("steps", "a passthrough rule has no `steps`", "its body is not touched; make it `source: hybrid`")


def _required(model: RuleModel, place: Place) -> None:
    """Keys that a rule of this source must have."""

    def wrong(key: str, message: str, hint: str) -> None:
        place.at(key).wrong("bad-combination", message, hint, key=True)

    if model.args and model.handler is None and model.then is None and model.index is None:
        wrong("args", "`args` are for a `handler`, and this rule has none", "remove the key")
    if model.handler is None and model.source in ("computed", "media"):
        wrong("source", f"a {model.source} rule needs a `handler`", "name it as `<family>.<function>`")
    if model.source in ("hybrid", "passthrough") and model.upstream is None:
        wrong("source", f"a {model.source} rule needs an `upstream`", "write `GET /api2/v2/…`")


def _params(params: Mapping[str, ParamRule], place: Place, *, whole: bool) -> None:
    for name, rule in params.items():
        _param(rule, place.at(name))
        named: dict[str, Iterable[str]] = {"after": [rule.after] if rule.after else []}
        named |= {key: getattr(rule, key) for key in ("requires", "conflicts", "only_with", "required_when")}
        for key, others in named.items():
            for other in others:
                if other not in params and whole:
                    hint = did_you_mean(other, params, what="parameters")
                    place.at(name, key).wrong(
                        "unknown-parameter", f"`{key}` names `{other}`, which is not declared", hint
                    )


def _param(rule: ParamRule, place: Place) -> None:
    if rule.pattern is not None:
        try:
            re.compile(rule.pattern)
        except (re.error, OverflowError, RecursionError) as error:
            place.at("pattern").wrong("bad-regex", f"`{rule.pattern}` is not a regular expression: {error}")
    for least, most in (("min", "max"), ("min_length", "max_length")):
        low, high = getattr(rule, least), getattr(rule, most)
        if low is not None and high is not None and low > high:
            place.at(least).wrong("bad-combination", f"`{least}` is greater than `{most}`")
    if rule.items is not None:
        if rule.type != "array":
            text = f"`items` belongs to arrays, not to {rule.type}"
            place.at("items").wrong("bad-combination", text, "write `type: array`", key=True)
        _param(rule.items, place.at("items"))
    if rule.enum is not None and rule.default is not None and rule.default not in rule.enum:
        place.at("default").wrong("bad-combination", f"the default `{rule.default}` is not in `enum`")
