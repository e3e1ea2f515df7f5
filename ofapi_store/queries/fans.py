"""Fans of an account."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, func, or_, select

from ofapi_store.models.observed import Fan
from ofapi_store.queries.among import among

FANS: Table = Fan.__table__  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class FanRow:
    """Amounts are cents. `observed_at` None: known from messages only."""

    account_id: str
    fan_id: int
    username: str | None
    name: str | None
    avatar_url: str | None
    is_active: bool | None
    subscribed_at: datetime | None
    renewed_at: datetime | None
    expired_at: datetime | None
    subscription_status: str | None
    subscription_price: int | None
    regular_price: int | None
    total_spent: int | None
    tips_spent: int | None
    messages_spent: int | None
    posts_spent: int | None
    streams_spent: int | None
    subscriptions_spent: int | None
    last_seen_at: datetime | None
    last_reply_at: datetime | None
    extra: dict[str, Any] | None
    first_seen_at: datetime
    observed_at: datetime | None
    updated_at: datetime


_COLUMNS = tuple(FANS.c[name] for name in FanRow.__slots__)
_SELECT = select(*_COLUMNS)


def by_ids(conn: Connection, account_id: str, fan_ids: Iterable[int]) -> dict[int, FanRow]:
    """The known ones of up to some thousand ids."""
    query = _SELECT.where(FANS.c.account_id == account_id, among(conn, FANS.c.fan_id, fan_ids))
    return {row.fan_id: row for row in (FanRow(*found) for found in conn.execute(query).all())}


def ending(
    conn: Connection, account_id: str, *, since: datetime, until: datetime, seen_before: datetime, limit: int
) -> list[int]:
    """Fans who should have ended in that time, yet were active when they were last seen, before `seen_before`."""
    c = FANS.c
    query = select(c.fan_id).where(
        c.account_id == account_id,
        c.expired_at >= since,
        c.expired_at <= until,
        c.is_active.is_(True),
        or_(c.observed_at.is_(None), c.observed_at < seen_before),
    )
    return list(conn.execute(query.order_by(c.expired_at, c.fan_id).limit(limit)).scalars())


def subscribed_since(conn: Connection, account_id: str, fan_ids: Iterable[int]) -> dict[int, datetime]:
    """When the known ones subscribed first; until the end of the transaction nobody changes it."""
    c = FANS.c
    query = select(c.fan_id, c.subscribed_at).where(
        c.account_id == account_id, c.subscribed_at.is_not(None), among(conn, c.fan_id, fan_ids)
    )
    return {row[0]: row[1] for row in conn.execute(query.order_by(c.fan_id).with_for_update(read=True))}


def page(
    conn: Connection,
    account_id: str,
    *,
    after: int = 0,
    limit: int = 1000,
    active: bool | None = None,
    min_total_spent: int | None = None,
    max_total_spent: int | None = None,
) -> list[FanRow]:
    """By fan id, after the id `after`: for exports and syncs, flat however deep. Spending in cents."""
    query = select(*_COLUMNS).where(FANS.c.account_id == account_id, FANS.c.fan_id > after)
    if active is not None:
        query = query.where(FANS.c.is_active.is_(active))
    if min_total_spent is not None:
        query = query.where(FANS.c.total_spent >= min_total_spent)
    if max_total_spent is not None:
        query = query.where(FANS.c.total_spent <= max_total_spent)
    return [FanRow(*row) for row in conn.execute(query.order_by(FANS.c.fan_id).limit(limit))]


def count(conn: Connection, account_id: str) -> int:
    return int(conn.execute(select(func.count()).where(FANS.c.account_id == account_id)).scalar_one())
