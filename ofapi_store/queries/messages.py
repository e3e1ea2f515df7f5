"""Messages between a creator and fans."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, func, select

from ofapi_store.models.observed import Message
from ofapi_store.queries.paging import in_period

MESSAGES: Table = Message.__table__  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class MessageRow:
    """`price` is cents. `text` None: not kept."""

    account_id: str
    message_id: int
    fan_id: int
    from_fan: bool
    created_at: datetime
    price: int | None
    is_tip: bool | None
    is_opened: bool | None
    is_free: bool | None
    is_from_queue: bool | None
    media_count: int | None
    text: str | None
    extra: dict[str, Any] | None


_COLUMNS = tuple(MESSAGES.c[name] for name in MessageRow.__slots__)


def by_ids(conn: Connection, account_id: str, message_ids: Iterable[int]) -> dict[int, MessageRow]:
    query = select(*_COLUMNS).where(
        MESSAGES.c.account_id == account_id, MESSAGES.c.message_id.in_(sorted(set(message_ids)))
    )
    return {row.message_id: row for row in (MessageRow(*found) for found in conn.execute(query))}


def page(
    conn: Connection,
    account_id: str,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    after: tuple[datetime, int] | None = None,
    limit: int = 1000,
) -> list[MessageRow]:
    """Oldest first in `start <= t < end`; page on with `after`: time and id of the last row."""
    c = MESSAGES.c
    query = select(*_COLUMNS).where(c.account_id == account_id)
    query = in_period(query, c.created_at, c.message_id, start, end, after)
    return [MessageRow(*row) for row in conn.execute(query.limit(limit))]


def newest_id(conn: Connection, account_id: str, fan_id: int) -> int | None:
    """The newest known message of a chat: where a sync may stop."""
    c = MESSAGES.c
    query = select(c.message_id).where(c.account_id == account_id, c.fan_id == fan_id)
    found: int | None = conn.execute(query.order_by(c.created_at.desc(), c.message_id.desc()).limit(1)).scalar()
    return found


def sent_by_fans(
    conn: Connection, account_id: str, fan_ids: Iterable[int], *, since: datetime | None = None
) -> dict[int, int]:
    """How many messages each fan sent (fans with none are left out)."""
    c = MESSAGES.c
    query = select(c.fan_id, func.count()).where(
        c.account_id == account_id, c.from_fan.is_(True), c.fan_id.in_(sorted(set(fan_ids)))
    )
    if since is not None:
        query = query.where(c.created_at >= since)
    return {int(fan_id): int(n) for fan_id, n in conn.execute(query.group_by(c.fan_id))}


def of_fans(conn: Connection, account_id: str, since: Mapping[int, datetime]) -> list[tuple[int, int, datetime]]:
    """(fan, message, time) of what each fan sent from the given time on, oldest first."""
    if not since:
        return []
    c = MESSAGES.c
    query = select(c.fan_id, c.message_id, c.created_at).where(
        c.account_id == account_id,
        c.from_fan.is_(True),
        c.fan_id.in_(sorted(since)),
        c.created_at >= min(since.values()),
    )
    rows = conn.execute(query.order_by(c.created_at, c.message_id))
    return [(fan, number, at) for fan, number, at in rows if at >= since[fan]]


def last_reply_before(conn: Connection, row: MessageRow) -> datetime | None:
    """When the fan of a message last wrote before it."""
    c = MESSAGES.c
    query = select(c.created_at).where(
        c.account_id == row.account_id,
        c.fan_id == row.fan_id,
        c.from_fan.is_(True),
        c.created_at <= row.created_at,
        c.message_id != row.message_id,
    )
    found: datetime | None = conn.execute(query.order_by(c.created_at.desc()).limit(1)).scalar()
    return found
