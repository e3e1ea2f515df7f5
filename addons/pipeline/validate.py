"""Query parameters and JSON bodies against a rule's `params` and `body`, answered in Laravel's shape (contract 2.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from addons.pipeline import phpquery
from addons.pipeline.checks import Declaration, Wrong, check, label
from addons.pipeline.dates import instant
from addons.pipeline.errors import PayloadTooLarge, ValidationFailed

Errors = dict[str, list[str]]


def check_query(query: str, params: Mapping[str, Declaration], now: datetime) -> dict[str, Any]:
    """Every parameter of `query`, those of `params` converted and defaulted, the others as their text.

    Keys are the names that the rule declares. Raises ValidationFailed naming every wrong field.
    """
    try:
        sent = phpquery.pairs(query)
    except phpquery.TooManyParameters as e:
        raise ValidationFailed.of("query", f"{e}.") from None
    errors = _dot_names(sent, params)
    found: dict[str, Any] = {p.name: p.value for p in sent}
    present: set[str] = set()
    for name, spec in params.items():
        value = _sent_value(sent, name, spec)
        if value is not None and value != "":
            present.add(name)
        _take(name, value, spec, found, errors, now, text=True)
    _between(params, found, present, errors, now)
    if errors:
        raise ValidationFailed(errors)
    return found


def _sent_value(sent: list[phpquery.Pair], name: str, spec: Declaration) -> Any:
    if spec.type != "array":
        return phpquery.value_of(sent, name)
    values = phpquery.values_of(sent, name)
    if spec.separator:
        values = [part for value in values for part in value.split(spec.separator) if part]
    return values or None


def _dot_names(sent: Iterable[phpquery.Pair], params: Mapping[str, Declaration]) -> Errors:
    """`filter.online=1` would be dropped silently by upstream: say so instead."""
    groups = {"filter"} | {name.partition("[")[0] for name in params if "[" in name}
    errors: Errors = {}
    for pair in sent:
        if "." in pair.name and pair.name.partition(".")[0] in groups:
            right = phpquery.bracketed(pair.name)
            errors[pair.name] = [f"The {pair.name} field is invalid. Use bracket syntax: {right}."]
    return errors


def check_body(body: Any, fields: Mapping[str, Declaration], now: datetime) -> dict[str, Any]:
    """The JSON object `body` with the declared fields converted and defaulted. Raises ValidationFailed."""
    if not isinstance(body, dict):
        raise ValidationFailed.of("body", "The request body must be a JSON object.")
    errors: Errors = {}
    found = dict(body)
    present = {name for name in fields if body.get(name) is not None}
    for name, spec in fields.items():
        _take(name, body.get(name), spec, found, errors, now, text=False)
    _between(fields, found, present, errors, now)
    if errors:
        raise ValidationFailed(errors)
    return found


def _take(
    name: str, value: Any, spec: Declaration, found: dict[str, Any], errors: Errors, now: datetime, *, text: bool
) -> None:
    field = phpquery.dotted(name)
    if value is None or (text and value == "" and spec.type != "string"):
        found.pop(name, None)
        if spec.required:
            errors[field] = [f"The {label(field)} field is required."]
        elif spec.default is not None:
            found[name] = spec.default
        return
    if spec.required and value in ("", [], {}):
        errors[field] = [f"The {label(field)} field is required."]
        return
    try:
        got = check(field, value, spec, now, text=text)
    except Wrong as e:
        errors[field] = [str(e)]
        return
    if spec.type == "array" and spec.items is not None:
        got = _items(field, got, spec.items, errors, now, text=text)
    found[name] = got


def _items(
    field: str, values: list[Any], spec: Declaration, errors: Errors, now: datetime, *, text: bool
) -> list[Any]:
    out = []
    for i, value in enumerate(values):
        try:
            out.append(check(f"{field}.{i}", value, spec, now, text=text))
        except Wrong as e:
            errors[f"{field}.{i}"] = [str(e)]
            if len(errors) >= 20:  # one sentence per item of a huge list helps nobody
                break
    return out


def _between(
    specs: Mapping[str, Declaration], found: Mapping[str, Any], present: set[str], errors: Errors, now: datetime
) -> None:
    """Rules between two fields: `after` and `requires` (both or neither)."""
    for name in present:
        spec, field = specs[name], phpquery.dotted(name)
        for other in spec.requires or ():
            if other not in present:
                errors.setdefault(phpquery.dotted(other), []).append(
                    f"The {label(phpquery.dotted(other))} field is required when {label(field)} is present."
                )
        if spec.after in present and field not in errors and phpquery.dotted(spec.after) not in errors:
            first, last = instant(found[spec.after], now), instant(found[name], now, end=True)
            if last < first:
                errors[field] = [f"The {label(field)} field must be a date after {label(spec.after)}."]


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
