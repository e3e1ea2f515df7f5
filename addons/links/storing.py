"""Answered clicks into the store: one transaction per batch, with counts, holds and what the pool needs next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from addons.links import pool
from addons.links.observed import enqueue
from addons.links.recompute import CLOCK_SLACK
from addons.links.records import Places, Record, row_of
from addons.spool.files import Lines
from ofapi_store.queries import clicks, link_dirty, pools, smart_links, spools

if TYPE_CHECKING:
    from addons.config.working import Links


@dataclass(frozen=True, slots=True)
class Batch:
    """Clicks ready to be stored: rows, and for each the visitor's id of the day before."""

    rows: list[dict[str, Any]]
    yesterdays: dict[str, str]
    spool: Lines | None = None


def prepare(records: Sequence[Record], places: Places, spool: Lines | None = None) -> Batch:
    """Everything that needs no store: run it in a thread."""
    rows = [row_of(record, places) for record in records]
    rows.sort(key=lambda row: str(row["id"]))
    return Batch(rows, {record.id: record.yesterday for record in records}, spool)


def store(conn: Connection, batch: Batch, config: Links, now: datetime) -> int:
    """Stores a batch once: nothing where its spool has moved on already. The number of clicks."""
    lines = batch.spool
    if lines is not None and not spools.claim(conn, lines.name, lines.start, lines.end, now=now):
        return 0
    known = {id_: found for id_ in {r["smart_link_id"] for r in batch.rows} if (found := smart_links.get(conn, id_))}
    rows = [row for row in batch.rows if row["smart_link_id"] in known]  # a team may have been deleted meanwhile
    if not rows:
        return 0
    _mark_duplicates(conn, rows, batch.yesterdays, timedelta(seconds=config.duplicate_window_s))
    clicks.insert(conn, rows)
    _hold(conn, rows, timedelta(seconds=config.hold_window_s))
    _mark_early_claims(conn, rows, now)
    for link in sorted({row["smart_link_id"] for row in rows if row["pool_id"] is not None}):
        if known[link].state == "active":
            pool.refill(conn, link, known[link].name, config, now=now)
    return len(rows)


def _mark_duplicates(
    conn: Connection, rows: list[dict[str, Any]], yesterdays: Mapping[str, str], window: timedelta
) -> None:
    """A click of a visitor whose first click is less than the window away, whichever way the clock went in between.

    What a robot did, or a browser that fetched ahead, makes no duplicate of the visit that follows.
    """
    names = {row["id"]: tuple(_apart(v, row) for v in (row["visitor"], yesterdays[row["id"]])) for row in rows}
    keys = {(row["smart_link_id"], name) for row in rows for name in names[row["id"]]}
    seen = clicks.visitors(conn, keys)
    fresh: dict[tuple[str, str], tuple[str, datetime]] = {}
    own = {(row["smart_link_id"], row["id"]): row for row in rows}
    repeats: Counter[tuple[str, str]] = Counter()
    for row in rows:
        link, at = row["smart_link_id"], row["created_at"]
        name = next((n for n in names[row["id"]] if (s := seen.get((link, n))) and abs(at - s[1]) < window), None)
        if name is None:
            own_name = names[row["id"]][0]
            seen[link, own_name] = fresh[link, own_name] = (row["id"], at)
            continue
        first = seen[link, name]
        row["is_duplicate"] = True
        if not row["is_bot"]:
            row["visitor"] = name  # after midnight, too, the visit has one name
        if (link, first[0]) in own:
            own[link, first[0]]["gross_clicks"] += 1
        else:
            repeats[link, first[0]] += 1
    clicks.note_visitors(conn, fresh)
    clicks.add_gross(conn, repeats)


def _apart(visitor: str, row: Mapping[str, Any]) -> str:
    """The visitor's id among those of people, or of robots: ids are hexadecimal, so `r` begins none of a person's."""
    return f"r{visitor[1:]}" if row["is_bot"] else visitor


def _hold(conn: Connection, rows: Sequence[Mapping[str, Any]], window: timedelta) -> None:
    """The latest click on each pool link holds it."""
    holds = {row["pool_id"]: (row["id"], row["created_at"], row["created_at"] + window) for row in rows}
    holds.pop(None, None)
    pools.hold(conn, holds)


def _mark_early_claims(conn: Connection, rows: Sequence[Mapping[str, Any]], now: datetime) -> None:
    """Fans whose subscription was seen before the click that it belongs to was stored are worked out anew."""
    taken = {row["pool_id"] for row in rows if row["pool_id"] is not None}
    if not taken:
        return
    since = min(row["created_at"] for row in rows) - CLOCK_SLACK
    for account, fans in pools.claimed_since(conn, taken, since).items():
        if link_dirty.mark(conn, account, fans):
            enqueue(conn, account, at=now, now=now)
