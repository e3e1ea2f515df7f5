"""Transactions and chargebacks of an account."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, and_, func, select

from ofapi_store.models.observed import Chargeback, Transaction
from ofapi_store.queries.paging import in_period

TRANSACTIONS: Table = Transaction.__table__  # type: ignore[assignment]
CHARGEBACKS: Table = Chargeback.__table__  # type: ignore[assignment]
REFUNDED = ("undo", "pending_return")
"""Statuses of money that went back, or is about to."""
_OPEN = ("loading", "pending_return")


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


def oldest_open(conn: Connection, account_id: str, *, since: datetime) -> datetime | None:
    """When the oldest payment since then was made whose status is not its last: upstream is asked for it again."""
    c = TRANSACTIONS.c
    query = select(func.min(c.created_at)).where(c.account_id == account_id, c.created_at >= since, c.status.in_(_OPEN))
    found: datetime | None = conn.execute(query).scalar()
    return found


def charged_back(conn: Connection, account_id: str, fan_ids: Iterable[int]) -> set[str]:
    """Which payments of these fans a chargeback names; the chargeback itself need not know whose they were."""
    c, b = TRANSACTIONS.c, CHARGEBACKS.c
    same = and_(b.account_id == c.account_id, b.transaction_id == c.transaction_id)
    query = select(c.transaction_id).join(CHARGEBACKS, same)
    return set(conn.execute(query.where(c.account_id == account_id, c.fan_id.in_(sorted(set(fan_ids))))).scalars())


def payers(conn: Connection, account_id: str, transaction_ids: Iterable[str]) -> set[int]:
    """Whose these payments are, as far as they are known."""
    c = TRANSACTIONS.c
    query = select(c.fan_id).where(
        c.account_id == account_id, c.transaction_id.in_(sorted(set(transaction_ids))), c.fan_id.is_not(None)
    )
    return set(conn.execute(query).scalars())


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
