"""Stored links in the shape of the live ones (contract 5.8, 5.9, 6.11)."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from ofapi_store.queries.links import LinkRow
from ofapi_store.types import from_cents, show_time

PATHS = {
    "tracking": "tracking-links",
    "trial": "trial-links",
    "shared_tracking": "shared-tracking-links",
    "shared_trial": "shared-trial-links",
}
_CENT = Decimal("0.01")


def ratio(cents: int | None, by: int | None) -> Decimal | None:
    """Units of currency per one of `by`, two decimals; None where either is unknown or `by` is 0."""
    if cents is None or not by:
        return None
    return (Decimal(cents) / 100 / by).quantize(_CENT, ROUND_HALF_UP)


def revenue(link: LinkRow) -> dict[str, Any]:
    """Not yet calculated is null with `isLoading: true`, never 0."""
    known = link.revenue_calculated_at is not None
    shown: dict[str, Any] = {
        "total": _amount(link.revenue_total),
        "revenuePerSubscriber": ratio(link.revenue_total, link.subscribers_count),
        "revenuePerClick": ratio(link.revenue_total, link.clicks_count),
        "spendersCount": link.spenders_count,
        "chargebacks": _amount(link.chargebacks),
        "calculatedAt": show_time(link.revenue_calculated_at) if link.revenue_calculated_at else None,
        "isLoading": link.revenue_stale or not known,
    }
    if link.kind == "trial":
        del shown["revenuePerClick"]
    return shown


def unknown_cost(clicks: int | None, subscribers: int | None) -> dict[str, Any]:
    """What a link cost, of which nothing is known here; the counts that it would be divided by."""
    unknown = dict.fromkeys(("inputMode", "inputValue", "perClick", "perPromo", "perSub"))
    return {"clickSourceCount": clicks, **unknown, "subscriberSourceCount": subscribers}


def link_item(link: LinkRow, tags: Sequence[str], base: str) -> dict[str, Any]:
    """One item of a stored list. `base` is `https://…/api/acct_x`, for the related links."""
    item = _tracking(link) if "tracking" in link.kind else _trial(link)
    item["tags"] = list(tags)
    if link.owner is not None or link.kind.startswith("shared"):
        item["owner"] = link.owner
    if link.kind == "shared_tracking":
        item["isDeleted"] = link.is_deleted
    if not link.kind.startswith("shared"):
        here = f"{base}/{PATHS[link.kind]}/{link.link_id}"
        item["revenue"] = revenue(link)
        item["cost"] = link.cost or unknown_cost(link.clicks_count, link.subscribers_count)
        item["links"] = {"related": {"subscribers": f"{here}/subscribers", "spenders": f"{here}/spenders"}}
    return item


def _tracking(link: LinkRow) -> dict[str, Any]:
    code = link.code
    return {
        "id": link.link_id,
        "campaignCode": int(code) if code is not None and code.isdecimal() else code,
        "campaignName": link.name,
        "campaignUrl": link.url,
        "subscribersCount": link.subscribers_count,
        "clicksCount": link.clicks_count,
        "createdAt": _time(link.created_at),
        "endDate": _time(link.ended_at),
    }


def _trial(link: LinkRow) -> dict[str, Any]:
    return {
        "id": link.link_id,
        "trialLinkName": link.name,
        "url": link.url,
        "claimCounts": link.subscribers_count,
        "clicksCounts": link.clicks_count,
        "subscribeCounts": link.subscribe_counts,
        "subscribeDays": link.subscribe_days,
        "createdAt": _time(link.created_at),
        "expiredAt": _time(link.ended_at),
        "isFinished": link.is_finished,
    }


def _amount(cents: int | None) -> Decimal | None:
    return None if cents is None else from_cents(cents)


def _time(value: Any) -> str | None:
    return None if value is None else show_time(value)
