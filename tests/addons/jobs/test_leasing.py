"""addons/jobs/leasing: the worker's transactions."""

from __future__ import annotations

from datetime import timedelta

from addons.jobs import leasing
from ofapi_store import outbox
from ofapi_store.engine import Store
from ofapi_store.types import now_utc


def test_room_per_kind_is_kept(store: Store) -> None:
    """A lease takes of each kind at most its room, and no more than is free in all."""
    now = now_utc()
    with store.write() as conn:
        for kind in ("a", "a", "a", "b", "b"):
            outbox.enqueue(conn, kind, {}, now=now)
        taken = leasing.lease(conn, "w", room={"a": 1, "b": 9}, free=3, lease_s=10, now=now)
    assert sorted(job.kind for job in taken) == ["a", "b", "b"]


def test_idle_workers_only_read(store: Store) -> None:
    """`due` says whether a lease would find anything."""
    now = now_utc()
    with store.write() as conn:
        assert not leasing.due(conn, ["a"], now)
        outbox.enqueue(conn, "a", {}, at=now + timedelta(seconds=5), now=now)
        assert not leasing.due(conn, ["a"], now)
        assert leasing.due(conn, ["a"], now + timedelta(seconds=6))
        assert not leasing.due(conn, ["b"], now + timedelta(seconds=6))


def test_last_try_lost_with_its_worker_is_settled(store: Store) -> None:
    """A job whose worker died on its last try fails by the sweep, and its settling job is enqueued with it."""
    now = now_utc()
    with store.write() as conn:
        job = outbox.enqueue(conn, "a", {}, max_attempts=1, now=now)
        leasing.lease(conn, "w", room={"a": 1}, free=1, lease_s=1, now=now)
        swept = leasing.sweep(conn, settled=["a"], now=now + timedelta(seconds=2))
        settling = outbox.live(conn, leasing.SETTLE, str(job.id))
    assert swept == outbox.Swept(0, 1)
    assert settling is not None
    assert settling.payload["job"] == job.id


def test_lost_names_cancelled_and_taken_over(store: Store) -> None:
    """A worker hears which of its jobs are no longer its own."""
    now = now_utc()
    with store.write() as conn:
        ids = [outbox.enqueue(conn, "a", {}, now=now).id for _ in range(2)]
        leasing.lease(conn, "w", room={"a": 5}, free=5, lease_s=10, now=now)
        outbox.cancel(conn, ids[0])
        assert leasing.lost(conn, "w", ids) == ids[:1]
        assert leasing.lost(conn, "other", ids) == ids
        assert leasing.extend(conn, "w", ids, lease_s=10, now=now) == ids[:1]
