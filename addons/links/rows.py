"""Rows of the reports on links, in the shape of the contract (6.3–6.6)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from addons.links.clicks import AFFILIATE, CLICK_IDS, UTM
from addons.pipeline.dates import show
from ofapi_store.queries.clicks import ClickRow
from ofapi_store.queries.fans import FanRow as Person
from ofapi_store.queries.fans import is_subscribed
from ofapi_store.queries.link_reports import FanRow, is_previous
from ofapi_store.types import from_cents

_PARAMETERS = ("external_click_id", *CLICK_IDS, *AFFILIATE, *UTM)


def click_row(click: ClickRow) -> dict[str, Any]:
    """Contract 6.3; `is_shared_pool_link` is ours: another click held the same real link."""
    params = click.params or {}
    return {
        "id": click.id,
        "created_at": show(click.created_at),
        "referrer": click.referrer,
        "ip_address": click.ip_address,
        "user_agent": click.user_agent,
        "browser_device_type": click.device_type,
        "browser_name": click.browser_name,
        "browser_family": click.browser_family,
        "browser_platform": click.platform,
        "country_code": click.country_code,
        "is_bot": click.is_bot,
        "is_duplicate": click.is_duplicate,
        "is_shared_pool_link": click.is_shared,
        "gross_clicks": click.gross_clicks,
        **{name: params.get(name) for name in _PARAMETERS},
    }


def person(fan_id: int, fan: Person | None) -> dict[str, Any]:
    """A fan as conversions show it; names are null where the fan was never seen, or has deleted the account."""
    return {
        "onlyfans_id": str(fan_id),
        "username": fan.username if fan else None,
        "name": fan.name if fan else None,
        "avatar_url": fan.avatar_url if fan else None,
        "onlyfans_url": f"https://onlyfans.com/{fan.username}" if fan and fan.username else None,
    }


def fan_row(row: FanRow, fan: Person | None, *, subscribed_here: bool, now: datetime) -> dict[str, Any]:
    """Contract 6.5, without what conversions and clicks add."""
    return {
        "fan_id": row.fan_id,
        "click_id": row.click_id,
        "converted_at": show(row.since),
        "onlyfans_id": str(row.fan_id),
        "username": fan.username if fan else None,
        "name": fan.name if fan else None,
        "avatar_url": fan.avatar_url if fan else None,
        "revenue_net": from_cents(row.net_all),
        "tips_net": from_cents(row.tips_net),
        "messages_sent_by_fan": row.messages,
        "subscription_insights": {
            "has_subscription_data": bool(fan and fan.subscribed_at),
            "previously_subscribed": is_previous(fan.subscribed_at if fan else None, row.since),
            "subscribed_using_promo": row.is_trial,
            "current_subscription_from_smart_link": subscribed_here,
            "current_subscription": _subscription(fan) if fan and is_subscribed(fan, now) else None,
        },
    }


def _subscription(fan: Person) -> dict[str, Any] | None:
    if fan.subscription_price is None:
        return None
    renewed = fan.renewed_at is not None and fan.subscribed_at is not None and fan.renewed_at > fan.subscribed_at
    free = fan.subscription_price == 0
    return {
        "action": "prolong" if renewed else "subscribe",
        "type": "trial" if free else "regular",
        "price": from_cents(fan.subscription_price),
        "regular_price": None if fan.regular_price is None else from_cents(fan.regular_price),
        "is_free": free,
    }


def spender(row: FanRow, fan: Person | None, *, with_chargebacks: bool = False) -> dict[str, Any]:
    """Contract 6.6."""
    revenue: dict[str, Any] = {"total": from_cents(row.net_all), "calculated_at": show(row.calculated_at)}
    if with_chargebacks:
        revenue["chargebacks"] = from_cents(row.chargebacks)
    return {"onlyfans_id": str(row.fan_id), "username": fan.username if fan else None, "revenue": revenue}
