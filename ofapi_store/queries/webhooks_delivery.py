"""Taking due deliveries, and writing down how they went: the transactions of the delivery loop (contract 7.3).

A webhook's row is locked while its deliveries are taken, and lanes of which another sender holds a delivery are left
alone, so that one lane is never sent from two places at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Connection, Text, bindparam, func, or_, select, type_coerce, update

from ofapi_store.models.webhooks import DeliveryAttempt
from ofapi_store.queries import webhooks_turns as turns
from ofapi_store.queries.events import DELIVERIES, EVENTS, WEBHOOKS
from ofapi_store.queries.webhooks import FRESH, LEASED, RETRIES
from ofapi_store.queries.webhooks_breaker import Breaker, settle_webhooks

ATTEMPTS: Any = DeliveryAttempt.__table__
_D = DELIVERIES.c
_FREE: dict[str, Any] = {"state": "pending", "lease_by": None, "lease_until": None, "is_probe": False}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a sender needs to know of a webhook. `sends`: active, or due for a probe."""

    id: str
    team_id: str
    url: str
    secret: str | None
    updated_at: datetime
    sends: bool
    probe: bool
    due: bool


@dataclass(frozen=True, slots=True)
class Room:
    """How many deliveries of a webhook are wanted. `full`: lanes of which none is.

    `after_fresh`, `after_retry`: the lanes that had the last turn, of new deliveries and of retries. `fresh_first`: new
    ones get the odd one where both wait; which matters where one is wanted.
    """

    count: int
    full: frozenset[str] = frozenset()
    after_fresh: str = ""
    after_retry: str = ""
    fresh_first: bool = False


@dataclass(frozen=True, slots=True)
class Leased:
    """A delivery to be tried. `attempts`: tries before this one. `payload`: JSON text as it was written."""

    id: int
    uuid: str
    webhook_id: str
    lane: str
    attempts: int
    redelivered_from: str | None
    is_probe: bool
    event: str
    account_id: str | None
    key: str
    payload: str


@dataclass(frozen=True, slots=True)
class Result:
    """How one try went. `state`: delivered | pending (again at `next_at`) | failed (for good) | gone (410)."""

    delivery: Leased
    state: str
    at: datetime
    duration_ms: int
    next_at: datetime | None = None
    status_code: int | None = None
    error_type: str | None = None
    error_message: str | None = None
    response: str | None = None


def endpoints(conn: Connection, held: Iterable[str], *, now: datetime) -> list[Endpoint]:
    """The webhooks of `held`, and all that have something due. Costs the same however much waits."""
    w = WEBHOOKS.c
    mine = _D.webhook_id == w.id
    # not EXISTS: PostgreSQL would answer that by a hash of everything that waits
    first = select(_D.id).where(mine, FRESH).order_by(_D.lane, _D.id)
    fresh = first.limit(1).correlate(WEBHOOKS).scalar_subquery()
    retries = select(_D.id).where(mine, RETRIES, _D.next_at <= now).order_by(_D.next_at)
    again = retries.limit(1).correlate(WEBHOOKS).scalar_subquery()
    due = func.coalesce(fresh, again).label("due")
    columns = (w.id, w.team_id, w.url, w.secret, w.updated_at, w.state, w.enabled, w.paused_until)
    sends = w.enabled.is_(True) & or_(w.state == "active", (w.state == "paused") & (w.paused_until <= now))
    keep = set(held)
    rows = conn.execute(select(*columns, due).where(or_(w.id.in_(sorted(keep)), sends)))
    return [_endpoint(row, now) for row in rows if row.due is not None or row.id in keep]


def _endpoint(row: Any, now: datetime) -> Endpoint:
    probe = row.state == "paused" and row.paused_until is not None and row.paused_until <= now
    sends = row.enabled and (row.state == "active" or probe)
    return Endpoint(row.id, row.team_id, row.url, row.secret, row.updated_at, sends, probe, row.due is not None)


def lease(conn: Connection, sender: str, rooms: Mapping[str, Room], *, lease_s: float, now: datetime) -> list[Leased]:
    """Takes due deliveries of each webhook, of its lanes in turn; where both wait, half of them are retries.

    A paused webhook whose cool-down is over gives one delivery, the probe.
    """
    until = now + timedelta(seconds=lease_s)
    taken: list[int] = []
    probes: list[int] = []
    for webhook_id, room in sorted(rooms.items()):
        locked = conn.execute(
            select(WEBHOOKS.c.state, WEBHOOKS.c.enabled, WEBHOOKS.c.paused_until)
            .where(WEBHOOKS.c.id == webhook_id)
            .with_for_update(skip_locked=True)
        ).first()
        if locked is None or not locked.enabled:
            continue
        if locked.state == "active":
            taken += _due(conn, sender, webhook_id, room, now)
        elif locked.state == "paused" and locked.paused_until <= now:
            probes += (found := _due(conn, sender, webhook_id, replace(room, count=1), now))
            if found:
                conn.execute(update(WEBHOOKS).where(WEBHOOKS.c.id == webhook_id).values(paused_until=until))
    held = {"state": "leased", "lease_by": sender, "lease_until": until}
    for ids, is_probe in ((taken, False), (probes, True)):
        if ids:
            conn.execute(update(DELIVERIES).where(_D.id.in_(ids)).values(is_probe=is_probe, **held))
    return _read(conn, [*taken, *probes])


def _due(conn: Connection, sender: str, webhook_id: str, room: Room, now: datetime) -> list[int]:
    others = select(_D.lane).where(_D.webhook_id == webhook_id, LEASED, _D.lease_by != sender).distinct()
    skip = room.full.union(conn.execute(others).scalars())
    again = turns.retries(conn, webhook_id, after=room.after_retry, skip=skip, limit=room.count, now=now)
    least = (room.count + room.fresh_first) // 2 if again else room.count
    new = turns.fresh(conn, webhook_id, after=room.after_fresh, skip=skip, limit=max(least, room.count - len(again)))
    return again[: room.count - len(new)] + new


def _read(conn: Connection, ids: Sequence[int]) -> list[Leased]:
    if not ids:
        return []
    e = EVENTS.c
    columns = (_D.id, _D.uuid, _D.webhook_id, _D.lane, _D.attempts, _D.redelivered_from, _D.is_probe)
    query = (
        select(*columns, e.event, e.account_id, e.key, type_coerce(e.payload, Text))
        .join_from(DELIVERIES, EVENTS, e.id == _D.event_id)
        .where(_D.id.in_(ids))
    )
    rows = {row.id: Leased(*row) for row in conn.execute(query)}
    return [rows[i] for i in ids if i in rows]


def extend(conn: Connection, sender: str, held: Collection[int], *, lease_s: float, now: datetime) -> None:
    """Holds `held` for longer. What this sender leased and does not know of, after an error of the store, becomes free."""
    leased = set(conn.execute(select(_D.id).where(LEASED, _D.lease_by == sender)).scalars())
    release(conn, sender, sorted(leased.difference(held)), now=now)
    if leased:
        until = now + timedelta(seconds=lease_s)
        conn.execute(update(DELIVERIES).where(LEASED, _D.lease_by == sender).values(lease_until=until))


def release(conn: Connection, sender: str, ids: Sequence[int], *, now: datetime) -> None:
    """Gives back, untried. What belongs to a webhook that was disabled meanwhile ends, as its other deliveries have."""
    if ids:
        conn.execute(update(DELIVERIES).where(_D.id.in_(ids), _D.lease_by == sender, LEASED).values(**_FREE))
        disabled = select(WEBHOOKS.c.id).where(WEBHOOKS.c.state == "disabled")
        ended = update(DELIVERIES).where(_D.id.in_(ids), _D.state == "pending", _D.webhook_id.in_(disabled))
        conn.execute(ended.values(state="cancelled", finished_at=now))


def release_all(conn: Connection, sender: str) -> None:
    """Gives back everything: the sender ends."""
    conn.execute(update(DELIVERIES).where(LEASED, _D.lease_by == sender).values(**_FREE))


def sweep(conn: Connection, *, now: datetime) -> int:
    """Takes back what senders held that died; returns how many deliveries."""
    return conn.execute(update(DELIVERIES).where(LEASED, _D.lease_until < now).values(**_FREE)).rowcount


def settle(
    conn: Connection, sender: str, results: Sequence[Result], breaker: Breaker, *, now: datetime
) -> frozenset[str]:
    """Writes down tries, moves their deliveries on, bills, pauses and disables. Returns the webhooks that stopped sending.

    Results of deliveries that this sender no longer holds are left out: another one tries them again.
    """
    ids = sorted(result.delivery.id for result in results)
    query = select(_D.id).where(_D.id.in_(ids), LEASED, _D.lease_by == sender).order_by(_D.id).with_for_update()
    held = set(conn.execute(query).scalars())
    mine = [result for result in results if result.delivery.id in held]
    if not mine:
        return frozenset()
    conn.execute(ATTEMPTS.insert(), [_attempt(result) for result in mine])
    done = [result.delivery.id for result in mine if result.state == "delivered"]
    if done:
        conn.execute(_delivered(), {"ids": done, "at": now})
    again = [_moved(result) for result in mine if result.state != "delivered"]
    if again:
        conn.execute(_failed(), again)
    return settle_webhooks(conn, mine, breaker, now=now)


def _attempt(result: Result) -> dict[str, Any]:
    return {
        "delivery_id": result.delivery.id,
        "webhook_id": result.delivery.webhook_id,
        "attempt": result.delivery.attempts + 1,
        "succeeded": result.state == "delivered",
        "status_code": result.status_code,
        "error_type": result.error_type,
        "error_message": result.error_message,
        "response": result.response,
        "duration_ms": result.duration_ms,
        "created_at": result.at,
    }


def _moved(result: Result) -> dict[str, Any]:
    again = result.state == "pending"
    return {
        "delivery": result.delivery.id,
        "new_state": "pending" if again else "failed",
        "again_at": result.next_at or result.at,
        "ended_at": None if again else result.at,
    }


@cache
def _delivered() -> Any:
    return (
        update(DELIVERIES)
        .where(_D.id.in_(bindparam("ids", expanding=True)))
        .values(
            state="delivered",
            attempts=_D.attempts + 1,
            finished_at=bindparam("at"),
            lease_by=None,
            lease_until=None,
        )
    )


@cache
def _failed() -> Any:
    return (
        update(DELIVERIES)
        .where(_D.id == bindparam("delivery"))
        .values(
            state=bindparam("new_state"),
            attempts=_D.attempts + 1,
            next_at=bindparam("again_at"),
            finished_at=bindparam("ended_at"),
            lease_by=None,
            lease_until=None,
            is_probe=False,
        )
    )
