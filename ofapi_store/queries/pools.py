"""The pools of smart links: real links of upstream's that visitors are sent to in turn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, bindparam, exists, func, select, update

from ofapi_store.models.links import LinkClaim
from ofapi_store.models.smart_links import PoolLink, SmartLink
from ofapi_store.models.teams import Account

POOL: Table = PoolLink.__table__  # type: ignore[assignment]
SMART: Table = SmartLink.__table__  # type: ignore[assignment]
ACCOUNTS: Table = Account.__table__  # type: ignore[assignment]
CLAIMS: Table = LinkClaim.__table__  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class PoolRow:
    """`state`: making | ready | retired."""

    id: int
    smart_link_id: str
    link_pk: int | None
    name: str
    url: str | None
    state: str
    asked_at: datetime | None
    held_by: str | None
    held_until: datetime | None
    last_held_at: datetime | None


_COLUMNS = tuple(POOL.c[name] for name in PoolRow.__slots__)


def of_smart(conn: Connection, smart_link_id: str) -> list[PoolRow]:
    query = select(*_COLUMNS).where(POOL.c.smart_link_id == smart_link_id).order_by(POOL.c.id)
    return [PoolRow(*row) for row in conn.execute(query)]


def smart_of(conn: Connection, link_pks: Iterable[int]) -> dict[int, PoolRow]:
    """The pool rows of these links, by the link's own id; links in no pool are left out."""
    query = select(*_COLUMNS).where(POOL.c.link_pk.in_(sorted(set(link_pks))))
    return {row.link_pk: row for row in (PoolRow(*found) for found in conn.execute(query)) if row.link_pk is not None}


def add(conn: Connection, smart_link_id: str, names: Sequence[str], *, now: datetime) -> None:
    """Pool links that are to be made."""
    rows = [{"smart_link_id": smart_link_id, "name": name, "state": "making", "created_at": now} for name in names]
    if rows:
        conn.execute(POOL.insert(), rows)


def asked(conn: Connection, pool_id: int, *, now: datetime) -> None:
    """Upstream is about to be asked for it."""
    conn.execute(update(POOL).where(POOL.c.id == pool_id).values(asked_at=now))


def made(conn: Connection, pool_id: int, *, link_pk: int, url: str) -> None:
    conn.execute(update(POOL).where(POOL.c.id == pool_id).values(link_pk=link_pk, url=url, state="ready"))


def unmade(conn: Connection) -> list[str]:
    """Smart links of connected accounts that wait for links of their pools."""
    query = (
        select(SMART.c.id)
        .join(ACCOUNTS, ACCOUNTS.c.id == SMART.c.account_id)
        .where(SMART.c.state == "active", ACCOUNTS.c.disconnected_at.is_(None))
        .where(exists().where(POOL.c.smart_link_id == SMART.c.id, POOL.c.state == "making"))
    )
    return list(conn.execute(query.order_by(SMART.c.id)).scalars())


def retire(conn: Connection, smart_link_id: str) -> None:
    conn.execute(update(POOL).where(POOL.c.smart_link_id == smart_link_id).values(state="retired"))


def drop(conn: Connection, link_pk: int) -> str | None:
    """Nobody is sent to this link any more; the smart link in whose pool it was. None: in none."""
    query = update(POOL).where(POOL.c.link_pk == link_pk).values(state="retired").returning(POOL.c.smart_link_id)
    found: str | None = conn.execute(query).scalar()
    return found


def hold(conn: Connection, holds: Mapping[int, tuple[str, datetime, datetime]]) -> None:
    """Pool link → (click, when, until). A hold never moves back in time."""
    later = (POOL.c.held_by.is_(None)) | (POOL.c.held_by < bindparam("click"))
    statement = (
        update(POOL)
        .where(POOL.c.id == bindparam("pool"), later)
        .values(
            held_by=bindparam("click"),
            last_held_at=bindparam("at", type_=POOL.c.last_held_at.type),
            held_until=bindparam("until", type_=POOL.c.held_until.type),
        )
    )
    rows: list[dict[str, Any]] = [
        {"pool": pool, "click": click, "at": at, "until": until} for pool, (click, at, until) in sorted(holds.items())
    ]
    if rows:
        conn.execute(statement, rows)


def counts(conn: Connection, smart_link_id: str, *, now: datetime) -> tuple[int, int]:
    """(links that nobody holds or that are being made, all links) of a pool."""
    c = POOL.c
    free = (c.state == "making") | ((c.state == "ready") & (c.held_until.is_(None) | (c.held_until <= now)))
    query = select(func.count()).where(c.smart_link_id == smart_link_id, c.state != "retired")
    return int(conn.execute(query.where(free)).scalar_one()), int(conn.execute(query).scalar_one())


def claimed_since(conn: Connection, pool_ids: Iterable[int], since: datetime) -> dict[str, set[int]]:
    """Account → fans who subscribed through one of these pool links since then."""
    query = (
        select(CLAIMS.c.account_id, CLAIMS.c.fan_id)
        .join(POOL, POOL.c.link_pk == CLAIMS.c.link_pk)
        .where(POOL.c.id.in_(sorted(set(pool_ids))), CLAIMS.c.claimed_at >= since)
    )
    found: dict[str, set[int]] = {}
    for account, fan in conn.execute(query):
        found.setdefault(account, set()).add(fan)
    return found
