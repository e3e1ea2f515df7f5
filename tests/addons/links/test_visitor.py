"""Visitor ids."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from addons.links.visitor import visitor_ids

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_the_same_visitor_has_the_same_id_all_day_and_another_one_tomorrow():
    """The salt changes at midnight UTC, and yesterday's id can still be computed then."""
    first = visitor_ids(b"k", NOON, "203.0.113.5", "UA")
    assert visitor_ids(b"k", NOON + timedelta(hours=11), "203.0.113.5", "UA") == first
    tomorrow = visitor_ids(b"k", NOON + timedelta(hours=12), "203.0.113.5", "UA")
    assert tomorrow.today != first.today
    assert tomorrow.yesterday == first.today


def test_address_agent_and_secret_all_count():
    """Neither another address, nor another agent, nor another installation gives the same id."""
    ids = {
        visitor_ids(secret, NOON, ip, ua).today
        for secret in (b"k", b"l")
        for ip in ("203.0.113.5", "203.0.113.6")
        for ua in ("UA", "UB")
    }
    assert len(ids) == 8
