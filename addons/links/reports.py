"""The parts that reports on smart and on real links share: periods, daily and monthly series, cohorts (contract 6.2, 6.7)."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from addons.links import cohorts
from addons.links.earnings import COLUMN_OF_WINDOW, day_of
from addons.pipeline.dates import instant
from ofapi_store.queries.link_reports import DayRow
from ofapi_store.types import from_cents

if TYPE_CHECKING:
    from addons.compute.api import Call

EPOCH_DAY = date(1970, 1, 1)
MAX_DAYS = 3660


@lru_cache(maxsize=2 * MAX_DAYS)
def label(day: int) -> str:
    """`2026-01-30`."""
    return (EPOCH_DAY + timedelta(days=day)).isoformat()


def period(call: Call, start: str = "date_start", end: str = "date_end") -> tuple[int | None, int | None]:
    """First and last UTC day that the query asks for, both included; None is open."""
    now, texts = call.now(), (call.query.get(start), call.query.get(end))
    first = None if texts[0] is None else day_of(instant(texts[0], now))
    last = None if texts[1] is None else day_of(instant(texts[1], now, end=True))
    return first, last


def whole_months(first: int | None, last: int | None) -> tuple[int | None, int | None]:
    """The period widened to the months at its ends."""
    if first is not None:
        at = EPOCH_DAY + timedelta(days=first)
        first -= at.day - 1
    if last is not None:
        at = EPOCH_DAY + timedelta(days=last)
        last += monthrange(at.year, at.month)[1] - at.day
    return first, last


def series(
    earned: Sequence[DayRow], clicks: Iterable[tuple[int, int]], first: int | None, last: int | None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Daily and monthly metrics. The inputs cover whole months; the days shown are those of the period.

    Days without anything between the first and the last one with something are shown with zeros.
    """
    days: dict[int, list[int]] = {row.day: [0, row.subs, row.net, row.spenders] for row in earned}
    for day, count in clicks:
        days.setdefault(day, [0, 0, 0, 0])[0] += count
    months: dict[str, list[int]] = {}
    for day in sorted(days):
        sums = months.setdefault(label(day)[:7] + "-01", [0, 0, 0, 0])
        for i, value in enumerate(days[day]):
            sums[i] += value
    shown = [day for day in days if (first is None or day >= first) and (last is None or day <= last)]
    span = range(max(min(shown), max(shown) - MAX_DAYS), max(shown) + 1) if shown else range(0)
    daily = [_point(label(day), days.get(day, [0, 0, 0, 0])) for day in span]
    return daily, [_point(month, sums) for month, sums in months.items()]


def filled(
    daily: Sequence[dict[str, Any]], monthly: Sequence[dict[str, Any]], first: int | None, last: int | None, today: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Both series with a point for every day and month of the period, zeros included; none for days to come.

    A period that is open on one side begins with the first day of the series, and ends today.
    """
    days = [(date.fromisoformat(row["timestamp"]) - EPOCH_DAY).days for row in daily]
    end = max([today, *days]) if last is None else min(last, max([today, *days]))
    begin = first if first is not None else min([*days, end])
    span = [label(day) for day in range(max(begin, end - MAX_DAYS), end + 1)]
    months = dict.fromkeys(f"{day[:7]}-01" for day in span)
    return _all_of(span, daily), _all_of(months, monthly)


def _all_of(labels: Iterable[str], points: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    known = {point["timestamp"]: point for point in points}
    return [known.get(name) or _point(name, [0, 0, 0, 0]) for name in labels]


def _point(timestamp: str, values: Sequence[int]) -> dict[str, Any]:
    clicks, subs, net, spenders = values
    return {"timestamp": timestamp, "clicks": clicks, "subs": subs, "revenue": from_cents(net), "spenders": spenders}


def arps(subs: int, sums: Mapping[str, int], basis: str, *, source: int, known: int) -> dict[str, int | Decimal | None]:
    """The `data` of cohort-arps from the sums of the cohort's columns."""
    windows = {window: sums[f"{basis}_{column}"] for window, column in COLUMN_OF_WINDOW.items()}
    return cohorts.report(subs, windows, source, known=known)


def chart(days: Iterable[tuple[int, int]], name: str) -> list[dict[str, Any]]:
    """`[{timestamp, <name>}]`, days with something."""
    return [{"timestamp": label(day), name: count} for day, count in days]
