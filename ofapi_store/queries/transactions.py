"""Transactions and chargebacks of an account."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, select

from ofapi_store.models.observed import Chargeback, Transaction
from ofapi_store.queries.paging import in_period

TRANSACTIONS: Table = Transaction.__table__  # type: ignore[assignment]
CHARGEBACKS: Table = Chargeback.__table__  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class TransactionRow:
    """Amounts are cents. `type`: subs, tips, post, chat_messages, stream or None."""

    account_id: str
    transaction_id: str
    fan_id: int | None
    type: str | None
    tips_source: str | None
    amount: int
    net: int | None
    fee: int | None
    vat_amount: int | None
    tax_amount: int | None
    currency: str | None
    status: str | None
    description: str | None
    created_at: datetime
    extra: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class ChargebackRow:
    """Amounts are positive cents."""

    account_id: str
    chargeback_id: str
    transaction_id: str | None
    fan_id: int | None
    payment_type: str | None
    amount: int | None
    net: int | None
    currency: str | None
    created_at: datetime
    paid_at: datetime | None
    extra: dict[str, Any] | None


_COLUMNS = tuple(TRANSACTIONS.c[name] for name in TransactionRow.__slots__)
_CHARGEBACK_COLUMNS = tuple(CHARGEBACKS.c[name] for name in ChargebackRow.__slots__)


def page(
    conn: Connection,
    account_id: str,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    after: tuple[datetime, str] | None = None,
    limit: int = 1000,
) -> list[TransactionRow]:
    """Oldest first in `start <= t < end`; page on with `after`: time and id of the last row."""
    c = TRANSACTIONS.c
    query = select(*_COLUMNS).where(c.account_id == account_id)
    query = in_period(query, c.created_at, c.transaction_id, start, end, after)
    return [TransactionRow(*row) for row in conn.execute(query.limit(limit))]


def by_ids(conn: Connection, account_id: str, transaction_ids: Iterable[str]) -> list[TransactionRow]:
    """The known ones of up to some thousand ids, oldest first."""
    c = TRANSACTIONS.c
    query = select(*_COLUMNS).where(c.account_id == account_id, c.transaction_id.in_(sorted(set(transaction_ids))))
    return [TransactionRow(*row) for row in conn.execute(query.order_by(c.created_at, c.transaction_id))]


def of_fans(conn: Connection, account_id: str, fan_ids: Iterable[int]) -> list[TransactionRow]:
    """All transactions of these fans, oldest first."""
    c = TRANSACTIONS.c
    query = select(*_COLUMNS).where(c.account_id == account_id, c.fan_id.in_(sorted(set(fan_ids))))
    return [TransactionRow(*row) for row in conn.execute(query.order_by(c.created_at, c.transaction_id))]


def newest(conn: Connection, account_id: str) -> TransactionRow | None:
    """Where a sync may stop."""
    c = TRANSACTIONS.c
    query = select(*_COLUMNS).where(c.account_id == account_id)
    row = conn.execute(query.order_by(c.created_at.desc(), c.transaction_id.desc()).limit(1)).first()
    return TransactionRow(*row) if row is not None else None


def chargebacks_of_fans(conn: Connection, account_id: str, fan_ids: Iterable[int]) -> list[ChargebackRow]:
    """All chargebacks of these fans, oldest first."""
    c = CHARGEBACKS.c
    query = select(*_CHARGEBACK_COLUMNS).where(c.account_id == account_id, c.fan_id.in_(sorted(set(fan_ids))))
    return [ChargebackRow(*row) for row in conn.execute(query.order_by(c.created_at, c.chargeback_id))]


def chargebacks_page(
    conn: Connection,
    account_id: str,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    after: tuple[datetime, str] | None = None,
    limit: int = 1000,
) -> list[ChargebackRow]:
    """As `page`, for chargebacks."""
    c = CHARGEBACKS.c
    query = select(*_CHARGEBACK_COLUMNS).where(c.account_id == account_id)
    query = in_period(query, c.created_at, c.chargeback_id, start, end, after)
    return [ChargebackRow(*row) for row in conn.execute(query.limit(limit))]
