"""Dates as clients write them in queries and bodies: `2025-01-31`, `2025-01-31 10:00:00`, ISO 8601, `-30days`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_RELATIVE = re.compile(r"([+-]?)(\d{1,4})\s*(minute|hour|day|week|month|year)s?", re.IGNORECASE)
_UNIT_S = {"minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
_NAMED = {"now": 0, "today": 0, "yesterday": -1, "tomorrow": 1}


def instant(text: str, now: datetime, *, end: bool = False) -> datetime:
    """The moment that `text` names, UTC. A day alone is its first moment, or with `end` its last. Raises ValueError."""
    text = text.strip()
    if text.lower() in _NAMED:
        return _day_edge(now, text.lower(), end=end)
    if found := _RELATIVE.fullmatch(text):
        return _relative(now, found)
    if _DAY.fullmatch(text):
        day = datetime.fromisoformat(text).replace(tzinfo=UTC)
        return day + timedelta(days=1, microseconds=-1) if end else day
    if not _DAY.match(text):
        raise ValueError(f"{text!r} is not a date")
    at = datetime.fromisoformat(text.replace(" ", "+") if re.search(r" \d{2}:\d{2}$", text[16:]) else text)
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def is_date(text: str, now: datetime) -> bool:
    """Whether `text` names a moment."""
    try:
        instant(text, now)
    except (ValueError, OverflowError):
        return False
    return True


def show(at: datetime) -> str:
    """A time as OnlyFans shows it: `2025-01-01T01:01:01+00:00`."""
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return at.astimezone(UTC).isoformat(timespec="seconds")


def _day_edge(now: datetime, word: str, *, end: bool) -> datetime:
    if word == "now":
        return now
    day = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=_NAMED[word])
    return day + timedelta(days=1, microseconds=-1) if end else day


def _relative(now: datetime, found: re.Match[str]) -> datetime:
    sign, count, unit = found.group(1), int(found.group(2)), found.group(3).lower()
    count = -count if sign == "-" else count
    if unit in _UNIT_S:
        return now + timedelta(seconds=count * _UNIT_S[unit])
    months = now.year * 12 + now.month - 1 + count * (12 if unit == "year" else 1)
    year, month = divmod(months, 12)
    last = (datetime(year + month // 11, (month + 1) % 12 + 1, 1, tzinfo=UTC) - timedelta(days=1)).day
    return now.replace(year=year, month=month + 1, day=min(now.day, last))
