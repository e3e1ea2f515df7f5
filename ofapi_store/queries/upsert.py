"""INSERT … ON CONFLICT on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

Insert = postgresql.Insert | sqlite.Insert


def insert_for(conn: Connection, table: Table) -> Any:
    """The dialect's `insert(table)`, with `.excluded`, `.on_conflict_do_update` and `.on_conflict_do_nothing`."""
    return insert_into(conn.dialect.name, table)


def insert_into(dialect: str, table: Table) -> Any:
    """The same by the dialect's name, for statements that are built once."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def insert_missing(conn: Connection, table: Table, rows: Sequence[dict[str, Any]], *keys: str) -> None:
    """Inserts the rows whose `keys` are not there yet; leaves the others as they are."""
    if rows:
        conn.execute(insert_for(conn, table).on_conflict_do_nothing(index_elements=list(keys)), list(rows))


def add_up(
    conn: Connection, table: Table, rows: Sequence[dict[str, Any]], *keys: str, constant: Sequence[str] = ()
) -> None:
    """Adds each row's numbers to the row of its `keys`, which is made where it is missing. `constant` columns stay."""
    if not rows:
        return
    statement = insert_for(conn, table)
    sums = {name: table.c[name] + statement.excluded[name] for name in rows[0] if name not in (*keys, *constant)}
    conn.execute(statement.on_conflict_do_update(index_elements=list(keys), set_=sums), list(rows))
