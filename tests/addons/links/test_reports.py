"""Series of reports: days inside the period, whole months around it, sums that add up."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from addons.links.reports import EPOCH_DAY, label, series, whole_months
from ofapi_store.queries.link_reports import DayRow

days = st.integers(20_000, 20_400)
rows = st.lists(
    st.builds(DayRow, days, st.integers(0, 9), st.integers(0, 9999), st.integers(0, 9)),
    max_size=40,
    unique_by=lambda r: r.day,
)


@settings(deadline=None)
@given(rows, st.lists(st.tuples(days, st.integers(1, 99)), max_size=30))
def test_days_and_months_add_up_to_everything(earned, clicks):
    """Without a period, both series hold every click, subscriber, cent and spender; months are named by their first day."""
    daily, monthly = series(earned, clicks, None, None)
    for points in (daily, monthly):
        assert sum(p["clicks"] for p in points) == sum(n for _, n in clicks)
        assert sum(p["subs"] for p in points) == sum(r.subs for r in earned)
        assert sum(p["revenue"] * 100 for p in points) == sum(r.net for r in earned)
        assert [p["timestamp"] for p in points] == sorted({p["timestamp"] for p in points})
    assert all(p["timestamp"].endswith("-01") for p in monthly)
    if daily:
        first, last = (date.fromisoformat(daily[i]["timestamp"]) for i in (0, -1))
        assert len(daily) == (last - first).days + 1


@settings(deadline=None)
@given(days, st.integers(0, 400))
def test_a_period_is_widened_to_whole_months(first, length):
    """The months at both ends are whole, and nothing more."""
    start, end = whole_months(first, first + length)
    one, other = EPOCH_DAY + timedelta(days=start), EPOCH_DAY + timedelta(days=end)
    assert one.day == 1
    assert (other + timedelta(days=1)).day == 1
    assert label(first)[:7] == one.isoformat()[:7]
    assert label(first + length)[:7] == other.isoformat()[:7]


def test_the_first_and_the_last_month_that_can_be_written():
    """Nothing lies beyond them."""
    first, last = (date(1, 1, 5) - EPOCH_DAY).days, (date(9999, 12, 3) - EPOCH_DAY).days
    assert [label(day) for day in whole_months(first, last)] == ["0001-01-01", "9999-12-31"]


def test_days_outside_the_period_are_not_shown():
    """The inputs cover whole months; only the months show it."""
    earned = [DayRow(20_000, 1, 100, 1), DayRow(20_003, 2, 250, 0)]
    daily, monthly = series(earned, [(20_003, 5)], 20_002, 20_010)
    assert daily == [
        {"timestamp": label(20_003), "clicks": 5, "subs": 2, "revenue": daily[0]["revenue"], "spenders": 0}
    ]
    assert sum(p["subs"] for p in monthly) == 3
    assert series([], [], None, None) == ([], [])
