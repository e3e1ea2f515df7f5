"""Events: written once, in the transaction of their cause, together with the deliveries that they mean (contract 7)."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, and_, or_, select

from ofapi_store.models.webhooks import Delivery, Event, Webhook
from ofapi_store.queries.upsert import insert_for
from ofapi_store.types import now_utc

EVENTS: Table = Event.__table__  # type: ignore[assignment]
WEBHOOKS: Table = Webhook.__table__  # type: ignore[assignment]
DELIVERIES: Table = Delivery.__table__  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class NewEvent:
    """`fact` identifies what happened (`message:123`), so that seeing it again gives no second event.

    `account_id` None: an event of the whole team. `happened_at`: when upstream says that it happened; a webhook that was
    made later does not get it, so that filling the store with history floods nobody. None: now.
    """

    event: str
    fact: str
    payload: Mapping[str, Any]
    account_id: str | None = None
    happened_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Wish:
    id: str
    events: frozenset[str]
    scope: str
    account_ids: frozenset[str]
    since: datetime
    listens: bool

    def wants(self, event: NewEvent) -> bool:
        if event.event not in self.events or (event.happened_at is not None and event.happened_at < self.since):
            return False
        return event.account_id is None or self.covers(event.account_id)

    def covers(self, account_id: str) -> bool:
        return self.scope == "global" or (account_id in self.account_ids) == (self.scope == "inclusive")


def receiver_key(team_id: str, event_key: str) -> str:
    """The idempotency key that receivers see: `evt_<40 hex>`, the same for the same fact, telling nothing of it."""
    return "evt_" + hashlib.sha256(f"{team_id}\x00{event_key}".encode()).hexdigest()[:40]


def emit(
    conn: Connection,
    team_id: str,
    event: str,
    fact: str,
    payload: Mapping[str, Any],
    *,
    account_id: str | None = None,
    happened_at: datetime | None = None,
    now: datetime | None = None,
) -> bool:
    """Writes one event with its deliveries. False: this fact has given its event before, or no webhook wants it."""
    return emit_all(conn, team_id, [NewEvent(event, fact, payload, account_id, happened_at)], now=now) == 1


def wanted(conn: Connection, team_id: str, account_id: str, *, now: datetime | None = None) -> frozenset[str]:
    """The events of an account that any webhook of the team wants: what is in nobody's list need not be worked out."""
    wishes = _wishes(conn, team_id, now or now_utc())
    return frozenset().union(*(wish.events for wish in wishes if wish.covers(account_id)))


def wanted_since(
    conn: Connection, team_id: str, account_id: str, names: Collection[str], *, now: datetime | None = None
) -> datetime | None:
    """Since when a webhook of the team wants one of these events of an account: what is older need not be looked for."""
    wishes = _wishes(conn, team_id, now or now_utc())
    return min((w.since for w in wishes if w.covers(account_id) and not w.events.isdisjoint(names)), default=None)


def emit_all(conn: Connection, team_id: str, events: Sequence[NewEvent], *, now: datetime | None = None) -> int:
    """Writes the events whose facts are new, in their order, with one delivery for each webhook that wants one.

    Gives the number of new events. Nothing is written for facts that no webhook of the team wants.
    """
    at = now or now_utc()
    wishes = _wishes(conn, team_id, at)
    written = 0
    for event in events:
        takers = [wish for wish in wishes if wish.wants(event)]
        if not takers:
            continue
        event_id = _insert(conn, team_id, event, at)
        if event_id is None:
            continue
        written += 1
        rows = [_delivery(wish.id, event_id, event.account_id, at) for wish in takers if not wish.listens]
        if rows:
            conn.execute(DELIVERIES.insert(), rows)
    return written


def _wishes(conn: Connection, team_id: str, now: datetime) -> list[_Wish]:
    c = WEBHOOKS.c
    columns = (c.id, c.events, c.account_scope, c.account_ids, c.created_at, c.state)
    listens = and_(c.state == "listening", c.paused_until > now)
    query = select(*columns).where(
        c.team_id == team_id, c.enabled.is_(True), or_(c.state.in_(("active", "paused")), listens)
    )
    return [
        _Wish(
            row.id,
            frozenset(row.events),
            row.account_scope,
            frozenset(row.account_ids),
            row.created_at.replace(microsecond=0),  # upstream's times have whole seconds
            row.state == "listening",
        )
        for row in conn.execute(query)
    ]


def _insert(conn: Connection, team_id: str, event: NewEvent, at: datetime) -> int | None:
    event_key = f"{event.account_id or 'team'}:{event.event}:{event.fact}"
    statement = (
        insert_for(conn, EVENTS)
        .values(
            team_id=team_id,
            account_id=event.account_id,
            event=event.event,
            event_key=event_key,
            key=receiver_key(team_id, event_key),
            payload=dict(event.payload),
            created_at=at,
        )
        .on_conflict_do_nothing(index_elements=["team_id", "event_key"])
        .returning(EVENTS.c.id)
    )
    found: int | None = conn.execute(statement).scalar_one_or_none()
    return found


def _delivery(webhook_id: str, event_id: int, account_id: str | None, at: datetime) -> dict[str, Any]:
    return {
        "uuid": str(uuid.uuid4()),
        "webhook_id": webhook_id,
        "event_id": event_id,
        "lane": f"{webhook_id}:{account_id or ''}",
        "state": "pending",
        "next_at": at,
        "created_at": at,
    }
