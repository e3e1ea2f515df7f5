"""Query parameters and JSON bodies against a rule's `params` and `body`, answered in Laravel's shape (contract 2.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any

import msgspec

from addons.pipeline import phpquery
from addons.pipeline.checks import Wrong, check, label
from addons.pipeline.dates import instant
from addons.pipeline.errors import PayloadTooLarge, ValidationFailed
from addons.pipeline.rule_models import ParamRule

MAX_ERRORS = 20  # one sentence per item of a huge list helps nobody


@dataclass(slots=True)
class _Pass:
    """One validation under way. `text`: the values come from a query, where everything is a string."""

    now: datetime
    text: bool
    errors: dict[str, list[str]] = field(default_factory=dict)

    def wrong(self, name: str, text: str) -> None:
        if len(self.errors) < MAX_ERRORS:
            self.errors.setdefault(name, []).append(text)

    def end(self) -> None:
        if self.errors:
            raise ValidationFailed(self.errors)


def check_query(
    query: str, params: Mapping[str, ParamRule], now: datetime, *, computed: bool = False
) -> dict[str, Any]:
    """Every parameter of `query`, those of `params` converted and defaulted, the others as their text.

    Keys are the names that the rule declares. `computed`: nobody else reads the query. Raises ValidationFailed naming
    every wrong field.
    """
    if not query and not params:
        return {}
    try:
        sent = phpquery.pairs(query)
    except phpquery.TooManyParameters as e:
        raise ValidationFailed.of("query", f"{e}.") from None
    run = _Pass(now, text=True)
    _dot_names(run, sent, params)
    _bare_groups(run, sent, params, computed=computed)
    found = {p.name: p.value for p in sent if p.name not in params}
    heads = {phpquery.head(pair.name) for pair in sent}
    found.update(
        _fields(run, params, lambda n, spec: _sent_value(sent, n, spec) if phpquery.head(n) in heads else None)
    )
    run.end()
    return found


def _sent_value(sent: list[phpquery.Pair], name: str, spec: ParamRule) -> Any:
    if spec.type == "array":
        return (_split(sent, name, spec.separator) if spec.separator else phpquery.values_of(sent, name)) or None
    if spec.type not in ("object", "any") and any(pair.name.startswith(f"{name}[") for pair in sent):
        return phpquery.values_of(sent, name)  # PHP makes a list of it, which is none of the declared types
    value = phpquery.value_of(sent, name)
    return None if value == "" and (spec.type != "string" or spec.enum is not None) else value


def _split(sent: list[phpquery.Pair], name: str, separator: str) -> list[str]:
    """`tags=a,b` is two values; each `tags[]=a,b` is one, whatever stands in it."""
    base = phpquery.list_name(name)
    values: list[str] = []
    for pair in sent:
        if pair.name == base:
            values += pair.value.split(separator)
        elif phpquery.list_name(pair.name) == base:
            values.append(pair.value)
    return [text for value in values if (text := value.strip())]


def _dot_names(run: _Pass, sent: Iterable[phpquery.Pair], params: Mapping[str, ParamRule]) -> None:
    """`filter.online=1` would be dropped silently by upstream: say so instead."""
    if not any("." in pair.name for pair in sent):
        return
    groups = {"filter"} | {phpquery.head(name) for name in params if "[" in name}
    for pair in sent:
        if "." in pair.name and pair.name.partition(".")[0] in groups:
            right = phpquery.bracketed(pair.name)
            run.wrong(pair.name, f"The {pair.name} field is invalid. Use bracket syntax: {right}.")


def _bare_groups(run: _Pass, sent: Iterable[phpquery.Pair], params: Mapping[str, ParamRule], *, computed: bool) -> None:
    """`filter=red` or `filter[]=red` names none of the filters and would filter nothing."""
    known, groups = _groups(tuple(params), computed=computed)
    if not groups:
        return
    for group in sorted(groups & {phpquery.list_name(pair.name) for pair in sent}):
        right = ", ".join(name for name in known if name.startswith(f"{group}["))
        hint = f"must be an array. Use bracket syntax: {right}." if right else "is not supported here."
        run.wrong(group, f"The {label(group)} field {hint}")


@lru_cache(maxsize=1024)
def _groups(params: tuple[str, ...], *, computed: bool) -> tuple[list[str], frozenset[str]]:
    """The parameters in groups, and the groups that are no parameters themselves."""
    known = [name.removesuffix("[]") for name in params if "[" in name.removesuffix("[]")]
    groups = {phpquery.head(name) for name in known} | ({"filter"} if computed else set())
    return known, frozenset(groups - {phpquery.list_name(name) for name in params})


def check_body(
    body: Any,
    fields: Mapping[str, ParamRule],
    now: datetime,
    *,
    also: Callable[[Mapping[str, Any]], Mapping[str, str]] | None = None,
) -> dict[str, Any]:
    """The JSON object `body` with the declared fields converted and defaulted. Raises ValidationFailed.

    `also`: what else is wrong by field, of the fields that are right by their declarations.
    """
    if not isinstance(body, dict):
        raise ValidationFailed.of("body", "The request body must be a JSON object.")
    run = _Pass(now, text=False)
    found = {k: v for k, v in body.items() if k not in fields}
    found.update(_fields(run, fields, lambda name, spec: body.get(name, _ABSENT)))
    if also is not None:
        wrong = {name.partition(".")[0] for name in run.errors}
        for name, text in also({name: value for name, value in found.items() if name not in wrong}).items():
            run.wrong(name, text)
    run.end()
    return found


class _Absent:
    """A body field that is not there, as opposed to one that is null."""


_ABSENT = _Absent()


def _fields(
    run: _Pass, specs: Mapping[str, ParamRule], read: Callable[[str, ParamRule], Any], prefix: str = ""
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    present: set[str] = set()
    for name, spec in specs.items():
        value = read(name, spec)
        shown = prefix + phpquery.dotted(name)
        if value is None or value is _ABSENT:
            if value is None and not run.text and spec.nullable:
                found[name] = None
            elif spec.required:
                run.wrong(shown, f"The {label(shown)} field is required.")
            elif spec.default is not None:
                found[name] = spec.default
            continue
        if spec.required and value in ("", [], {}):
            run.wrong(shown, f"The {label(shown)} field is required.")
            continue
        present.add(name)
        _value(run, shown, value, spec, partial(found.__setitem__, name))
    _between(run, specs, found, present, prefix)
    return found


def _value(run: _Pass, shown: str, value: Any, spec: ParamRule, put: Callable[[Any], None]) -> None:
    try:
        got = check(shown, value, spec, run.now, text=run.text)
    except Wrong as e:
        run.wrong(shown, str(e))
        return
    if spec.type == "array" and spec.items is not None:
        items: list[Any] = []
        for i, item in enumerate(got):
            _value(run, f"{shown}.{i}", item, spec.items, items.append)
        got = items
    elif spec.type == "object" and spec.fields:
        inner = _fields(run, spec.fields, lambda name, _: value.get(name, _ABSENT), f"{shown}.")
        got = {k: v for k, v in got.items() if k not in spec.fields} | inner
    put(got)


def _between(
    run: _Pass, specs: Mapping[str, ParamRule], found: Mapping[str, Any], present: set[str], prefix: str
) -> None:
    """Rules between two fields: `required_when`, `requires` (both or neither), `conflicts`, `only_with`, `after`."""
    for name, spec in specs.items():
        shown = prefix + phpquery.dotted(name)
        if name not in present:
            _needed(run, shown, spec, found)
            continue
        for other in spec.requires or ():
            if other not in present:
                field_ = prefix + phpquery.dotted(other)
                run.wrong(field_, f"The {label(field_)} field is required when {label(shown)} is present.")
        for other in spec.conflicts or ():
            if other in present:
                run.wrong(shown, f"The {label(shown)} field must not be sent together with {other}.")
        for other, values in (spec.only_with or {}).items():
            if found.get(other) not in values:
                allowed = ", ".join(map(str, values))
                run.wrong(shown, f"The {label(shown)} field is only allowed when {other} is {allowed}.")
        if spec.after in found and name in found and spec.after in present and shown not in run.errors:
            _in_order(run, shown, found[spec.after], found[name], spec.after)


def _needed(run: _Pass, shown: str, spec: ParamRule, found: Mapping[str, Any]) -> None:
    for other, values in spec.required_when.items():
        if found.get(other) in values:
            run.wrong(shown, f"The {label(shown)} field is required when {label(other)} is {found[other]}.")


def _in_order(run: _Pass, shown: str, first: str, last: str, other: str) -> None:
    if instant(last, run.now, end=True) < instant(first, run.now):
        run.wrong(shown, f"The {label(shown)} field must be a date after {label(other)}.")


def read_json(body: bytes | None, *, limit: int, content_type: str | None) -> Any:
    """The JSON value of a request body, None where it is empty. Raises PayloadTooLarge, ValidationFailed.

    Numbers with a fraction come as Decimal, so that money keeps its cents.
    """
    if not body:
        return None
    if len(body) > limit:
        raise PayloadTooLarge(limit)
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        kind = f" (Content-Type {content_type})" if content_type and "json" not in content_type else ""
        raise ValidationFailed.of("body", f"The request body must be valid JSON{kind}.") from None


_DECODER = msgspec.json.Decoder(type=Any, float_hook=Decimal)
