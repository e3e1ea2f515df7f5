"""What the addons of this folder share: the base of their parameters, compiled paths, JSON of store values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
from pydantic import JsonValue

from addons.pipeline.accessors import Accessor, BadJsonPath, FieldPath, compile_fields, compile_path, together
from addons.pipeline.rule_models import JsonPaths, JsonPathText, Strict
from addons.pipeline.steps import RuleProblem

__all__ = [
    "ROOT",
    "JsonPathText",
    "JsonPaths",
    "JsonValue",
    "Strict",
    "at_path",
    "at_paths",
    "dumps",
    "field_at",
    "fields_below",
    "number_text",
]

ROOT = ["$"]


def at_path(text: str, where: Sequence[str | int]) -> Accessor:
    """Compile a JSONPath of a rule. Raises RuleProblem at `where`."""
    try:
        return compile_path(text)
    except BadJsonPath as error:
        raise RuleProblem(where, str(error), "for example `$.list[*]`", code="bad-jsonpath") from error


def at_paths(texts: Sequence[str], key: str) -> Accessor:
    """Compile the paths of a parameter into one accessor. Raises RuleProblem at the one that is wrong."""
    return together([at_path(text, (key, index)) for index, text in enumerate(texts)])


def field_at(text: str, where: Sequence[str | int]) -> FieldPath:
    """Compile a field, or a chain of fields, below a row. Raises RuleProblem at `where`."""
    try:
        return compile_fields(text)
    except BadJsonPath as error:
        raise RuleProblem(where, str(error), "for example `withUser.id`", code="bad-jsonpath") from error


def fields_below(each: Sequence[str], fields: Iterable[str]) -> frozenset[str]:
    """Every field below every row as one path, for `Access`: `$.list[*]` and `id` give `$.list[*].id`."""
    names = list(fields)
    return frozenset(path if name == "$" else f"{path}.{name.removeprefix('$.')}" for path in each for name in names)


def dumps(value: Any) -> bytes:
    """JSON of a store value: Decimal as an exact number, datetime as `2025-01-01T01:01:01+00:00`."""
    if value is None:
        return b"null"
    if type(value) is datetime and value.tzinfo is UTC:
        return orjson.dumps(value, None, orjson.OPT_OMIT_MICROSECONDS)
    return orjson.dumps(value, _default, orjson.OPT_PASSTHROUGH_DATETIME)


def number_text(value: Decimal) -> str:
    """Exact JSON text of a number: digits where they are few, else with an exponent."""
    return format(value, "f") if abs(value.adjusted()) < 40 else str(value)


def _default(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(number_text(value).encode()) if value.is_finite() else None
    if isinstance(value, datetime):
        if value.tzinfo is not UTC:
            value = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
        return value.isoformat(timespec="seconds")
    if isinstance(value, set | frozenset | tuple):
        return sorted(value, key=str) if not isinstance(value, tuple) else list(value)
    if isinstance(value, int):
        return orjson.Fragment(str(value).encode())  # beyond 64 bits
    raise TypeError(f"{type(value).__name__} has no JSON form")
