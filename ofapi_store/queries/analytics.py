"""Sums over stored transactions of some accounts, by day, type and status. Amounts are cents.

Net leaves out what was undone (`undo`, `pending_return`); those rows count as refunded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import BigInteger, Connection, Table, func, literal_column, select, type_coerce

from ofapi_store.models.observed import Chargeback, Message, Transaction
from ofapi_store.queries.transactions import REFUNDED
from ofapi_store.types import EPOCH

TRANSACTIONS: Table = Transaction.__table__  # type: ignore[assignment]
CHARGEBACKS: Table = Chargeback.__table__  # type: ignore[assignment]
MESSAGES: Table = Message.__table__  # type: ignore[assignment]

DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Sums:
    """Transactions of one account, day (UTC), type and state. `refunded`: the money went or goes back."""

    account_id: str
    day: date
    type: str | None
    refunded: bool
    count: int
    gross: int
    net: int
    fees: int


def daily(conn: Connection, account_ids: Sequence[str], start: datetime, end: datetime) -> list[Sums]:
    """Sums of transactions with `start <= created_at <= end`, oldest day first."""
    c = TRANSACTIONS.c
    day = type_coerce(c.created_at, BigInteger).op("/")(literal_column(str(DAY_US)))
    gone = func.coalesce(c.status, "").in_(REFUNDED)
    sums = (func.count(), func.sum(c.amount), func.sum(func.coalesce(c.net, 0)), func.sum(func.coalesce(c.fee, 0)))
    query = (
        select(c.account_id, day, c.type, gone, *sums)
        .where(c.account_id.in_(account_ids), c.created_at >= start, c.created_at <= end)
        .group_by(c.account_id, day, c.type, gone)
        .order_by(day, c.account_id, c.type)
    )
    return [
        Sums(account, (EPOCH + timedelta(days=int(number))).date(), kind, bool(back), *(int(v or 0) for v in values))
        for account, number, kind, back, *values in conn.execute(query)
    ]


def disputed(conn: Connection, account_ids: Sequence[str], start: datetime, end: datetime) -> int:
    """How many chargebacks came in the period."""
    c = CHARGEBACKS.c
    query = select(func.count()).where(c.account_id.in_(account_ids), c.created_at >= start, c.created_at <= end)
    return int(conn.execute(query).scalar() or 0)


def messages(conn: Connection, account_ids: Sequence[str], start: datetime, end: datetime) -> int:
    """How many stored messages the creators sent in the period."""
    c = MESSAGES.c
    query = select(func.count()).where(
        c.account_id.in_(account_ids), c.from_fan.is_(False), c.created_at >= start, c.created_at <= end
    )
    return int(conn.execute(query).scalar() or 0)
