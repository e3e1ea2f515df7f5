"""`last_used_at` of keys costs a write a minute, not one per request."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from addons.pipeline.touches import Touches


async def test_a_key_is_noted_once_a_minute() -> None:
    """However often it is used."""
    written: list[dict[str, datetime]] = []
    now = [0.0]

    async def write(used: dict[str, datetime]) -> None:
        written.append(used)

    touches = Touches(write, lambda: datetime(2025, 1, 1, tzinfo=UTC), lambda: now[0])
    for at in (0.0, 1.0, 59.0, 61.0):
        now[0] = at
        await touches.used("k")
    assert len(written) == 2


async def test_a_failed_write_is_tried_with_the_next() -> None:
    """Nothing that was noted is forgotten."""
    fail = [True]
    written: list[dict[str, datetime]] = []

    async def write(used: dict[str, datetime]) -> None:
        if fail[0]:
            raise OSError("locked")
        written.append(used)

    touches = Touches(write, lambda: datetime(2025, 1, 1, tzinfo=UTC), lambda: 0.0)
    with pytest.raises(OSError, match="locked"):
        await touches.used("a")
    fail[0] = False
    await touches.used("b")
    assert set(written[0]) == {"a", "b"}
