"""Times as upstream writes and reads them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

RELATIVE = re.compile(r"^-(\d+)\s*(day|week|month|year|hour)s?$")
UNITS = {"hour": 1 / 24, "day": 1, "week": 7, "month": 30, "year": 365}


def iso(when: datetime | None) -> str | None:
    """`2025-01-01T01:01:01+00:00`, or None."""
    return None if when is None else when.replace(microsecond=0).isoformat()


def parse(text: str | None, now: datetime, default: datetime) -> datetime:
    """A query date (`2025-01-01 01:01:01`, ISO 8601, a date, `-30days`, a unix time); anything else is the default."""
    if not text:
        return default
    relative = RELATIVE.match(text.strip())
    if relative:
        return now - timedelta(days=int(relative[1]) * UNITS[relative[2]])
    if text.isdigit() and len(text) >= 9:
        return datetime.fromtimestamp(int(text[:10]), UTC)
    try:
        when = datetime.fromisoformat(text.strip().replace(" ", "T", 1) if "T" not in text else text.strip())
    except ValueError:
        return default
    return when if when.tzinfo else when.replace(tzinfo=UTC)
