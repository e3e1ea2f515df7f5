"""Lanes of the outbox: jobs of one (kind, lane) run one at a time, in order of id.

Only the first live job of a lane has a `next_at`; those behind it get theirs when it ends. So finding due jobs costs
the same however many wait behind a slow one.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Table, exists, func, or_, select, update

from ofapi_store.models.jobs import Job as JobModel

JOBS: Table = JobModel.__table__  # type: ignore[assignment]
LIVE = ("pending", "running")


def live_in_lane(kind: str, lane: str) -> tuple[ColumnElement[bool], ...]:
    other = JOBS.alias("other")
    return (other.c.kind == kind, other.c.lane == lane, other.c.state.in_(LIVE))


def lock_lane(conn: Connection, kind: str, lane: str) -> None:
    """Until commit, no other transaction adds to or advances this lane. SQLite has one writer anyway."""
    if conn.dialect.name == "postgresql":
        conn.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"{kind}\x1f{lane}", 0))))


def advance_lane(conn: Connection, kind: str, lane: str | None, now: datetime) -> None:
    """Makes the first waiting job of the lane due, unless a live one goes before it."""
    if lane is None:
        return
    lock_lane(conn, kind, lane)
    other = JOBS.alias("first")
    first = (
        select(func.min(other.c.id))
        .where(other.c.kind == kind, other.c.lane == lane, other.c.state.in_(LIVE))
        .having(func.count(other.c.next_at) == 0)
        .scalar_subquery()
    )
    conn.execute(update(JOBS).where(JOBS.c.id == first).values(next_at=now))


def wake_lanes(conn: Connection, now: datetime) -> None:
    """The same for all lanes at once: for those whose head ended without `advance_lane` (its worker died)."""
    other = JOBS.alias("other")
    before = exists().where(
        other.c.kind == JOBS.c.kind,
        other.c.lane == JOBS.c.lane,
        other.c.state.in_(LIVE),
        or_(other.c.id < JOBS.c.id, other.c.next_at.is_not(None)),
        other.c.id != JOBS.c.id,
    )
    waiting = (JOBS.c.state == "pending", JOBS.c.next_at.is_(None), JOBS.c.lane.is_not(None))
    conn.execute(update(JOBS).where(*waiting, ~before).values(next_at=now))
