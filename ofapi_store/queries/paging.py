"""Rows of a period, oldest first, paged by key: the place of the last row, never a deep offset."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, or_


def in_period(  # noqa: PLR0917 (a query, spelled out)
    query: Select[Any],
    at: ColumnElement[datetime],
    key: ColumnElement[Any],
    start: datetime | None,
    end: datetime | None,
    after: tuple[datetime, Any] | None,
) -> Select[Any]:
    """`query` for `start <= at < end` in order of `at` and `key`; `after`: both of the last row that was read."""
    if start is not None:
        query = query.where(at >= start)
    if end is not None:
        query = query.where(at < end)
    if after is not None:
        last_at, last = after
        query = query.where(at >= last_at, or_(at > last_at, and_(at == last_at, key > last)))
    return query.order_by(at, key)
