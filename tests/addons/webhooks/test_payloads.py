"""Payloads in the contract's shapes (7.4), from what upstream sends."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from addons.webhooks import payloads


@pytest.mark.parametrize(
    ("found", "event"),
    [
        ({"type": "subscribed", "subType": "new_subscriber"}, "subscriptions.new"),
        ({"type": "subscribed", "subType": None}, "subscriptions.new"),
        ({"type": "subscribed", "subType": "renewed_subscriber"}, "subscriptions.renewed"),
        ({"type": "tip", "subType": "new_tips"}, "tips.received"),
        ({"type": "paided_message", "subType": "subscriber_pay_for_chat_message"}, "messages.ppv.unlocked"),
        ({"type": "favorited", "subType": "favorited_post"}, "posts.liked"),
        ({"type": "favorited", "subType": "x", "replacePairs": {"{POST_LINK}": "l"}}, "posts.liked"),
        # nothing to tell
        ({"type": "favorited", "subType": "favorited_comment", "replacePairs": None}, None),
        ({"type": "system"}, None),
        ({}, None),
        ({"type": 5, "subType": []}, None),
    ],
)
def test_notifications_are_told_apart(found: dict[str, Any], event: str | None) -> None:
    """By type and sub type; unknown ones give no event."""
    assert payloads.event_of(found) == event


@pytest.mark.parametrize(
    ("text", "gross", "net"),
    [
        ("$10.00", "10", "8"),
        ("$1,250.50", "1250.5", "1000.4"),
        ("€0.99", "0.99", "0.79"),
        ("", None, None),
        ("free", None, None),
    ],
)
def test_a_tip_says_what_was_paid_and_what_is_left(text: str, gross: str | None, net: str | None) -> None:
    """Exact decimals; nothing where upstream names no amount."""
    body = payloads.notification("tips.received", {"id": 1, "replacePairs": {"{AMOUNT}": text}}, {"fan": None})
    assert body.get("amountGross") == (Decimal(gross) if gross else None)
    assert body.get("amountNet") == (Decimal(net) if net else None)
    assert body["id"] == 1


def test_a_fan_that_the_store_does_not_know_is_shown_as_seen() -> None:
    """`fanData.available` false, and ids as text."""
    parts = payloads.fan_parts(7, None, seen={"username": "u", "name": "N", "displayName": "D", "avatar": "a"})
    assert parts["fan"] == {"id": "7", "username": "u", "name": "N", "display_name": "D", "avatar": "a"}
    assert parts["fanData"]["available"] is False
    assert set(parts["fanData"]["spending"].values()) == {None}


def test_an_account_without_an_attempt_has_the_same_fields() -> None:
    """Receivers need not ask what is there."""
    one, two = payloads.account("disconnected", None), payloads.account("x", "y", {"success": True, "needs_otp": 1})
    assert one["latestAuthAttempt"].keys() == two["latestAuthAttempt"].keys()
    assert one["progress"] == "disconnected"
    assert two["latestAuthAttempt"]["needs_otp"] is True
