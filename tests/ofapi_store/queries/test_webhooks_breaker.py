"""The breaker, result by result."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ofapi_store.queries.webhooks_breaker import Breaker, Health
from ofapi_store.queries.webhooks_delivery import Leased, Result

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BREAKER = Breaker(pause_after=3, cooldown_s=(300, 900))


def result(state: str, *, probe: bool = False, again: bool = False) -> Result:
    delivery = Leased(1, "u", "wh", "lane", 0, "first" if again else None, probe, "tips.received", None, "evt", "{}")
    return Result(delivery, state, NOW, 5, status_code=None if state == "delivered" else 500)


@pytest.mark.parametrize(
    ("results", "state", "failures"),
    [
        (["failed", "failed"], "active", 2),
        (["failed", "failed", "failed"], "paused", 3),
        (["failed", "failed", "delivered", "failed"], "active", 1),
        # tries that will be made again are no failures yet
        (["pending"] * 10, "active", 0),
        (["gone"], "disabled", 0),
        (["gone", "delivered", "failed"], "disabled", 0),
        # what was under way when the pause began
        (["failed", "failed", "failed", "delivered"], "active", 0),
        (["failed"] * 5, "paused", 5),
    ],
)
def test_states(results: list[str], state: str, failures: int) -> None:
    """Final failures in a row pause; a success ends it; 410 disables for good."""
    health = Health("active", 0, 0, None, 0)
    for one in results:
        health.count(result(one), BREAKER, NOW)
    assert (health.state, health.failures) == (state, failures)


def test_each_failed_probe_lengthens_the_pause() -> None:
    """The last length repeats; a successful probe starts over."""
    health = Health("active", 2, 0, None, 0)
    health.count(result("failed"), BREAKER, NOW)
    lengths = [health.paused_until]
    for _ in range(2):
        health.count(result("pending", probe=True), BREAKER, NOW)
        lengths.append(health.paused_until)
    assert lengths == [NOW + timedelta(seconds=s) for s in (300, 900, 900)]
    health.count(result("delivered", probe=True), BREAKER, NOW)
    assert (health.state, health.cooldown, health.paused_until) == ("active", 0, None)


def test_redeliveries_are_not_billed_twice() -> None:
    """They were paid for when they were asked for."""
    health = Health("active", 0, 0, None, 7)
    health.count(result("delivered"), BREAKER, NOW)
    health.count(result("delivered", again=True), BREAKER, NOW)
    assert health.billed == 8
