"""One value against one declaration of a rule's `params` or `body`, with Laravel's sentences for what is wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from addons.pipeline.dates import is_date
from addons.pipeline.rule_models import ParamRule

MAX_DIGITS = 18  # fits 64 bits, in Python as in every database column behind it
_INT = re.compile(r"[+-]?\d+")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_BOOLS = {"1": True, "true": True, "0": False, "false": False}


class Wrong(Exception):
    """A value that breaks its declaration; the text is for the client."""


def label(name: str) -> str:
    """A field in a sentence, as Laravel shows it: `startDate` → `start date`, `filter.total_spent` → `filter.total spent`."""
    return _WORD.sub(" ", name).replace("_", " ").lower()


def show(bound: float) -> str:
    """A bound in a sentence: 20, not 20.0 or 2e+01."""
    return str(int(bound)) if bound == int(bound) else str(bound)


def check(name: str, value: Any, spec: ParamRule, now: datetime, *, text: bool) -> Any:
    """`value` converted by `spec`. `text`: it comes from a query, where everything is a string. Raises Wrong."""
    if spec.unsupported is not None:
        raise Wrong(f"The {label(name)} field is not supported: {spec.unsupported}")
    convert = _CONVERT[spec.type]
    got = convert(name, value, spec, now, text)
    if spec.enum is not None and got not in spec.enum:
        raise Wrong(f"The selected {label(name)} is invalid. Expected one of: {', '.join(map(str, spec.enum))}.")
    return got


def _string(name: str, value: Any, spec: ParamRule, now: datetime, text: bool) -> str:
    if not isinstance(value, str):
        raise Wrong(f"The {label(name)} field must be a string.")
    if "\x00" in value or not (value.isascii() or _is_text(value)):
        raise Wrong(f"The {label(name)} field must not hold NUL characters or broken Unicode.")
    most = spec.max_length if spec.max_length is not None else spec.max
    least = spec.min_length if spec.min_length is not None else spec.min
    if most is not None and len(value) > most:
        raise Wrong(f"The {label(name)} field must not be greater than {show(most)} characters.")
    if least is not None and len(value) < least:
        raise Wrong(f"The {label(name)} field must be at least {show(least)} characters.")
    if spec.pattern is not None and re.fullmatch(spec.pattern, value) is None:
        expected = f" Expected {spec.help}." if spec.help else ""
        raise Wrong(f"The {label(name)} field format is invalid.{expected}")
    return value


def _is_text(value: str) -> bool:
    """No lone surrogates: neither database holds them, nor does UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _int(name: str, value: Any, spec: ParamRule, now: datetime, text: bool) -> int:
    if isinstance(value, str) and _INT.fullmatch(value) and value.isascii() and len(value) <= MAX_DIGITS:
        value = int(value)
    if isinstance(value, Decimal | float) and abs(value) < 10**MAX_DIGITS and value == int(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 10**MAX_DIGITS:
        raise Wrong(f"The {label(name)} field must be an integer.")
    return int(_in_range(name, value, spec))


def _number(name: str, value: Any, spec: ParamRule, now: datetime, text: bool) -> Decimal | int:
    if isinstance(value, str) and _NUMBER.fullmatch(value) and value.isascii() and len(value) <= 40:
        value = Decimal(value)
    if isinstance(value, float) and math.isfinite(value):
        value = Decimal(repr(value))
    if not isinstance(value, int | Decimal) or isinstance(value, bool):
        raise Wrong(f"The {label(name)} field must be a number.")
    _in_range(name, value, spec)
    return value


def _in_range(name: str, value: Any, spec: ParamRule) -> Any:
    if spec.min is not None and value < spec.min:
        raise Wrong(f"The {label(name)} field must be at least {show(spec.min)}.")
    if spec.max is not None and value > spec.max:
        raise Wrong(f"The {label(name)} field must not be greater than {show(spec.max)}.")
    return value


def _bool(name: str, value: Any, spec: ParamRule, now: datetime, text: bool) -> bool:
    if isinstance(value, bool):
        return value
    found = _BOOLS.get(str(value).lower()) if isinstance(value, str | int) else None
    if found is None:
        raise Wrong(f"The {label(name)} field must be true or false.")
    return found


def _date(name: str, value: Any, spec: ParamRule, now: datetime, text: bool) -> str:
    if not isinstance(value, str) or len(value) > 255 or not is_date(value, now):
        raise Wrong(f"The {label(name)} field must be a valid date.")
    return value


def _array(name: str, value: Any, spec: ParamRule, now: datetime, text: bool) -> list[Any]:
    if not isinstance(value, list):
        raise Wrong(f"The {label(name)} field must be an array.")
    most = spec.max_length if spec.max_length is not None else spec.max
    least = spec.min_length if spec.min_length is not None else spec.min
    if most is not None and len(value) > most:
        raise Wrong(f"The {label(name)} field must not have more than {show(most)} items.")
    if least is not None and len(value) < least:
        raise Wrong(f"The {label(name)} field must have at least {show(least)} items.")
    return value


def _object(name: str, value: Any, spec: ParamRule, now: datetime, text: bool) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Wrong(f"The {label(name)} field must be an object.")
    return value


def _any(name: str, value: Any, spec: ParamRule, now: datetime, text: bool) -> Any:
    return value


_CONVERT: dict[str, Callable[[str, Any, ParamRule, datetime, bool], Any]] = {
    "string": _string,
    "int": _int,
    "number": _number,
    "bool": _bool,
    "date": _date,
    "array": _array,
    "object": _object,
    "any": _any,
}
