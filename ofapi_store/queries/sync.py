"""How far each stream of a sync has come, so that it resumes after a kill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, delete, select

from ofapi_store.models.observed import SyncCursor
from ofapi_store.queries.upsert import insert_for
from ofapi_store.types import now_utc

CURSORS: Table = SyncCursor.__table__  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Cursor:
    """`position` is the stream's own; `completed_at`: when it last reached its end."""

    stream: str
    position: Mapping[str, Any]
    completed_at: datetime | None
    updated_at: datetime


def get(conn: Connection, account_id: str, stream: str) -> Cursor | None:
    c = CURSORS.c
    query = select(c.stream, c.position, c.completed_at, c.updated_at)
    row = conn.execute(query.where(c.account_id == account_id, c.stream == stream)).first()
    return Cursor(*row) if row is not None else None


def list_for_account(conn: Connection, account_id: str) -> list[Cursor]:
    c = CURSORS.c
    query = select(c.stream, c.position, c.completed_at, c.updated_at).where(c.account_id == account_id)
    return [Cursor(*row) for row in conn.execute(query.order_by(c.stream))]


def save(
    conn: Connection,
    account_id: str,
    stream: str,
    position: Mapping[str, Any],
    *,
    completed: bool = False,
    now: datetime | None = None,
) -> None:
    """Call it in the transaction that stores the page. `completed`: the stream reached its end."""
    at = now or now_utc()
    values = {"position": dict(position), "updated_at": at} | ({"completed_at": at} if completed else {})
    statement = insert_for(conn, CURSORS).values(account_id=account_id, stream=stream, **values)
    conn.execute(statement.on_conflict_do_update(index_elements=["account_id", "stream"], set_=values))


def reset(conn: Connection, account_id: str, stream: str | None = None) -> None:
    """Forgets one stream, or all: the next sync is a full one."""
    query = delete(CURSORS).where(CURSORS.c.account_id == account_id)
    conn.execute(query if stream is None else query.where(CURSORS.c.stream == stream))
