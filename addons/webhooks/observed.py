"""Events from what was observed, in the transaction that stored it: messages, transactions, ended subscriptions.

Only rows that are new to the store can be news; a fact from before its account was connected is history and gives no
event. Facts from before a webhook was made do not reach that webhook (`ofapi_store.queries.events`). An ended
subscription is told up to 48 hours late, and only once upstream itself no longer calls it active.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from addons.pipeline.document import Document, NotJson
from addons.webhooks import payloads
from ofapi_store.errors import BadValue
from ofapi_store.queries import accounts, events, fans, messages, transactions
from ofapi_store.queries.events import NewEvent
from ofapi_store.types import parse_time

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from addons.pipeline.ingesting import Found
    from addons.pipeline.observe import Sight
    from ofapi_store.queries.ingest import Observed

EXPIRY_CATCH_UP = timedelta(hours=48)
EVENTS_OF: Mapping[str, frozenset[str]] = {
    "messages": frozenset({"messages.received", "messages.sent"}),
    "transactions": frozenset({"transactions.new"}),
    "fans": frozenset({"subscriptions.expired"}),
}


class ObservedEvents:
    """`services.parts["on_observed"]`. `clock`: the services' clock."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock

    def __call__(self, conn: Connection, found: Found, result: Observed) -> None:
        """Writes the events of one body's rows; in the same transaction as the rows."""
        sight = found.sight
        possible = EVENTS_OF.get(found.table)
        if possible is None or not (result.inserted or found.table == "fans"):
            return
        ended = _ended(found) if found.table == "fans" else []
        if found.table == "fans" and not ended:
            return
        now = self._clock()
        wanted = events.wanted(conn, sight.team_id, sight.account_id, now=now) & possible
        account = accounts.by_id(conn, sight.account_id) if wanted else None
        if account is None:
            return
        since = account.created_at.replace(microsecond=0)
        if found.table == "messages":
            new = _messages(conn, found, result.inserted, since, wanted)
        elif found.table == "transactions":
            new = _transactions(conn, sight, result.inserted, since)
        else:
            new = _expired(conn, sight, ended, max(since, now - EXPIRY_CATCH_UP), now)
        events.emit_all(conn, sight.team_id, sorted(new, key=lambda one: one.happened_at or now), now=now)


def _messages(
    conn: Connection, found: Found, inserted: Iterable[Any], since: datetime, wanted: frozenset[str]
) -> list[NewEvent]:
    sight = found.sight
    rows = [
        row
        for row in messages.by_ids(conn, sight.account_id, inserted).values()
        if row.created_at >= since and ("messages.received" if row.from_fan else "messages.sent") in wanted
    ]
    if not rows:
        return []
    known = fans.by_ids(conn, sight.account_id, {row.fan_id for row in rows})
    bodies = _objects(sight, "messages", "message_id")
    new = []
    for row in rows:
        body = bodies.get(row.message_id, {"id": row.message_id})
        seen = body.get("fromUser") if row.from_fan else None
        before = messages.last_reply_before(conn, row)
        parts = payloads.fan_parts(row.fan_id, known.get(row.fan_id), seen=_mapping(seen), previous_reply_at=before)
        event = "messages.received" if row.from_fan else "messages.sent"
        new.append(NewEvent(event, f"message:{row.message_id}", {**body, **parts}, sight.account_id, row.created_at))
    return new


def _transactions(conn: Connection, sight: Sight, inserted: Iterable[Any], since: datetime) -> list[NewEvent]:
    rows = [row for row in transactions.by_ids(conn, sight.account_id, inserted) if row.created_at >= since]
    ids = {row.fan_id for row in rows if row.fan_id is not None}
    known = fans.by_ids(conn, sight.account_id, ids) if ids else {}
    bodies = _objects(sight, "transactions", "transaction_id") if rows else {}
    new = []
    for row in rows:
        fan = known.get(row.fan_id) if row.fan_id is not None else None
        seen = _mapping(bodies.get(row.transaction_id, {}).get("user"))
        parts = (
            payloads.fan_parts(row.fan_id, fan, seen=seen, previous_reply_at=fan.last_reply_at if fan else None)
            if row.fan_id is not None
            else {"fan": None, "fanData": None}
        )
        body = payloads.transaction(row, parts)
        fact = f"transaction:{row.transaction_id}"
        new.append(NewEvent("transactions.new", fact, body, sight.account_id, row.created_at))
    return new


def _ended(found: Found) -> list[int]:
    """Fans whose subscription, by this body, is over."""
    seen_at = datetime.fromtimestamp(found.sight.at, UTC)
    ids = []
    for row in found.rows:
        try:
            over = (
                row.get("is_active") is not True and row.get("expired_at") and parse_time(row["expired_at"]) <= seen_at
            )
            if over and "fan_id" in row:
                ids.append(int(row["fan_id"]))
        except (BadValue, TypeError, ValueError):
            continue
    return ids


def _expired(conn: Connection, sight: Sight, ids: list[int], since: datetime, now: datetime) -> list[NewEvent]:
    new = []
    for fan_id, row in fans.by_ids(conn, sight.account_id, ids).items():
        if row.is_active or row.expired_at is None or not since <= row.expired_at <= now:
            continue
        parts = payloads.fan_parts(fan_id, row, previous_reply_at=row.last_reply_at)
        fact = f"expired:{fan_id}:{row.expired_at:%Y%m%d%H%M%S}"
        body = payloads.expired(row, parts)
        new.append(NewEvent("subscriptions.expired", fact, body, sight.account_id, row.expired_at))
    return new


def _objects(sight: Sight, table: str, key: str) -> dict[Any, dict[str, Any]]:
    """Upstream's own objects of the body, by their id."""
    found: dict[Any, dict[str, Any]] = {}
    try:
        doc = Document(sight.body)
    except NotJson:
        return found
    for observe in sight.rule.observe:
        path = observe.paths.get(key) if observe.table == table else None
        if path is None:
            continue
        for node in observe.each.find(doc.root):
            parent = path.parent(node) if node.kind == "object" else None
            value = parent.value() if parent is not None else None
            if isinstance(value, dict) and path.last in value:
                found[value[path.last]] = value
    return found


def _mapping(value: Any) -> Mapping[str, Any] | None:
    return value if isinstance(value, Mapping) else None
