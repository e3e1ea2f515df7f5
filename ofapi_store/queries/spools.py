"""How far spool files are stored: the position moves in the transaction of the lines, so each is stored once."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, Table, delete, select

from ofapi_store.models.clicks import ClickSpool
from ofapi_store.queries.upsert import insert_for

SPOOLS: Table = ClickSpool.__table__  # type: ignore[assignment]


def position(conn: Connection, name: str) -> int:
    """How many bytes of a spool file are stored."""
    return conn.execute(select(SPOOLS.c.position).where(SPOOLS.c.name == name)).scalar() or 0


def claim(conn: Connection, name: str, start: int, end: int, *, now: datetime) -> bool:
    """Moves on from `start` to `end` in the caller's transaction. False: those bytes are stored already."""
    if position(conn, name) != start:
        return False
    move(conn, name, end, now=now)
    return True


def move(conn: Connection, name: str, to: int, *, now: datetime) -> None:
    statement = insert_for(conn, SPOOLS).values(name=name, position=to, updated_at=now)
    conn.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"position": to, "updated_at": now}))


def forget(conn: Connection, name: str) -> None:
    conn.execute(delete(SPOOLS).where(SPOOLS.c.name == name))
