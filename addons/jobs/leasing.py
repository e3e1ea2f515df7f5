"""The worker's transactions: each function is one, on a connection of the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ofapi_store import outbox

if TYPE_CHECKING:
    from sqlalchemy import Connection

SETTLE = "jobs.settle"
PERIODIC_KEY = "periodic"
CANCELLED = "Its job was cancelled on this installation."


def due(conn: Connection, kinds: Iterable[str], now: datetime) -> bool:
    """Whether a lease would find anything: an idle worker only reads."""
    first = outbox.next_due(conn, kinds=kinds)
    return first is not None and first <= now


def lease(
    conn: Connection, worker: str, *, room: Mapping[str, int], free: int, lease_s: float, now: datetime
) -> list[outbox.Job]:
    """Up to `free` due jobs, of each kind at most its `room`."""
    taken: list[outbox.Job] = []
    limited = [k for k, n in room.items() if 0 < n < free]
    for kind in limited:
        if (left := min(room[kind], free - len(taken))) > 0:
            taken += outbox.lease_due(conn, worker, limit=left, lease_s=lease_s, kinds=[kind], now=now)
    rest = [k for k, n in room.items() if n >= free]
    if rest and len(taken) < free:
        taken += outbox.lease_due(conn, worker, limit=free - len(taken), lease_s=lease_s, kinds=rest, now=now)
    return taken


def lost(conn: Connection, worker: str, job_ids: Iterable[int]) -> list[int]:
    """Those of these jobs that this worker no longer holds: cancelled, or taken over."""
    rows = [(i, outbox.get(conn, i)) for i in job_ids]
    return [i for i, row in rows if row is None or row.state != "running" or row.lease_by != worker]


def extend(conn: Connection, worker: str, job_ids: Iterable[int], *, lease_s: float, now: datetime) -> list[int]:
    """Holds them longer; returns those that are lost."""
    return [i for i in job_ids if not outbox.extend(conn, i, worker, lease_s=lease_s, now=now)]


def sweep(conn: Connection, *, settled: Iterable[str], now: datetime) -> outbox.Swept:
    """Takes back jobs whose lease ran out; those that fail by it, of the kinds `settled`, get their settling job."""
    kinds = frozenset(settled)
    running = outbox.list_jobs(conn, state="running", limit=1000)
    ended = [j for j in running if j.kind in kinds and j.lease_until and j.lease_until < now]
    swept = outbox.sweep(conn, now=now)
    for job in ended if swept.failed else ():
        after = outbox.get(conn, job.id)
        if after is not None and after.state == "failed":
            _settle(conn, after.id, after.last_error or "", now)
    return swept


def again(
    conn: Connection, job: outbox.Job, worker: str, *, after_s: float, payload: Mapping[str, Any], now: datetime
) -> None:
    """Done, and a new row due later."""
    outbox.complete(conn, job.id, worker, now=now)
    outbox.enqueue(
        conn,
        job.kind,
        payload,
        key=job.key,
        lane=job.lane,
        at=now + timedelta(seconds=after_s),
        max_attempts=job.max_attempts,
        now=now,
    )


def retry(
    conn: Connection, job: outbox.Job, worker: str, *, delay_s: float, error: str, settle: bool, now: datetime
) -> bool:
    """Pending again; failed, with the settling job if wanted, where no try is left (returns False)."""
    if outbox.retry_later(conn, job.id, worker, delay_s=delay_s, error=error, now=now):
        return True
    if settle:
        _settle(conn, job.id, error, now)
    return False


def fail(conn: Connection, job: outbox.Job, worker: str, *, error: str, settle: bool, now: datetime) -> None:
    """Failed for good, with the settling job if wanted."""
    outbox.fail(conn, job.id, worker, error=error, now=now)
    if settle:
        _settle(conn, job.id, error, now)


def cancel(conn: Connection, job_id: int, *, settle: bool, now: datetime) -> bool:
    """Cancelled by hand, with the settling job if wanted. False: not there, or over already."""
    if not outbox.cancel(conn, job_id, now=now):
        return False
    if settle:
        _settle(conn, job_id, CANCELLED, now)
    return True


def ensure(conn: Connection, kinds: Mapping[str, float], now: datetime) -> None:
    """Each periodic kind has a live row."""
    for kind in kinds:
        outbox.enqueue(conn, kind, {}, key=PERIODIC_KEY, now=now)


def _settle(conn: Connection, job_id: int, error: str, now: datetime) -> None:
    outbox.enqueue(conn, SETTLE, {"job": job_id, "error": error}, key=str(job_id), max_attempts=50, now=now)
