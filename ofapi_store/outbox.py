"""Jobs: rows written with their cause, leased by workers, taken over when a lease runs out.

At least once: a job whose worker dies after its effect and before `complete` runs again. Several workers, on several
machines with PostgreSQL, may call all of these at once. See docs/architecture.md, "Jobs".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    case,
    delete,
    exists,
    false,
    func,
    literal,
    null,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.exc import IntegrityError

from ofapi_store.errors import LeaseLost, StoreUnavailable
from ofapi_store.lanes import JOBS, LIVE, advance_lane, live_in_lane, lock_lane, wake_lanes
from ofapi_store.models.jobs import LIVE_ROWS
from ofapi_store.queries.upsert import insert_for
from ofapi_store.types import now_utc

DEFAULT_MAX_ATTEMPTS = 10
_MAX_ERROR = 2000


@dataclass(frozen=True, slots=True)
class Job:
    """A row of the outbox. `attempts` counts the running one. `next_at` None: waits for the jobs before it in its lane."""

    id: int
    kind: str
    key: str | None
    lane: str | None
    payload: Mapping[str, Any]
    state: str
    attempts: int
    max_attempts: int
    rerun: bool
    next_at: datetime | None
    lease_until: datetime | None
    lease_by: str | None
    last_error: str | None
    progress: Mapping[str, Any] | None
    created_at: datetime
    finished_at: datetime | None


class Enqueued(NamedTuple):
    """`created` False: a live job of that kind and key was there already."""

    id: int
    created: bool


class Swept(NamedTuple):
    """`requeued`: leases that ran out. `failed`: of those, jobs with no attempt left."""

    requeued: int
    failed: int


def enqueue(
    conn: Connection,
    kind: str,
    payload: Mapping[str, Any],
    *,
    key: str | None = None,
    lane: str | None = None,
    at: datetime | None = None,
    max_attempts: int = DEFAULT_MAX_ATTEMPTS,
    rerun: bool = False,
    now: datetime | None = None,
) -> Enqueued:
    """Adds a job, due `at` (now). Call it in the transaction of its cause.

    `key`: unique per kind while live; the live job is returned instead of a second one, and with `rerun` it runs once
    more after the run that is under way. `lane`: jobs of one kind and lane run one at a time, in this order.
    """
    now = now or now_utc()
    due: Any = at or now
    if lane is not None:
        lock_lane(conn, kind, lane)
        due = case((exists().where(*live_in_lane(kind, lane)), null()), else_=literal(due, JOBS.c.next_at.type))
    row: dict[str, Any] = {"kind": kind, "key": key, "lane": lane, "payload": dict(payload), "state": "pending"}
    row |= {"attempts": 0, "max_attempts": max_attempts, "next_at": due, "created_at": now}
    statement = insert_for(conn, JOBS).values(row)
    statement = statement.on_conflict_do_nothing(index_elements=["kind", "key"], index_where=LIVE_ROWS)
    for _ in range(5):  # the live job may end between the two statements
        new_id = conn.execute(statement.returning(JOBS.c.id)).scalar()
        if new_id is not None:
            return Enqueued(int(new_id), True)
        found = _join_live(conn, kind, key, rerun=rerun)
        if found is not None:
            return Enqueued(found, False)
    raise StoreUnavailable(f"jobs of kind {kind} and key {key} come and go too fast to add one; try again")


def lease_due(
    conn: Connection,
    worker: str,
    *,
    limit: int,
    lease_s: float,
    kinds: Iterable[str] | None = None,
    now: datetime | None = None,
) -> list[Job]:
    """Takes up to `limit` due jobs, the longest due first: they are this worker's until `lease_s` from now."""
    now = now or now_utc()
    try:
        with conn.begin_nested():
            return _lease(conn, worker, limit=limit, lease_s=lease_s, kinds=kinds, now=now, lanes=True)
    except IntegrityError:  # uq_jobs_running_lane: two jobs of one lane were due; the others must not wait for them
        return _lease(conn, worker, limit=limit, lease_s=lease_s, kinds=kinds, now=now, lanes=False)


def extend(
    conn: Connection,
    job_id: int,
    worker: str,
    *,
    lease_s: float,
    progress: Mapping[str, Any] | None = None,
    now: datetime | None = None,
) -> bool:
    """Holds the lease longer and notes progress. False: cancelled or taken over, stop at once."""
    values: dict[str, Any] = {"lease_until": (now or now_utc()) + timedelta(seconds=lease_s)}
    if progress is not None:
        values["progress"] = dict(progress)
    return bool(conn.execute(update(JOBS).where(*_held(job_id, worker)).values(**values)).rowcount)


def complete(
    conn: Connection,
    job_id: int,
    worker: str,
    *,
    progress: Mapping[str, Any] | None = None,
    now: datetime | None = None,
) -> None:
    """Done, in the transaction of the job's effect. Raises LeaseLost (then roll the effect back).

    A job that was asked for again while it ran becomes pending anew.
    """
    now = now or now_utc()
    again = JOBS.c.rerun == true()
    values: dict[str, Any] = {
        "state": case((again, "pending"), else_="done"),
        "attempts": case((again, 0), else_=JOBS.c.attempts),
        "next_at": case((again, literal(now, JOBS.c.next_at.type)), else_=JOBS.c.next_at),
        "finished_at": case((again, null()), else_=literal(now, JOBS.c.finished_at.type)),
        "rerun": false(),
        "last_error": None,
    }
    if progress is not None:
        values["progress"] = dict(progress)
    _finish(conn, job_id, worker, values, now)


def retry_later(
    conn: Connection, job_id: int, worker: str, *, delay_s: float, error: str, now: datetime | None = None
) -> bool:
    """Back to pending after `delay_s`; failed if no attempt is left (returns False). Raises LeaseLost."""
    now = now or now_utc()
    spent = JOBS.c.attempts >= JOBS.c.max_attempts
    at = literal(now + timedelta(seconds=delay_s), JOBS.c.next_at.type)
    values = {
        "state": case((spent, "failed"), else_="pending"),
        "next_at": case((spent, JOBS.c.next_at), else_=at),
        "finished_at": case((spent, literal(now, JOBS.c.finished_at.type)), else_=null()),
        "last_error": error[:_MAX_ERROR],
        "rerun": false(),
    }
    return bool(_finish(conn, job_id, worker, values, now).state == "pending")


def snooze(conn: Connection, job_id: int, worker: str, *, delay_s: float, now: datetime | None = None) -> None:
    """Back to pending after `delay_s` without counting the attempt: the job waits for something else. Raises LeaseLost."""
    now = now or now_utc()
    values = {
        "state": "pending",
        "attempts": JOBS.c.attempts - 1,
        "next_at": now + timedelta(seconds=delay_s),
    }
    _finish(conn, job_id, worker, values, now)


def fail(conn: Connection, job_id: int, worker: str, *, error: str, now: datetime | None = None) -> None:
    """Failed for good, attempts left or not. Raises LeaseLost."""
    now = now or now_utc()
    _finish(conn, job_id, worker, {"state": "failed", "finished_at": now, "last_error": error[:_MAX_ERROR]}, now)


def cancel(conn: Connection, job_id: int, *, now: datetime | None = None) -> bool:
    """Cancels a live job; a worker that runs it hears at its next `extend`. False: not there, or over already."""
    now = now or now_utc()
    row = conn.execute(
        update(JOBS)
        .where(JOBS.c.id == job_id, JOBS.c.state.in_(LIVE))
        .values(state="cancelled", finished_at=now, lease_by=None, lease_until=None, rerun=false())
        .returning(JOBS.c.kind, JOBS.c.lane)
    ).first()
    if row is None:
        return False
    advance_lane(conn, row.kind, row.lane, now)
    return True


def retry(conn: Connection, job_id: int, *, now: datetime | None = None) -> bool:
    """Runs a failed or cancelled job again from its first attempt, or a pending one at once. False: neither, or its key is live."""
    now = now or now_utc()
    job = get(conn, job_id)
    if (
        job is None
        or job.state not in ("pending", "failed", "cancelled")
        or (job.state == "pending" and not job.next_at)
    ):
        return False
    due: Any = now
    if job.lane is not None and job.state != "pending":
        lock_lane(conn, job.kind, job.lane)
        busy = exists().where(*live_in_lane(job.kind, job.lane))
        due = case((busy, null()), else_=literal(now, JOBS.c.next_at.type))
    again = update(JOBS).where(JOBS.c.id == job_id, JOBS.c.state == job.state)
    try:
        with conn.begin_nested():
            done = conn.execute(again.values(state="pending", attempts=0, next_at=due, finished_at=None))
    except IntegrityError:
        return False
    return bool(done.rowcount)


def sweep(conn: Connection, *, now: datetime | None = None) -> Swept:
    """Takes back jobs whose lease ran out, and wakes lanes whose first job waits for nothing."""
    now = now or now_utc()
    spent = JOBS.c.attempts >= JOBS.c.max_attempts
    lost = (
        update(JOBS)
        .where(JOBS.c.state == "running", JOBS.c.lease_until < now)
        .values(
            state=case((spent, "failed"), else_="pending"),
            next_at=literal(now, JOBS.c.next_at.type),
            finished_at=case((spent, literal(now, JOBS.c.finished_at.type)), else_=null()),
            last_error=func.coalesce(
                JOBS.c.last_error, "the worker ended, or its lease ran out, before the job was done"
            ),
            lease_by=None,
            lease_until=None,
            rerun=false(),
        )
        .returning(JOBS.c.state)
    )
    states = [state for (state,) in conn.execute(lost)]
    wake_lanes(conn, now)
    failed = states.count("failed")
    return Swept(len(states) - failed, failed)


def purge(
    conn: Connection,
    *,
    before: datetime,
    states: Iterable[str] = ("done", "cancelled", "failed"),
    kinds: Iterable[str] | None = None,
) -> int:
    """Deletes finished jobs older than `before`, of all kinds or some; returns how many."""
    old = delete(JOBS).where(JOBS.c.finished_at < before, JOBS.c.state.in_([s for s in states if s not in LIVE]))
    if kinds is not None:
        old = old.where(JOBS.c.kind.in_(sorted(kinds)))
    return conn.execute(old).rowcount


def get(conn: Connection, job_id: int) -> Job | None:
    row = conn.execute(select(JOBS).where(JOBS.c.id == job_id)).first()
    return Job(*row) if row is not None else None


def live(conn: Connection, kind: str, key: str) -> Job | None:
    """The live job of that kind and key."""
    row = conn.execute(select(JOBS).where(JOBS.c.kind == kind, JOBS.c.key == key, JOBS.c.state.in_(LIVE))).first()
    return Job(*row) if row is not None else None


def list_jobs(
    conn: Connection,
    *,
    kind: str | None = None,
    state: str | None = None,
    before_id: int | None = None,
    limit: int = 50,
    but_done: Iterable[str] = (),
) -> list[Job]:
    """Newest first; page on with `before_id`, the last id of the page. `but_done`: kinds of which done ones are left out."""
    query = select(JOBS).order_by(JOBS.c.id.desc()).limit(limit)
    if kind is not None:
        query = query.where(JOBS.c.kind == kind)
    if state is not None:
        query = query.where(JOBS.c.state == state)
    if before_id is not None:
        query = query.where(JOBS.c.id < before_id)
    if left_out := sorted(but_done):
        query = query.where(or_(JOBS.c.state != "done", JOBS.c.kind.not_in(left_out)))
    return [Job(*row) for row in conn.execute(query)]


def counts(conn: Connection) -> dict[tuple[str, str], int]:
    """How many jobs by (kind, state)."""
    query = select(JOBS.c.kind, JOBS.c.state, func.count()).group_by(JOBS.c.kind, JOBS.c.state)
    return {(kind, state): int(n) for kind, state, n in conn.execute(query)}


def next_due(conn: Connection, *, kinds: Iterable[str] | None = None) -> datetime | None:
    """When the first pending job is due, so that a worker can sleep until then."""
    query = select(func.min(JOBS.c.next_at, type_=JOBS.c.next_at.type)).where(JOBS.c.state == "pending")
    if kinds is not None:
        query = query.where(JOBS.c.kind.in_(sorted(kinds)))
    found: datetime | None = conn.execute(query).scalar()
    return found


def _held(job_id: int, worker: str) -> tuple[ColumnElement[bool], ...]:
    return (JOBS.c.id == job_id, JOBS.c.state == "running", JOBS.c.lease_by == worker)


def _join_live(conn: Connection, kind: str, key: str | None, *, rerun: bool) -> int | None:
    """The live job of that key, told to run again if it is running and `rerun` is wanted."""
    again = case((and_(JOBS.c.state == "running", literal(rerun)), true()), else_=JOBS.c.rerun)
    where = (JOBS.c.kind == kind, JOBS.c.key == key, JOBS.c.state.in_(LIVE))
    found: int | None = conn.execute(update(JOBS).where(*where).values(rerun=again).returning(JOBS.c.id)).scalar()
    return found


def _lease(
    conn: Connection,
    worker: str,
    *,
    limit: int,
    lease_s: float,
    kinds: Iterable[str] | None,
    now: datetime,
    lanes: bool,
) -> list[Job]:
    query = select(JOBS.c.id).where(JOBS.c.state == "pending", JOBS.c.next_at <= now)
    if kinds is not None:
        query = query.where(JOBS.c.kind.in_(sorted(kinds)))
    if not lanes:
        query = query.where(JOBS.c.lane.is_(None))
    due = query.order_by(JOBS.c.next_at, JOBS.c.id).limit(limit).with_for_update(skip_locked=True).cte("due")
    lease = (
        update(JOBS)
        .where(JOBS.c.id.in_(select(due.c.id)), JOBS.c.state == "pending")
        .values(
            state="running",
            attempts=JOBS.c.attempts + 1,
            lease_by=worker,
            lease_until=now + timedelta(seconds=lease_s),
        )
        .returning(*JOBS.c)
    )
    taken = [Job(*row) for row in conn.execute(lease)]
    return sorted(taken, key=lambda job: (job.next_at or now, job.id))


def _finish(conn: Connection, job_id: int, worker: str, values: dict[str, Any], now: datetime) -> Row[Any]:
    row = conn.execute(
        update(JOBS)
        .where(*_held(job_id, worker))
        .values(**values, lease_by=None, lease_until=None)
        .returning(JOBS.c.kind, JOBS.c.lane, JOBS.c.state)
    ).first()
    if row is None:
        raise LeaseLost(job_id, worker)
    if row.state not in LIVE:
        advance_lane(conn, row.kind, row.lane, now)
    return row
