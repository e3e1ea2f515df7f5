"""Column types shared by all tables, and exact conversion between cents and decimal numbers.

Times are stored as integer microseconds since 1970 UTC on both databases: the same comparison and the same
arithmetic (see `period`) then work on both, with no database's own date functions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlalchemy import JSON, BigInteger, ColumnElement, Dialect, Integer, String, Text, literal_column, type_coerce
from sqlalchemy.types import TypeDecorator

from ofapi_store.errors import BadValue

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MAX_CENTS = 2**63 - 1
_MAX_DIGITS = 40  # far above any amount; keeps a hostile `1e999999999` from being spelled out
_NAIVE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?")

# SQLite numbers rows by itself for INTEGER PRIMARY KEY only.
BigId = BigInteger().with_variant(Integer(), "sqlite")
Json = JSON(none_as_null=True)
# compared byte by byte, whatever the locale of the database: the order of ULIDs is the order of time
Ulid = String(26).with_variant(String(26, collation="C"), "postgresql")


def now_utc() -> datetime:
    return datetime.now(UTC)


def to_micros(value: datetime) -> int:
    """Microseconds since 1970 UTC. Raises BadValue for a time without zone."""
    if value.tzinfo is None:
        raise BadValue("a time needs a time zone", value)
    return (value - EPOCH) // _MICROSECOND


def from_micros(value: int) -> datetime:
    return EPOCH + timedelta(0, 0, value)


class UtcTime(TypeDecorator[datetime]):
    """Aware datetime ⇔ integer microseconds since 1970 UTC."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else to_micros(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else from_micros(value)


def period(column: ColumnElement[Any], length: timedelta) -> ColumnElement[int]:
    """In a query: the number of the UTC day, hour, … of `length` since 1970, for grouping. Works on both databases.

    The length is spelled out, not a parameter: PostgreSQL groups by an expression only if it is the same text.
    """
    micros: ColumnElement[int] = literal_column(str(length // _MICROSECOND), BigInteger())
    return type_coerce(column, BigInteger()) // micros


class ExactJson(TypeDecorator[Any]):
    """What upstream sent, as JSON text: numbers with a fraction are Decimal on the way in and out, so that none changes."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else to_json(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value, parse_float=Decimal)


def to_json(value: Any) -> str:
    """JSON text of plain Python: Decimal is an exact number, datetime is as OnlyFans shows it. Raises BadValue."""
    if isinstance(value, Decimal):
        if not value.is_finite() or abs(value.adjusted()) > _MAX_DIGITS:
            raise BadValue("expected a number that JSON can hold", value)
        return format(value, "f")
    if isinstance(value, datetime):
        return f'"{show_time(value)}"'
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{json.dumps(str(key))}:{to_json(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(to_json(item) for item in value) + "]"
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise BadValue("expected a value that JSON can hold", value) from None


def show_time(value: datetime) -> str:
    """As OnlyFans shows times: `2025-01-01T01:01:01+00:00`."""
    return value.astimezone(UTC).replace(microsecond=0).isoformat()


def parse_time(value: Any) -> datetime:
    """ISO 8601 text, Unix seconds, or datetime → aware UTC. Text without zone is UTC. Raises BadValue."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    try:
        if isinstance(value, str) and (value.endswith(("Z", "z")) or "+" in value or "-" in value):
            parsed = datetime.fromisoformat(value)
            return parsed.replace(tzinfo=UTC) if _NAIVE.fullmatch(value) else parsed.astimezone(UTC)
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            return EPOCH + timedelta(microseconds=int(Decimal(str(value)) * 1_000_000))
    except (ValueError, OverflowError, InvalidOperation):
        pass
    raise BadValue("expected a time such as 2025-01-01T01:01:01+00:00", value)


def to_cents(value: Any) -> int:
    """A JSON number or text (`12.5`, `"12.50"`) as whole cents. Raises BadValue rather than round."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise BadValue("expected an amount", value)
    try:
        amount = value if isinstance(value, Decimal) else Decimal(str(value).strip())
    except InvalidOperation:
        raise BadValue("expected an amount", value) from None
    if not amount.is_finite() or len(amount.as_tuple().digits) > _MAX_DIGITS or amount.adjusted() > _MAX_DIGITS:
        raise BadValue("expected an amount", value)
    cents = int(amount.scaleb(2))
    if Decimal(cents) != amount.scaleb(2):
        raise BadValue("an amount has at most two decimals", value)
    if abs(cents) > _MAX_CENTS:
        raise BadValue("the amount is too large", value)
    return cents


def from_cents(cents: int) -> Decimal:
    """Exact, in the shortest plain form: 12000 → 120, 1250 → 12.5."""
    sign, units, rest = "-" if cents < 0 else "", *divmod(abs(cents), 100)
    return Decimal(f"{sign}{units}.{rest:02d}".rstrip("0").rstrip("."))
