"""A shared limit on bytes per second."""

from __future__ import annotations

import pytest

from addons.media.throttle import Throttle


class Time:
    """A clock that moves by its sleeps alone."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)

    def throttle(self, rate: int | None) -> Throttle:
        return Throttle(rate, clock=lambda: self.now, sleep=self.sleep)


async def test_bytes_above_the_rate_wait() -> None:
    """One second's worth goes at once, what is above it waits its time; a pause earns a second's worth at most."""
    time = Time()
    throttle = time.throttle(100_000)
    await throttle.spend(100_000)
    assert time.slept == []
    await throttle.spend(20_000)
    assert time.slept == [pytest.approx(0.2)]
    time.now += 3600
    await throttle.spend(100_000)
    assert len(time.slept) == 1
    await throttle.spend(50_000)
    assert time.slept[1:] == [pytest.approx(0.5)]


async def test_no_limit_never_waits() -> None:
    """None is no limit."""
    time = Time()
    throttle = time.throttle(None)
    for _ in range(1000):
        await throttle.spend(10**9)
    assert time.slept == []


async def test_real_time_is_the_default() -> None:
    """Without a clock of its own it sleeps for real, as long as it has to."""
    import asyncio

    throttle = Throttle(1_000_000)
    loop = asyncio.get_running_loop()
    started = loop.time()
    await throttle.spend(1_000_000)
    await throttle.spend(50_000)
    assert loop.time() - started >= 0.04
