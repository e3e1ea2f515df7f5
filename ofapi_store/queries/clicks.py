"""Clicks of smart links: stored in batches with their counts, paged by key with the help of those counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, bindparam, delete, func, select, tuple_, update

from ofapi_store.ids import ulid_at
from ofapi_store.models.clicks import Click, ClickDay, ClickHour, ClickVisitor
from ofapi_store.queries.among import among
from ofapi_store.queries.upsert import add_up, insert_for
from ofapi_store.types import EPOCH, to_micros

CLICKS: Table = Click.__table__  # type: ignore[assignment]
HOURS: Table = ClickHour.__table__  # type: ignore[assignment]
DAYS: Table = ClickDay.__table__  # type: ignore[assignment]
VISITORS: Table = ClickVisitor.__table__  # type: ignore[assignment]
_HOUR = 3_600_000_000
_DAY = 24 * _HOUR
_KEYS = ("smart_link_id", "bucket", "is_bot", "is_duplicate")
_CHUNK = 400


@dataclass(frozen=True, slots=True)
class ClickRow:
    """See the model."""

    smart_link_id: str
    id: str
    created_at: datetime
    pool_id: int | None
    visitor: str
    ip_address: str | None
    user_agent: str | None
    referrer: str | None
    device_type: str | None
    browser_name: str | None
    browser_family: str | None
    platform: str | None
    country_code: str | None
    is_bot: bool
    is_duplicate: bool
    is_shared: bool
    gross_clicks: int
    params: dict[str, Any] | None


_SELECT = select(*(CLICKS.c[name] for name in ClickRow.__slots__))


@dataclass(frozen=True, slots=True)
class Filter:
    """What a report asks for; days are numbers since 1970, both ends included, None is open."""

    smart_link_id: str
    first_day: int | None = None
    last_day: int | None = None
    bots: bool = True
    duplicates: bool = True


def insert(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Stores clicks (columns of `ClickRow`) and counts them by hour and day. None of them may be there already."""
    if not rows:
        return
    conn.execute(CLICKS.insert(), list(rows))
    for table, length in ((HOURS, _HOUR), (DAYS, _DAY)):
        counts: dict[tuple[Any, ...], int] = defaultdict(int)
        for row in rows:
            bucket = to_micros(row["created_at"]) // length
            counts[row["smart_link_id"], bucket, row["is_bot"], row["is_duplicate"]] += 1
        found = [{**dict(zip(_KEYS, key, strict=True)), "clicks": n} for key, n in sorted(counts.items())]
        add_up(conn, table, found, *_KEYS)


def add_gross(conn: Connection, repeats: Mapping[tuple[str, str], int]) -> None:
    """(smart link, click) → how many duplicates of it came in."""
    rows = [{"link": link, "click": click, "by": by} for (link, click), by in sorted(repeats.items())]
    if rows:
        where = (CLICKS.c.smart_link_id == bindparam("link"), CLICKS.c.id == bindparam("click"))
        conn.execute(update(CLICKS).where(*where).values(gross_clicks=CLICKS.c.gross_clicks + bindparam("by")), rows)


def visitors(conn: Connection, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[str, datetime]]:
    """(smart link, visitor) → the last first click of the visitor and its time."""
    wanted = sorted(set(keys))
    c = VISITORS.c
    found: dict[tuple[str, str], tuple[str, datetime]] = {}
    for at in range(0, len(wanted), _CHUNK):
        query = select(c.smart_link_id, c.visitor, c.click_id, c.seen_at).where(
            tuple_(c.smart_link_id, c.visitor).in_(wanted[at : at + _CHUNK])
        )
        found.update({(row[0], row[1]): (row[2], row[3]) for row in conn.execute(query)})
    return found


def note_visitors(conn: Connection, seen: Mapping[tuple[str, str], tuple[str, datetime]]) -> None:
    rows = [
        {"smart_link_id": link, "visitor": visitor, "click_id": click, "seen_at": at}
        for (link, visitor), (click, at) in sorted(seen.items())
    ]
    if rows:
        statement = insert_for(conn, VISITORS)
        set_ = {"click_id": statement.excluded.click_id, "seen_at": statement.excluded.seen_at}
        conn.execute(statement.on_conflict_do_update(index_elements=["smart_link_id", "visitor"], set_=set_), rows)


def by_day(conn: Connection, wanted: Filter) -> list[tuple[int, int]]:
    """(day, clicks) oldest first, from the daily counts."""
    c = DAYS.c
    query = select(c.bucket, func.sum(c.clicks)).where(c.smart_link_id == wanted.smart_link_id, *_flags(DAYS, wanted))
    if wanted.first_day is not None:
        query = query.where(c.bucket >= wanted.first_day)
    if wanted.last_day is not None:
        query = query.where(c.bucket <= wanted.last_day)
    return [(int(day), int(n)) for day, n in conn.execute(query.group_by(c.bucket).order_by(c.bucket)).all()]


def totals(conn: Connection, smart_link_ids: Iterable[str]) -> dict[str, int]:
    """Clicks by smart link, robots and duplicates left out."""
    c = DAYS.c
    query = select(c.smart_link_id, func.sum(c.clicks)).where(
        c.smart_link_id.in_(sorted(set(smart_link_ids))), c.is_bot.is_(False), c.is_duplicate.is_(False)
    )
    return {link: int(n) for link, n in conn.execute(query.group_by(c.smart_link_id))}


def page(
    conn: Connection, wanted: Filter, *, limit: int, offset: int, days: Sequence[tuple[int, int]]
) -> list[ClickRow]:
    """Newest first. `days`: what `by_day` gave for the same filter.

    The counts by day and hour say where the page begins, so that a deep page costs what the first one does.
    """
    day, skip = start(days, offset)
    if day is None:
        return []
    hour, skip = start(_hours(conn, wanted, day), skip)
    if hour is None:
        return []
    top = ulid_at(EPOCH + timedelta(microseconds=(hour + 1) * _HOUR))
    bottom = "" if wanted.first_day is None else ulid_at(EPOCH + timedelta(days=wanted.first_day))
    c = CLICKS.c
    where = [c.smart_link_id == wanted.smart_link_id, c.id >= bottom, *_flags(CLICKS, wanted)]
    ids = select(c.id).where(*where, c.id < top).order_by(c.id.desc()).limit(1).offset(skip)
    first = conn.execute(ids).scalar() if skip else top
    if first is None:
        return []
    edge = c.id <= first if skip else c.id < first
    rows = conn.execute(_SELECT.where(*where, edge).order_by(c.id.desc()).limit(limit))
    return [ClickRow(*row) for row in rows.all()]


def _hours(conn: Connection, wanted: Filter, day: int) -> list[tuple[int, int]]:
    c = HOURS.c
    query = select(c.bucket, func.sum(c.clicks)).where(
        c.smart_link_id == wanted.smart_link_id,
        c.bucket >= day * 24,
        c.bucket < (day + 1) * 24,
        *_flags(HOURS, wanted),
    )
    return [(int(hour), int(n)) for hour, n in conn.execute(query.group_by(c.bucket))]


def start(buckets: Iterable[tuple[int, int]], offset: int) -> tuple[int | None, int]:
    """The bucket in which row number `offset`, counted from the newest, lies, and how many newer ones it holds."""
    for bucket, count in sorted(buckets, reverse=True):
        if offset < count:
            return bucket, offset
        offset -= count
    return None, 0


def by_ids(conn: Connection, smart_link_id: str, ids: Iterable[str]) -> dict[str, ClickRow]:
    c = CLICKS.c
    query = _SELECT.where(c.smart_link_id == smart_link_id, among(conn, c.id, ids))
    return {row.id: row for row in (ClickRow(*found) for found in conn.execute(query).all())}


def params_of(conn: Connection, smart_link_id: str, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What came with each click: campaign parameters and click ids."""
    c = CLICKS.c
    query = select(c.id, c.params).where(c.smart_link_id == smart_link_id, among(conn, c.id, ids))
    return {row[0]: row[1] or {} for row in conn.execute(query).all()}


def prune(conn: Connection, *, before: datetime, limit: int) -> int:
    """Deletes up to `limit` clicks older than `before`; counts by hour and day stay. Returns how many."""
    edge, gone = ulid_at(before), 0
    for link in conn.execute(select(DAYS.c.smart_link_id).distinct()).scalars().all():
        c = CLICKS.c
        old = select(c.id).where(c.smart_link_id == link, c.id < edge).order_by(c.id).limit(limit - gone)
        ids = conn.execute(old).scalars().all()
        if ids:
            conn.execute(delete(CLICKS).where(c.smart_link_id == link, c.id <= ids[-1]))
            gone += len(ids)
        if gone >= limit:
            break
    return gone


def prune_visitors(conn: Connection, *, before: datetime) -> None:
    conn.execute(delete(VISITORS).where(VISITORS.c.seen_at < before))


def _flags(table: Table, wanted: Filter) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    if not wanted.bots:
        where.append(table.c.is_bot.is_(False))
    if not wanted.duplicates:
        where.append(table.c.is_duplicate.is_(False))
    return where
