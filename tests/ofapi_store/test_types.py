"""Exact conversion of money, times and JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofapi_store.errors import BadValue
from ofapi_store.types import from_cents, from_micros, parse_time, show_time, to_cents, to_json, to_micros


@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_cents_round_trip(cents: int) -> None:
    """Every amount comes back as it was, as number and as text, with no exponent."""
    amount = from_cents(cents)
    assert to_cents(amount) == to_cents(str(amount)) == cents
    assert "E" not in str(amount)


@pytest.mark.parametrize(
    ("value", "cents"),
    [(0, 0), (12, 1200), (12.5, 1250), (0.1, 10), ("12.50", 1250), (" 7 ", 700), (-0.01, -1), (Decimal("1E+2"), 10000)],
)
def test_amounts(value: Any, cents: int) -> None:
    """Numbers and text as upstream sends them."""
    assert to_cents(value) == cents


@pytest.mark.parametrize(
    "value", ["", "x", "1,5", None, True, [], float("nan"), "inf", "0.001", 0.005, "1e999999999", 10**30]
)
def test_no_amount(value: Any) -> None:
    """Nothing is rounded, nothing is guessed."""
    with pytest.raises(BadValue):
        to_cents(value)


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5))])))
def test_time_round_trip(value: datetime) -> None:
    """To the microsecond, in any zone, before 1970 too."""
    assert from_micros(to_micros(value)) == value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("2025-01-01T01:01:01+00:00", "2025-01-01T01:01:01+00:00"),
        ("2025-01-01T03:01:01.999+02:00", "2025-01-01T01:01:01+00:00"),
        ("2025-01-01T01:01:01Z", "2025-01-01T01:01:01+00:00"),
        ("2025-01-01 01:01:01", "2025-01-01T01:01:01+00:00"),
        ("2025-01-01", "2025-01-01T00:00:00+00:00"),
        (1735693261, "2025-01-01T01:01:01+00:00"),
        (datetime(2025, 1, 1, tzinfo=UTC), "2025-01-01T00:00:00+00:00"),
    ],
)
def test_times(value: Any, shown: str) -> None:
    """Times as upstream and clients send them, shown as OnlyFans shows them."""
    assert show_time(parse_time(value)) == shown


@pytest.mark.parametrize("value", ["", "soon", "2025-13-01", True, None, [], 10**30, "0000-00-00", float("inf")])
def test_no_time(value: Any) -> None:
    """What is no time is refused, not guessed."""
    with pytest.raises(BadValue):
        parse_time(value)


def test_time_without_zone_is_refused() -> None:
    """A naive datetime would be stored as something else than meant."""
    with pytest.raises(BadValue, match="time zone"):
        to_micros(datetime(2025, 1, 1))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(-(10**9), 10**9, places=3) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(_JSON)
def test_json_is_exact(value: Any) -> None:
    """What is written is read back the same, fractions included."""
    assert json.loads(to_json(value), parse_float=Decimal) == value


@pytest.mark.parametrize("value", [float("nan"), Decimal("Infinity"), {1, 2}, object(), Decimal("1e99999")])
def test_not_json(value: Any) -> None:
    """What JSON cannot hold is a BadValue."""
    with pytest.raises(BadValue):
        to_json(value)
