"""Payloads of real events, in the shape of `addons.webhooks.examples` (contract 7.4).

Upstream's own object goes out as it came, with `fan` (who it is about, ids as text) and `fanData` (what the store knows of
that fan). In a notification `user_id` is the creator; the fan is `user`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from ofapi_store.types import from_cents, show_time

if TYPE_CHECKING:
    from ofapi_store.queries.fans import FanRow
    from ofapi_store.queries.transactions import TransactionRow

# REST says chat_messages, webhooks say message
TRANSACTION_TYPES = {
    "chat_messages": "message",
    "subs": "subscription",
    "tips": "tip",
    "post": "post",
    "stream": "stream",
}
SPENDING = {
    "total": "total_spent",
    "messages": "messages_spent",
    "subscribes": "subscriptions_spent",
    "posts": "posts_spent",
    "tips": "tips_spent",
    "streams": "streams_spent",
}
CREATORS_SHARE = Decimal("0.8")
_AMOUNT = re.compile(r"\d[\d,]*(?:\.\d+)?")


def fan_parts(
    fan_id: int, row: FanRow | None, *, seen: Mapping[str, Any] | None = None, previous_reply_at: datetime | None = None
) -> dict[str, Any]:
    """`fan` and `fanData`. `seen`: the user object that came with the fact, for what the store does not know yet."""
    user = seen or {}
    name = row.name if row and row.name else user.get("name")
    fan = {
        "id": str(fan_id),
        "username": row.username if row and row.username else user.get("username"),
        "name": name,
        "display_name": user.get("displayName") or name,
        "avatar": row.avatar_url if row and row.avatar_url else user.get("avatar"),
    }
    known = row is not None and row.total_spent is not None  # a chat names a fan without saying what the fan spent
    data = {
        "available": known,
        "last_updated_at": show_time(row.observed_at) if known and row and row.observed_at else None,
        "spending": {name: _spent(row, column) if known else None for name, column in SPENDING.items()},
        "previous_reply_at": show_time(previous_reply_at) if previous_reply_at else None,
    }
    return {"fan": fan, "fanData": data}


def _spent(row: FanRow | None, column: str) -> Decimal | None:
    cents = getattr(row, column)
    return None if cents is None else from_cents(cents)


def transaction(row: TransactionRow, parts: Mapping[str, Any]) -> dict[str, Any]:
    """snake_case, unlike REST."""
    return {
        "id": row.transaction_id,
        "created_at": f"{row.created_at:%Y-%m-%d %H:%M:%S}",
        "type": TRANSACTION_TYPES.get(row.type) if row.type else None,
        "tips_source": row.tips_source,
        "amount": from_cents(row.amount),
        "vat_amount": _cents(row.vat_amount),
        "tax_amount": _cents(row.tax_amount),
        "net_amount": _cents(row.net),
        "fee_amount": _cents(row.fee),
        "currency": row.currency,
        "description": row.description,
        "status": row.status,
        **parts,
    }


def _cents(value: int | None) -> Decimal | None:
    return None if value is None else from_cents(value)


def expired(row: FanRow, parts: Mapping[str, Any]) -> dict[str, Any]:
    assert row.expired_at is not None
    user = {"id": row.fan_id, "username": row.username, "name": row.name}
    return {"user": user, "expiredAt": show_time(row.expired_at), **parts}


def notification(event: str, found: Mapping[str, Any], parts: Mapping[str, Any]) -> dict[str, Any]:
    """Upstream's notification; a tip also says what the fan paid and what the creator gets of it."""
    body = {**found, **parts}
    if event == "tips.received" and (gross := amount_of(found)) is not None:
        net = (gross * CREATORS_SHARE).quantize(Decimal("0.01"), ROUND_HALF_UP)
        body |= {"amountGross": _plain(gross), "amountNet": _plain(net)}
    return body


def amount_of(found: Mapping[str, Any]) -> Decimal | None:
    """The amount in `replacePairs["{AMOUNT}"]`, such as `$1,250.00`."""
    pairs = found.get("replacePairs")
    text = str(pairs.get("{AMOUNT}", "")) if isinstance(pairs, Mapping) else ""
    match = _AMOUNT.search(text)
    try:
        return Decimal(match.group().replace(",", "")) if match else None
    except InvalidOperation:
        return None


def _plain(value: Decimal) -> Decimal:
    return from_cents(int(value.scaleb(2)))


def event_of(found: Mapping[str, Any]) -> str | None:
    """Which event a notification is; None for those that are none."""
    kind, sub = str(found.get("type") or ""), str(found.get("subType") or "").lower()
    if kind == "subscribed":
        return (
            "subscriptions.renewed"
            if any(word in sub for word in ("renew", "rebill", "prolong"))
            else "subscriptions.new"
        )
    if kind == "tip":
        return "tips.received"
    if kind == "paided_message":
        return "messages.ppv.unlocked"
    if kind == "favorited" and ("post" in sub or "{POST_LINK}" in (found.get("replacePairs") or {})):
        return "posts.liked"
    return None


def account(state: str, progress: str | None, attempt: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """`attempt`: the login that led to it: started_at, completed_at, success, error_message, needs_otp, …"""
    given = attempt or {}
    flags = ("needs_otp", "needs_face_otp")
    times = {name: show_time(at) if (at := given.get(name)) else None for name in ("started_at", "completed_at")}
    rest = {name: given.get(name) for name in ("success", "error_message")}
    latest = {**times, **rest, **{name: bool(given.get(name)) for name in flags}}
    return {
        "state": state,
        "progress": progress or state,
        "latestAuthAttempt": {**latest, "otp_phone_ending": given.get("otp_phone_ending")},
    }
