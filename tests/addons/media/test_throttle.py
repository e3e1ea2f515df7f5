"""A shared limit on bytes per second."""

from __future__ import annotations

import time

from addons.media.throttle import Throttle


async def test_bytes_above_the_rate_wait() -> None:
    """One second's worth goes at once, what is above it waits its time."""
    throttle = Throttle(100_000)
    started = time.perf_counter()
    await throttle.spend(100_000)
    assert time.perf_counter() - started < 0.1
    await throttle.spend(20_000)
    assert 0.15 < time.perf_counter() - started < 0.6


async def test_no_limit_never_waits() -> None:
    """None is no limit."""
    started = time.perf_counter()
    for _ in range(1000):
        await Throttle(None).spend(10**9)
    assert time.perf_counter() - started < 0.2
