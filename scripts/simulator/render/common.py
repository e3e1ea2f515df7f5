"""Numbers and charts."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from scripts.simulator.times import iso


def money(cents: int) -> int | float:
    """Dollars as upstream writes them: `10` for whole amounts, else `9.99`."""
    return cents // 100 if cents % 100 == 0 else cents / 100


def chart(rows: Iterable[tuple[datetime, float]], start: datetime, end: datetime) -> list[dict[str, Any]]:
    """One `{date, count}` per day of [start, end], at most 400 days."""
    first = start.replace(hour=0, minute=0, second=0, microsecond=0)
    days = min(max((end - first).days, 0), 400) + 1
    counts: list[float] = [0] * days
    for when, value in rows:
        index = (when - first).days
        if 0 <= index < days:
            counts[index] += value
    return [
        {"date": iso(first + timedelta(days=index)), "count": int(value) if value == int(value) else round(value, 2)}
        for index, value in enumerate(counts)
    ]
