"""Revenue per subscriber by time since the subscription (ARPS windows, contract 6.7). Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from types import MappingProxyType

WINDOWS: Mapping[str, timedelta | None] = MappingProxyType(
    {
        "48h": timedelta(hours=48),
        "7d": timedelta(days=7),
        "14d": timedelta(days=14),
        "30d": timedelta(days=30),
        "all_time": None,
    }
)


@dataclass(frozen=True, slots=True)
class Spend:
    at: datetime
    cents: int


def window_sums(since: datetime, spends: Iterable[Spend]) -> dict[str, int]:
    """Cents by window name: what was spent from `since` (included) until the window's end (excluded)."""
    sums = dict.fromkeys(WINDOWS, 0)
    for spend in spends:
        age = spend.at - since
        if age < timedelta(0):
            continue
        for name, length in WINDOWS.items():
            if length is None or age < length:
                sums[name] += spend.cents
    return sums


def per_subscriber(cents: int, subscribers: int) -> Decimal | None:
    """Average in units of currency, two decimals; None for an empty cohort (never 0: nothing is known)."""
    if subscribers == 0:
        return None
    return (Decimal(cents) / 100 / subscribers).quantize(Decimal("0.01"), ROUND_HALF_UP)


def report(
    subscribers: int, sums: Mapping[str, int], source_subscribers: int, *, known: int | None = None
) -> dict[str, int | Decimal | None]:
    """The `data` object of cohort-arps. `coverage_percent` is a ratio: how much of the link's own count we know.

    `known`: all subscribers that we know, where the report is about some of them only.
    """
    out: dict[str, int | Decimal | None] = {"subscribers_count": subscribers}
    for name in WINDOWS:
        out[f"revenue_{name}_total"] = Decimal(sums.get(name, 0)) / 100
        out[f"arps_{name}"] = per_subscriber(sums.get(name, 0), subscribers)
    out["source_subscribers_total"] = source_subscribers
    out["coverage_percent"] = _ratio(subscribers if known is None else known, source_subscribers)
    return out


def _ratio(known: int, of: int) -> Decimal | None:
    if of <= 0:
        return None
    return min(Decimal(1), (Decimal(known) / of).quantize(Decimal("0.0001"), ROUND_HALF_UP))
