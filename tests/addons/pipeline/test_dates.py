"""Every form of date that clients send names one moment; everything else is refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from addons.pipeline.dates import instant, is_date, show

NOW = datetime(2025, 3, 31, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-01-31", "2025-01-31T00:00:00+00:00"),
        ("2025-01-31 10:20:30", "2025-01-31T10:20:30+00:00"),
        ("2025-01-31T10:20:30+02:00", "2025-01-31T08:20:30+00:00"),
        ("2025-01-31T10:20:30 02:00", "2025-01-31T08:20:30+00:00"),  # a `+` that a query decoder ate
        ("2025-01-31T10:20:30.5Z", "2025-01-31T10:20:30+00:00"),
        # relative
        ("-30days", "2025-03-01T12:00:00+00:00"),
        ("-1month", "2025-02-28T12:00:00+00:00"),
        ("+1 year", "2026-03-31T12:00:00+00:00"),
        ("yesterday", "2025-03-30T00:00:00+00:00"),
        ("now", "2025-03-31T12:00:00+00:00"),
    ],
)
def test_each_form_names_one_moment(text: str, expected: str) -> None:
    """Dates, date-times, upstream's relative form."""
    assert show(instant(text, NOW)) == expected


def test_a_day_as_an_end_is_its_last_moment() -> None:
    """`end_date=2025-01-31` includes that day."""
    assert instant("2025-01-31", NOW, end=True) > datetime(2025, 1, 31, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "x", "2025-02-30", "2025-13-01", "31.01.2025", "-9999years", "1e9", "2025-01-31junk"]
)
def test_what_is_no_date_is_refused(text: str) -> None:
    """Impossible days, other notations and years out of range."""
    assert not is_date(text, NOW)
