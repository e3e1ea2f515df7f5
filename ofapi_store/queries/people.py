"""Who is known: fans by name over several accounts, and what is stored about one fan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from ofapi_store.queries.analytics import MESSAGES, TRANSACTIONS
from ofapi_store.queries.fans import FANS, FanRow, named_like
from ofapi_store.queries.transactions import REFUNDED

_COLUMNS = tuple(FANS.c[name] for name in FanRow.__slots__)


@dataclass(frozen=True, slots=True)
class Purchases:
    """Payments of one fan that were not undone. `first` and `last` are None where there are none."""

    count: int
    first: datetime | None
    last: datetime | None


def named(conn: Connection, account_ids: Sequence[str], username: str) -> FanRow | None:
    """The fan of that name (any case) in one of the accounts, as seen last."""
    query = (
        select(*_COLUMNS)
        .where(FANS.c.account_id.in_(account_ids), func.lower(FANS.c.username) == username.lower())
        .order_by(FANS.c.updated_at.desc())
        .limit(1)
    )
    row = conn.execute(query).first()
    return FanRow(*row) if row is not None else None


def search(conn: Connection, account_ids: Sequence[str], text: str, *, after: int, limit: int) -> list[FanRow]:
    """Fans whose username or name holds `text`, one row each, by id after `after`."""
    newest = (
        select(FANS.c.fan_id, func.min(FANS.c.account_id).label("account_id"))
        .where(FANS.c.account_id.in_(account_ids), FANS.c.username.is_not(None), FANS.c.fan_id > after)
        .group_by(FANS.c.fan_id)
    )
    if text:
        newest = newest.where(named_like(text))
    found = newest.order_by(FANS.c.fan_id).limit(limit).subquery()
    query = select(*_COLUMNS).join(found, (FANS.c.fan_id == found.c.fan_id) & (FANS.c.account_id == found.c.account_id))
    return [FanRow(*row) for row in conn.execute(query.order_by(FANS.c.fan_id))]


def message_count(conn: Connection, account_id: str, fan_id: int) -> int:
    """How many messages of the chat are stored, both directions."""
    c = MESSAGES.c
    return int(conn.execute(select(func.count()).where(c.account_id == account_id, c.fan_id == fan_id)).scalar() or 0)


def purchases(conn: Connection, account_id: str, fan_id: int) -> Purchases:
    """How often and between when the fan paid."""
    c = TRANSACTIONS.c
    query = select(func.count(), func.min(c.created_at), func.max(c.created_at)).where(
        c.account_id == account_id, c.fan_id == fan_id, func.coalesce(c.status, "").not_in(REFUNDED)
    )
    count, first, last = conn.execute(query).one()
    return Purchases(int(count), first, last)
