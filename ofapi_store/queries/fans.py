"""Fans of an account."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, func, or_, select

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


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which fans a search of the index is for. Amounts are cents, bounds inclusive; None: any.

    `subscribed_by`: whoever subscribed first at that time or before. `text`: part of the username or name, in any case.
    """

    max_total_spent: int
    min_total_spent: int | None = None
    min_tips_spent: int | None = None
    subscribed_by: datetime | None = None
    active: bool | None = None
    text: str = ""


_COLUMNS = tuple(FANS.c[name] for name in FanRow.__slots__)
_SELECT = select(*_COLUMNS)


def is_subscribed(row: FanRow, now: datetime) -> bool:
    """Upstream may say nothing of it (a user's own page); an end that is still to come then does.

    What it said before that end is no longer so: upstream is not asked about a fan on the day that it ends.
    """
    if row.expired_at is None or row.is_active is False:
        return row.is_active is True
    return row.expired_at > now


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


def matching(
    conn: Connection, account_id: str, wanted: Wanted, *, now: datetime, limit: int, offset: int = 0
) -> list[int]:
    """Ids of fans who may be wanted, in order.

    A subscription that has run out since the fan was seen may have been renewed, one that was over may be running again:
    such fans count as active and as not, and only upstream can tell.
    """
    c = FANS.c
    spent = c.total_spent + 0  # through the index on it SQLite looks up most of a large account in an order of no use
    query = select(c.fan_id).where(c.account_id == account_id, spent <= wanted.max_total_spent)
    for amount, least in ((spent, wanted.min_total_spent), (c.tips_spent, wanted.min_tips_spent)):
        if least is not None:
            query = query.where(amount >= least)
    if wanted.subscribed_by is not None:
        query = query.where(c.subscribed_at <= wanted.subscribed_by)
    if wanted.active is True:
        query = query.where(or_(c.is_active.is_(True), c.expired_at > now))
    elif wanted.active is False:
        query = query.where(or_(c.is_active.is_not(True), c.expired_at <= now))
    if wanted.text:
        query = query.where(named_like(wanted.text))
    return list(conn.execute(query.order_by(c.fan_id).limit(limit).offset(offset)).scalars())


def named_like(text: str) -> ColumnElement[bool]:
    """Whether the username or the name holds `text`, in any case; `%` and `_` are plain characters."""
    like = "%" + text.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    return or_(*(func.lower(FANS.c[name]).like(like, escape="\\") for name in ("username", "name")))


def count(conn: Connection, account_id: str) -> int:
    return int(conn.execute(select(func.count()).where(FANS.c.account_id == account_id)).scalar_one())
