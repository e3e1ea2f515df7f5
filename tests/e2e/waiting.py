"""Waiting for a state, and only for that state, on machines of any speed."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from ofapi_store import outbox
from ofapi_store.engine import Store

WAIT_S = 30.0


def until[T](read: Callable[[], T], wanted: Callable[[T], Any] = bool, seconds: float = WAIT_S) -> T:
    """What `read` gives as soon as it is as wanted. AssertionError with the last one after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        found = read()
        if wanted(found):
            return found
        assert time.monotonic() < end, f"not within {seconds:g} s, the last was {found}"
        time.sleep(0.05)


def until_idle(store_url: str, seconds: float = WAIT_S) -> None:
    """Until no job runs or is due: what earlier tests set off has ended, and asks upstream for nothing more."""
    store = Store.open(store_url)
    try:
        until(lambda: _due(store), lambda kinds: not kinds, seconds)
    finally:
        store.close()


def _due(store: Store) -> list[str]:
    now = datetime.now(UTC)
    with store.read() as conn:
        running = outbox.list_jobs(conn, state="running", limit=100)
        pending = outbox.list_jobs(conn, state="pending", limit=1000)
    return [job.kind for job in (*running, *(job for job in pending if job.next_at is not None and job.next_at <= now))]
