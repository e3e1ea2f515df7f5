"""JSON values from upstream as values of a column. Text and numbers may come in each other's place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Literal

from ofapi_store.errors import BadValue
from ofapi_store.types import parse_time, to_cents

Kind = Literal["int", "str", "bool", "time", "money", "json", "list"]
_MAX_INT = 2**63 - 1


def to_int(value: Any) -> int:
    """5, 5.0, "5" → 5. Raises BadValue for anything else, and beyond 64 bits."""
    if type(value) is str and len(value) < 19 and value.isdigit() and value.isascii():
        return int(value)
    if isinstance(value, str) and value.isascii() and value.removeprefix("-").isdigit() and len(value) <= 20:
        value = int(value)
    if isinstance(value, float | Decimal):
        value = _whole(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _MAX_INT:
        raise BadValue("expected a whole number", value)
    return value


def _whole(value: float | Decimal) -> int | float | Decimal:
    number = Decimal(value)
    return int(number) if number.is_finite() and abs(number) <= _MAX_INT and number == int(number) else value


def to_str(value: Any) -> str:
    """Text or number as text that both databases can hold: NUL and lone surrogates become U+FFFD. Raises BadValue."""
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise BadValue("expected text", value)
    if "\x00" in value or not value.isascii():
        return value.replace("\x00", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def to_bool(value: Any) -> bool:
    """true, false, 1, 0. Raises BadValue."""
    if value in (0, 1) and isinstance(value, int):
        return bool(value)
    raise BadValue("expected true or false", value)


def to_object(value: Any) -> Any:
    """A JSON object. Raises BadValue."""
    if not isinstance(value, Mapping):
        raise BadValue("expected an object", value)
    return value


CONVERT: Mapping[Kind, Callable[[Any], Any]] = {
    "int": to_int,
    "str": to_str,
    "bool": to_bool,
    "time": parse_time,
    "money": to_cents,
    "json": to_object,
}
