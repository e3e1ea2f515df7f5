"""addons/jobs/pace: one account asks upstream no faster than upstream bears."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from addons.jobs.pace import CALM, WIDEST_S, Pace


async def test_starts_are_spaced() -> None:
    """Two requests start at least `min_interval_s` apart, however many wait."""
    loop = asyncio.get_running_loop()
    pace = Pace(min_interval_s=0.03, max_parallel=6, backoff_max_s=10)
    starts: list[float] = []

    async def one() -> None:
        async with pace.turn():
            starts.append(loop.time())

    await asyncio.gather(*(one() for _ in range(5)))
    assert all(b - a >= 0.029 for a, b in itertools.pairwise(starts))


async def test_no_more_than_max_parallel_at_once() -> None:
    """The seventh request waits for one of six to end."""
    pace = Pace(min_interval_s=0, max_parallel=6, backoff_max_s=10)
    running = most = 0

    async def one() -> None:
        nonlocal running, most
        async with pace.turn():
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.01)
            running -= 1

    await asyncio.gather(*(one() for _ in range(20)))
    assert most == 6


async def test_a_refusal_pauses_everyone_and_widens_the_gap() -> None:
    """After 429 no request starts before Retry-After, and the gap doubles, within bounds."""
    now = 100.0
    pace = Pace(min_interval_s=0.3, max_parallel=6, backoff_max_s=60, monotonic=lambda: now)
    assert pace.refused(7) == 7
    assert pace.interval_s == pytest.approx(0.6)
    assert pace.refused(3600) == 60
    for _ in range(20):
        pace.refused(1)
    assert pace.interval_s == WIDEST_S


async def test_backoff_without_retry_after_grows() -> None:
    """Without Retry-After the pause doubles with each refusal, up to the limit."""
    pace = Pace(min_interval_s=0.3, max_parallel=6, backoff_max_s=60, monotonic=lambda: 0.0)
    pauses = [pace.refused(None) for _ in range(10)]
    assert pauses[0] < pauses[2] < pauses[4]
    assert max(pauses) == 60


async def test_a_calm_narrows_the_gap_again() -> None:
    """After enough successes in a row the gap shrinks towards its least."""
    pace = Pace(min_interval_s=0.3, max_parallel=6, backoff_max_s=60, monotonic=lambda: 0.0)
    pace.refused(1)
    for _ in range(CALM):
        pace.accepted()
    assert 0.3 < pace.interval_s < 0.6
    for _ in range(CALM * 50):
        pace.accepted()
    assert pace.interval_s == pytest.approx(0.3)
