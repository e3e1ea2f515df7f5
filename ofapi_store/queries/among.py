"""`column IN (values)` as one parameter on PostgreSQL: the statement is the same however many values there are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Connection, any_, bindparam
from sqlalchemy.dialects.postgresql import ARRAY


def among(conn: Connection, column: ColumnElement[Any], values: Iterable[Any]) -> ColumnElement[bool]:
    """`values` of the column's type, up to some thousand; each counts once."""
    wanted = sorted(set(values))
    if conn.dialect.name != "postgresql":
        return column.in_(wanted)
    return column == any_(bindparam(None, wanted, type_=ARRAY(column.type)))
