"""Events: written once, in the transaction of their cause, together with the deliveries that they mean (contract 7)."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, select

from ofapi_store.models.webhooks import Delivery, Event, Webhook
from ofapi_store.queries.upsert import insert_for
from ofapi_store.types import now_utc

EVENTS: Table = Event.__table__  # type: ignore[assignment]
WEBHOOKS: Table = Webhook.__table__  # type: ignore[assignment]
DELIVERIES: Table = Delivery.__table__  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class NewEvent:
    """`fact` identifies what happened (`message:123`), so that seeing it again gives no second event.

    `account_id` None: an event of the whole team.
    """

    event: str
    fact: str
    payload: Mapping[str, Any]
    account_id: str | None = None


@dataclass(frozen=True, slots=True)
class _Wish:
    id: str
    events: frozenset[str]
    scope: str
    account_ids: frozenset[str]

    def wants(self, event: NewEvent) -> bool:
        if event.event not in self.events:
            return False
        if event.account_id is None or self.scope == "global":
            return True
        return (event.account_id in self.account_ids) == (self.scope == "inclusive")


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
    now: datetime | None = None,
) -> bool:
    """Writes one event with its deliveries. False: this fact has given its event before."""
    return emit_all(conn, team_id, [NewEvent(event, fact, payload, account_id)], now=now) == 1


def emit_all(conn: Connection, team_id: str, events: Sequence[NewEvent], *, now: datetime | None = None) -> int:
    """Writes the events whose facts are new, in their order, with one delivery for each webhook that wants one.

    Gives the number of new events. Nothing is written for facts that no webhook of the team wants.
    """
    wishes = _wishes(conn, team_id)
    at = now or now_utc()
    wanted = [(event, [w.id for w in wishes if w.wants(event)]) for event in events]
    written = 0
    for event, webhook_ids in wanted:
        if not webhook_ids:
            continue
        event_id = _insert(conn, team_id, event, at)
        if event_id is None:
            continue
        written += 1
        conn.execute(DELIVERIES.insert(), [_delivery(hook, event_id, event.account_id, at) for hook in webhook_ids])
    return written


def _wishes(conn: Connection, team_id: str) -> list[_Wish]:
    columns = (WEBHOOKS.c.id, WEBHOOKS.c.events, WEBHOOKS.c.account_scope, WEBHOOKS.c.account_ids)
    rows = conn.execute(
        select(*columns).where(
            WEBHOOKS.c.team_id == team_id, WEBHOOKS.c.enabled.is_(True), WEBHOOKS.c.state != "disabled"
        )
    )
    return [_Wish(r.id, frozenset(r.events), r.account_scope, frozenset(r.account_ids)) for r in rows]


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
