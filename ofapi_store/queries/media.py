"""The queue of media files to fetch (`media_fills`). URLs go in and come out encrypted (`SecretBox`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Table, and_, case, delete, func, or_, select, update

from ofapi_store.models.media import MediaFill
from ofapi_store.queries.upsert import insert_for

FILLS: Table = MediaFill.__table__  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Seen:
    """A file that was seen in an answer. `url`: SecretBox token; `url_ends_at`: end of its signature."""

    id: str
    key: str
    url: str
    url_ends_at: datetime | None
    account_id: str | None


@dataclass(frozen=True, slots=True)
class Fill:
    """A leased row. `attempts` counts this one, from 1."""

    id: str
    key: str
    url: str
    url_ends_at: datetime | None
    account_id: str | None
    attempts: int


def wanted(conn: Connection, ids: Sequence[str], now: datetime, fresh: timedelta) -> set[str]:
    """Those of `ids` for which a new URL is of use: not queued, waiting long enough, or queued with an ending URL."""
    rows = conn.execute(
        select(FILLS.c.id, FILLS.c.state, FILLS.c.url_ends_at, FILLS.c.next_at).where(FILLS.c.id.in_(list(ids)))
    )
    out = set(ids)
    for row in rows:
        ending = row.url_ends_at is not None and row.url_ends_at < now + fresh
        if (row.state == "waiting" and row.next_at > now) or (row.state != "waiting" and not ending):
            out.discard(row.id)
    return out


def enqueue(conn: Connection, seen: Sequence[Seen], now: datetime) -> int:
    """Queue files, or give queued ones the newer URL. A running one keeps running. Rows written."""
    if not seen:
        return 0
    insert = insert_for(conn, FILLS)
    new = insert.excluded
    statement = insert.on_conflict_do_update(
        index_elements=["id"],
        set_={
            "url": new.url,
            "url_ends_at": new.url_ends_at,
            "account_id": new.account_id,
            "state": func.replace(FILLS.c.state, "waiting", "pending"),
            "attempts": case((FILLS.c.state == "waiting", FILLS.c.attempts), else_=0),
            "next_at": new.next_at,
        },
        where=or_(FILLS.c.state != "waiting", FILLS.c.next_at <= now),
    )
    conn.execute(statement, [_row(s, now) for s in seen])
    return len(seen)


def lease(conn: Connection, worker: str, limit: int, now: datetime, lease_s: float) -> list[Fill]:
    """Take up to `limit` due rows, and rows whose worker is gone; oldest first."""
    due = or_(
        and_(FILLS.c.state == "pending", FILLS.c.next_at <= now),
        and_(FILLS.c.state == "running", FILLS.c.lease_until < now),
    )
    ids = list(
        conn.execute(
            select(FILLS.c.id).where(due).order_by(FILLS.c.next_at).limit(limit).with_for_update(skip_locked=True)
        ).scalars()
    )
    if not ids:
        return []
    conn.execute(
        update(FILLS)
        .where(FILLS.c.id.in_(ids))
        .values(
            state="running",
            lease_by=worker,
            lease_until=now + timedelta(seconds=lease_s),
            attempts=FILLS.c.attempts + 1,
        )
    )
    columns = [FILLS.c[name] for name in Fill.__slots__]
    return [Fill(*row) for row in conn.execute(select(*columns).where(FILLS.c.id.in_(ids)))]


def extend(conn: Connection, worker: str, ids: Sequence[str], now: datetime, lease_s: float) -> None:
    """Keep leased rows."""
    conn.execute(
        update(FILLS)
        .where(FILLS.c.id.in_(list(ids)), FILLS.c.lease_by == worker)
        .values(lease_until=now + timedelta(seconds=lease_s))
    )


def done(conn: Connection, ids: Sequence[str]) -> None:
    """These files have a copy: nothing more to do."""
    conn.execute(delete(FILLS).where(FILLS.c.id.in_(list(ids))))


def retry(conn: Connection, fill_id: str, next_at: datetime, error: str, *, count: bool = True) -> None:
    """Try again at `next_at` with the same URL. `count` False: the attempt does not count."""
    values = {"state": "pending", "next_at": next_at, "lease_by": None, "lease_until": None, "last_error": error}
    if not count:
        values["attempts"] = FILLS.c.attempts - 1
    conn.execute(update(FILLS).where(FILLS.c.id == fill_id).values(**values))


def wait(conn: Connection, fill_id: str, next_at: datetime, error: str, *, count: bool = False) -> None:
    """Do nothing until the file is seen again after `next_at`. `count`: attempts go on from where they are then."""
    values = {"state": "waiting", "next_at": next_at, "lease_by": None, "lease_until": None, "last_error": error}
    if not count:
        values["attempts"] = 0
    conn.execute(update(FILLS).where(FILLS.c.id == fill_id).values(**values))


def release(conn: Connection, worker: str, now: datetime) -> None:
    """Give back what a stopping worker holds."""
    conn.execute(
        update(FILLS)
        .where(FILLS.c.lease_by == worker, FILLS.c.state == "running")
        .values(state="pending", next_at=now, lease_by=None, lease_until=None, attempts=FILLS.c.attempts - 1)
    )


def next_due(conn: Connection) -> datetime | None:
    """When the next row is due."""
    live = FILLS.c.state.in_(("pending", "running"))
    found: datetime | None = conn.execute(
        select(func.min(func.coalesce(FILLS.c.lease_until, FILLS.c.next_at), type_=FILLS.c.next_at.type)).where(live)
    ).scalar()
    return found


def forget_old(conn: Connection, before: datetime) -> int:
    """Remove waiting rows that were not seen again. Rows removed."""
    return conn.execute(delete(FILLS).where(FILLS.c.state == "waiting", FILLS.c.next_at < before)).rowcount


def counts(conn: Connection) -> Mapping[str, int]:
    """Rows by state."""
    rows = conn.execute(select(FILLS.c.state, func.count()).group_by(FILLS.c.state)).all()
    return {row[0]: row[1] for row in rows}


def _row(seen: Seen, now: datetime) -> dict[str, object]:
    return {
        "id": seen.id,
        "key": seen.key,
        "url": seen.url,
        "url_ends_at": seen.url_ends_at,
        "account_id": seen.account_id,
        "state": "pending",
        "attempts": 0,
        "next_at": now,
        "created_at": now,
    }
