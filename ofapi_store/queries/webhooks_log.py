"""The log of tries, sending again, and forgetting (contract 7.3)."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, delete, insert, select

from ofapi_store.models.webhooks import DeliveryAttempt
from ofapi_store.queries.events import DELIVERIES, EVENTS, WEBHOOKS
from ofapi_store.types import now_utc

ATTEMPTS: Any = DeliveryAttempt.__table__
SHOWN = timedelta(days=7)
_CHUNK = 1000


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One try with its event. `delivery_uuid` stays the same over the tries of a delivery."""

    id: int
    delivery_uuid: str
    event: str
    account_id: str | None
    attempt: int
    succeeded: bool
    status_code: int | None
    error_type: str | None
    error_message: str | None
    response: str | None
    duration_ms: int | None
    key: str
    payload: dict[str, Any]
    redelivered_from: str | None
    created_at: datetime


_A, _D, _E = ATTEMPTS.c, DELIVERIES.c, EVENTS.c
_COLUMNS: tuple[Any, ...] = (
    _A.id,
    _D.uuid,
    _E.event,
    _E.account_id,
    _A.attempt,
    _A.succeeded,
    _A.status_code,
    _A.error_type,
    _A.error_message,
    _A.response,
    _A.duration_ms,
    _E.key,
    _E.payload,
    _D.redelivered_from,
    _A.created_at,
)


def attempts(
    conn: Connection,
    webhook_id: str,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    event: str | None = None,
    succeeded: bool | None = None,
    account_ids: Iterable[str] | None = None,
    limit: int = 50,
    offset: int = 0,
) -> list[AttemptRow]:
    """Tries in `start <= t < end`, newest first. `account_ids`: only events of these accounts."""
    where: list[Any] = [_A.webhook_id == webhook_id]
    where += [_A.created_at >= start] if start is not None else []
    where += [_A.created_at < end] if end is not None else []
    where += [_E.event == event] if event is not None else []
    where += [_A.succeeded.is_(succeeded)] if succeeded is not None else []
    where += [_E.account_id.in_(sorted(account_ids))] if account_ids is not None else []
    query = (
        select(*_COLUMNS)
        .join_from(ATTEMPTS, DELIVERIES, _D.id == _A.delivery_id)
        .join(EVENTS, _E.id == _D.event_id)
        .where(and_(*where))
        .order_by(_A.id.desc())
        .limit(limit)
        .offset(offset)
    )
    return [AttemptRow(*row) for row in conn.execute(query)]


@dataclass(frozen=True, slots=True)
class Found:
    """A delivery of a webhook, and the account of its event."""

    uuid: str
    event_id: int
    lane: str
    account_id: str | None


def find(conn: Connection, webhook_id: str, delivery: str) -> Found | None:
    """By its uuid, or by the id of one of its tries."""
    match: Any = _D.uuid == delivery
    if delivery.isascii() and delivery.isdigit() and len(delivery) <= 18:
        match = _D.id == select(_A.delivery_id).where(_A.id == int(delivery)).scalar_subquery()
    query = (
        select(_D.uuid, _D.event_id, _D.lane, _E.account_id)
        .join_from(DELIVERIES, EVENTS, _E.id == _D.event_id)
        .where(_D.webhook_id == webhook_id, match)
    )
    row = conn.execute(query).first()
    return Found(*row) if row is not None else None


def redeliver(conn: Connection, webhook_id: str, found: Found, *, now: datetime | None = None) -> str:
    """A new delivery of the same event, with its first idempotency key; returns its uuid."""
    at, new = now or now_utc(), str(uuid.uuid4())
    conn.execute(
        insert(DELIVERIES),
        {
            "uuid": new,
            "webhook_id": webhook_id,
            "event_id": found.event_id,
            "lane": found.lane,
            "state": "pending",
            "next_at": at,
            "redelivered_from": found.uuid,
            "created_at": at,
        },
    )
    return new


def forget(conn: Connection, *, before: datetime, now: datetime) -> int:
    """Deletes a portion of the events from before then, with their deliveries and tries; returns how many.

    Call until it returns 0: each call is a short transaction.
    """
    w = WEBHOOKS.c
    conn.execute(delete(WEBHOOKS).where(w.state == "listening", w.paused_until < now))
    old = select(_E.id).where(_E.created_at < before).order_by(_E.created_at).limit(_CHUNK)
    ids = list(conn.execute(old).scalars())
    if ids:
        conn.execute(delete(EVENTS).where(_E.id.in_(ids)))
    return len(ids)
