"""Cohort windows (contract 6.7)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from addons.links.cohorts import Spend, per_subscriber, report, window_sums

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_window_counts_from_the_own_subscription_and_ends_before_its_length():
    """Spend at exactly 48 hours is outside the 48 h window and inside 7 days; spend before the subscription is nowhere."""
    spends = [
        Spend(T0 - timedelta(seconds=1), 1),
        Spend(T0, 10),
        Spend(T0 + timedelta(hours=48), 100),
        Spend(T0 + timedelta(days=40), 1000),
    ]
    assert window_sums(T0, spends) == {"48h": 10, "7d": 110, "14d": 110, "30d": 110, "all_time": 1110}


def test_an_empty_cohort_has_no_average():
    """No subscribers gives null, not 0; a third of a cent rounds half up."""
    assert per_subscriber(0, 0) is None
    assert per_subscriber(1000, 3) == Decimal("3.33")


def test_the_report_has_the_observed_keys_and_a_ratio_as_coverage():
    """Field names as seen live; coverage is known / source and never above 1."""
    got = report(69, dict.fromkeys(["48h", "7d", "14d", "30d", "all_time"], 6900), 70)
    assert got["arps_48h"] == Decimal("1.00")
    assert got["coverage_percent"] == Decimal("0.9857")
    assert report(5, {}, 0)["coverage_percent"] is None
