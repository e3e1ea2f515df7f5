"""Webhooks of a team: their settings and their state (contract 7.1)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, text, update

from ofapi_store.ids import new_id
from ofapi_store.queries.events import DELIVERIES, EVENTS, WEBHOOKS
from ofapi_store.types import now_utc

LISTENING = "listening"
# as text: a partial index matches only a condition without parameters
FRESH = text("deliveries.state = 'pending' AND deliveries.attempts = 0")
RETRIES = text("deliveries.state = 'pending' AND deliveries.attempts > 0")
LEASED = text("deliveries.state = 'leased'")
WAITING = (FRESH, RETRIES, LEASED)


@dataclass(frozen=True, slots=True)
class WebhookRow:
    """`secret` is a SecretBox token. `state`: active | paused | disabled."""

    id: str
    team_id: str
    url: str
    events: list[str]
    account_scope: str
    account_ids: list[str]
    secret: str | None
    enabled: bool
    state: str
    state_reason: str | None
    failures: int
    paused_until: datetime | None
    created_at: datetime
    updated_at: datetime

    def __repr__(self) -> str:
        return f"WebhookRow(id={self.id!r}, state={self.state!r})"


_COLUMNS = tuple(WEBHOOKS.c[name] for name in WebhookRow.__slots__)
_SHOWN = select(*_COLUMNS).where(WEBHOOKS.c.state != LISTENING)


def list_for_team(conn: Connection, team_id: str) -> list[WebhookRow]:
    """Oldest first."""
    query = _SHOWN.where(WEBHOOKS.c.team_id == team_id).order_by(WEBHOOKS.c.created_at, WEBHOOKS.c.id)
    return [WebhookRow(*row) for row in conn.execute(query)]


def list_all(conn: Connection) -> list[WebhookRow]:
    """Of all teams: for the operator."""
    query = _SHOWN.order_by(WEBHOOKS.c.created_at, WEBHOOKS.c.id)
    return [WebhookRow(*row) for row in conn.execute(query)]


def for_team(conn: Connection, team_id: str, webhook_id: str) -> WebhookRow | None:
    """None where it is unknown or another team's: callers cannot tell which."""
    row = conn.execute(_SHOWN.where(WEBHOOKS.c.id == webhook_id, WEBHOOKS.c.team_id == team_id)).first()
    return WebhookRow(*row) if row is not None else None


def by_id(conn: Connection, webhook_id: str) -> WebhookRow | None:
    """Whatever its team: for the operator, never for a client's request."""
    row = conn.execute(_SHOWN.where(WEBHOOKS.c.id == webhook_id)).first()
    return WebhookRow(*row) if row is not None else None


def create(
    conn: Connection,
    team_id: str,
    *,
    url: str,
    events: Sequence[str],
    account_scope: str,
    account_ids: Sequence[str] = (),
    secret: str | None = None,
    now: datetime | None = None,
) -> WebhookRow:
    """A new, active webhook. `secret`: encrypted already."""
    at, webhook_id = now or now_utc(), new_id("wh")
    values: dict[str, Any] = {"url": url, "events": list(events), "account_scope": account_scope, "secret": secret}
    values |= {"account_ids": list(account_ids), "enabled": True, "state": "active"}
    conn.execute(insert(WEBHOOKS), {"id": webhook_id, "team_id": team_id, **values, "created_at": at, "updated_at": at})
    made = by_id(conn, webhook_id)
    assert made is not None
    return made


def change(
    conn: Connection,
    team_id: str,
    webhook_id: str,
    *,
    url: str,
    events: Sequence[str],
    account_scope: str,
    account_ids: Sequence[str] = (),
    enabled: bool | None = None,
    now: datetime | None = None,
) -> WebhookRow | None:
    """Replaces the settings; the secret stays. `enabled` True ends a pause and a disabling; None leaves it as it is."""
    at = now or now_utc()
    values: dict[str, Any] = {"url": url, "events": list(events), "account_scope": account_scope}
    values |= {"account_ids": list(account_ids), "updated_at": at}
    if enabled is not None:
        values["enabled"] = enabled
    if enabled:
        values |= {"state": "active", "state_reason": None, "failures": 0, "cooldown": 0, "paused_until": None}
    conn.execute(update(WEBHOOKS).where(*_mine(team_id, webhook_id)).values(**values))
    return for_team(conn, team_id, webhook_id)


def remove(conn: Connection, team_id: str, webhook_id: str) -> bool:
    """Deletes it with its deliveries. False: no such webhook of this team."""
    return bool(conn.execute(delete(WEBHOOKS).where(*_mine(team_id, webhook_id))).rowcount)


def _mine(team_id: str, webhook_id: str) -> tuple[Any, ...]:
    return WEBHOOKS.c.id == webhook_id, WEBHOOKS.c.team_id == team_id, WEBHOOKS.c.state != LISTENING


def waiting(conn: Connection, webhook_ids: Collection[str]) -> dict[str, int]:
    """How many deliveries wait, by webhook; those with none are left out."""
    c = DELIVERIES.c
    found: dict[str, int] = {}
    for state in WAITING:
        query = select(c.webhook_id, func.count()).where(c.webhook_id.in_(sorted(webhook_ids)), state)
        for webhook_id, count in conn.execute(query.group_by(c.webhook_id)):
            found[webhook_id] = found.get(webhook_id, 0) + int(count)
    return found


# --- terminals that follow events -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EventRow:
    id: int
    team_id: str
    account_id: str | None
    event: str
    key: str
    payload: dict[str, Any]
    created_at: datetime


_EVENT_COLUMNS = tuple(EVENTS.c[name] for name in EventRow.__slots__)


def listen(conn: Connection, team_id: str, events: Sequence[str], *, until: datetime, now: datetime) -> str:
    """From now on events are written for a terminal, whether a webhook wants them or not. `until`: see `go_on`."""
    listener = new_id("listen")
    values: dict[str, Any] = {
        "id": listener,
        "team_id": team_id,
        "url": "",
        "events": list(events),
        "account_scope": "global",
    }
    values |= {"account_ids": [], "enabled": True, "state": LISTENING, "paused_until": until}
    conn.execute(insert(WEBHOOKS), {**values, "created_at": now, "updated_at": now})
    return listener


def go_on(conn: Connection, listener: str, *, until: datetime) -> None:
    """The terminal is still there; one that died ends by itself at its `until`."""
    conn.execute(update(WEBHOOKS).where(WEBHOOKS.c.id == listener).values(paused_until=until))


def stop_listening(conn: Connection, listener: str, *, now: datetime) -> None:
    """Ends it, and those that died."""
    c = WEBHOOKS.c
    conn.execute(delete(WEBHOOKS).where(c.state == LISTENING, (c.id == listener) | (c.paused_until < now)))


def newest_event(conn: Connection, team_id: str | None) -> int:
    """The id of the last event written for a team (None: for any); 0 where there is none."""
    query = select(EVENTS.c.id).where(*_of_team(team_id)).order_by(EVENTS.c.id.desc()).limit(1)
    return int(conn.execute(query).scalar() or 0)


def events_after(
    conn: Connection, team_id: str | None, after: int, *, but: Collection[int] = (), limit: int = 200
) -> list[EventRow]:
    """Of a team (None: of all), in the order written, without those of the ids `but`."""
    query = select(*_EVENT_COLUMNS).where(*_of_team(team_id), EVENTS.c.id > after)
    if but:
        query = query.where(EVENTS.c.id.not_in(sorted(but)))
    return [EventRow(*row) for row in conn.execute(query.order_by(EVENTS.c.id).limit(limit))]


def _of_team(team_id: str | None) -> tuple[ColumnElement[bool], ...]:
    return () if team_id is None else (EVENTS.c.team_id == team_id,)
