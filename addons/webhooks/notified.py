"""Events from upstream's notifications: tips, bought messages, subscriptions, likes (contract 7.4).

Upstream names each fact once, by the notification's id; whoever sees it first, a look or a client's own request, tells it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from addons.webhooks import payloads
from ofapi_store.errors import BadValue
from ofapi_store.queries import events, fans
from ofapi_store.queries.events import NewEvent
from ofapi_store.types import parse_time

if TYPE_CHECKING:
    from sqlalchemy import Connection

STREAM = "notifications"  # the cursor of looks: the newest id that was told
NOTIFIED = frozenset(
    {"tips.received", "messages.ppv.unlocked", "subscriptions.new", "subscriptions.renewed", "posts.liked"}
)


def tell(
    conn: Connection,
    team_id: str,
    account_id: str,
    found: Iterable[Mapping[str, Any]],
    now: datetime,
    *,
    named_only: bool = False,
) -> int:
    """Writes the events of notifications, oldest first; gives how many are new.

    `named_only`: leaves out those whose fan nobody can name yet, because upstream was asked to strip users.
    """
    rows = [row for row in found if payloads.event_of(row) is not None]
    ids = {number for row in rows if (number := _fan_id(row)) is not None}
    known = fans.by_ids(conn, account_id, ids) if ids else {}
    new = []
    for row in sorted(rows, key=lambda one: int(one["id"])):
        event, fan_id, user = payloads.event_of(row), _fan_id(row), member(row, "user")
        fan = known.get(fan_id) if fan_id is not None else None
        if event is None or (
            named_only and fan_id is not None and not (user.get("username") or (fan and fan.username))
        ):
            continue
        parts: Mapping[str, Any] = {"fan": None, "fanData": None}
        if fan_id is not None:
            replied = fan.last_reply_at if fan is not None else None
            parts = payloads.fan_parts(fan_id, fan, seen=user, previous_reply_at=replied)
        body = payloads.notification(event, row, parts)
        new.append(NewEvent(event, f"notification:{row['id']}", body, account_id, time_of(row.get("createdAt"))))
    return events.emit_all(conn, team_id, new, now=now)


def rows_of(body: bytes) -> list[dict[str, Any]]:
    """The objects of a list that upstream sends bare or in `list`; none where it is something else."""
    try:
        data = json.loads(body, parse_float=Decimal)
    except (ValueError, RecursionError):
        return []
    rows = data.get("list") if isinstance(data, dict) else data
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def numbered(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those with a number as `id`, without which a notification is no fact."""
    return [row for row in rows if isinstance(row.get("id"), int) and not isinstance(row["id"], bool)]


def member(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object at `name`; an empty one where there is none."""
    value = row.get(name)
    return value if isinstance(value, dict) else {}


def since(row: Mapping[str, Any], start: datetime) -> bool:
    """Whether a row is not from before `start`; one without a readable time is not."""
    return (time_of(row.get("createdAt")) or start) >= start


def time_of(value: Any) -> datetime | None:
    try:
        return parse_time(value).astimezone(UTC) if value is not None else None
    except BadValue:
        return None


def _fan_id(row: Mapping[str, Any]) -> int | None:
    number = member(row, "user").get("id")
    return number if isinstance(number, int) else None
