"""What follows from a try."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from addons.webhooks.ladder import Ladder
from addons.webhooks.sender import Outcome
from ofapi_store.queries.webhooks_delivery import Leased

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FAILED = Outcome(5, 500, "status", "no")


def delivery(attempts: int, *, probe: bool = False) -> Leased:
    return Leased(1, "u", "wh", "lane", attempts, None, probe, "tips.received", None, "evt", "{}")


@pytest.mark.parametrize(("attempts", "wait_s"), [(0, 5), (1, 300), (5, 36_000)])
def test_jitter_spreads_each_wait_by_its_share(attempts: int, wait_s: float) -> None:
    """20 % around the ladder's wait, never outside."""
    waits = set()
    for _ in range(200):
        result = Ladder((0, 5, 300, 1800, 7200, 18_000, 36_000), 0.2).result(delivery(attempts), FAILED, NOW)
        assert result.next_at is not None
        waits.add((result.next_at - NOW).total_seconds())
    assert 0.8 * wait_s <= min(waits) < max(waits) <= 1.2 * wait_s
    assert len(waits) > 100


@pytest.mark.parametrize(
    ("outcome", "attempts", "probe", "state"),
    [
        (Outcome(1, 204), 0, False, "delivered"),
        (Outcome(1, 410, "status", "gone"), 0, False, "gone"),
        (FAILED, 0, False, "pending"),
        (FAILED, 2, False, "failed"),
        # a probe spends nothing
        (FAILED, 2, True, "pending"),
        (Outcome(1, 200), 2, True, "delivered"),
    ],
)
def test_states(outcome: Outcome, attempts: int, probe: bool, state: str) -> None:
    """The last try of the ladder fails for good, but not when it was a probe."""
    assert Ladder((0, 5, 300), 0).result(delivery(attempts, probe=probe), outcome, NOW).state == state


def test_retry_after_is_bounded_by_the_ladder() -> None:
    """An endpoint cannot put a delivery off for a year."""
    outcome = Outcome(1, 503, "status", "later", None, 1e9)
    assert Ladder((0, 5, 300), 0).result(delivery(0), outcome, NOW).next_at == NOW + timedelta(seconds=300)
