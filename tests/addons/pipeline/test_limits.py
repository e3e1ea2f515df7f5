"""No 60 seconds ever hold more requests of one team than its limit."""

from __future__ import annotations

from addons.pipeline.limits import RateLimiter


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_limit_holds_over_any_sixty_seconds() -> None:
    """The window slides: a burst at the end of one minute counts in the next."""
    clock = Clock()
    limiter = RateLimiter(clock)
    clock.now += 59
    assert [limiter.hit("t", 3).remaining for _ in range(3)] == [2, 1, 0]
    clock.now += 2
    refused = limiter.hit("t", 3)
    assert not refused.allowed
    assert refused.retry_after_s == 58
    clock.now += 58
    assert limiter.hit("t", 3).allowed


def test_refused_requests_do_not_prolong_the_wait() -> None:
    """Hammering changes nothing."""
    clock = Clock()
    limiter = RateLimiter(clock)
    limiter.hit("t", 1)
    waits = []
    for _ in range(3):
        clock.now += 10
        waits.append(limiter.hit("t", 1).retry_after_s)
    assert waits == [50, 40, 30]


def test_teams_do_not_share_a_window_and_silent_ones_are_forgotten() -> None:
    """Memory follows the active teams."""
    clock = Clock()
    limiter = RateLimiter(clock)
    for n in range(100):
        assert limiter.hit(f"team{n}", 1).allowed
    clock.now += 130
    limiter.hit("other", 1)
    assert list(limiter._seen) == ["other"]


def test_a_lowered_limit_counts_at_once() -> None:
    """The wait is until enough of the window has passed for the new limit."""
    clock = Clock()
    limiter = RateLimiter(clock)
    for _ in range(5):
        limiter.hit("t", 5)
        clock.now += 1
    assert limiter.hit("t", 2).retry_after_s == 58
    assert limiter.peek("t", 10).remaining == 5
