"""What a client's own look at the notifications tells webhooks. The answer itself goes on untouched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from addons.compute.api import Answer, Call, Handler
from addons.webhooks import notified
from ofapi_store.errors import StoreError
from ofapi_store.queries import accounts, events, sync

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

log = structlog.get_logger(__name__)


async def seen(call: Call) -> Answer:
    """Events of the notifications in upstream's answer, for the webhooks that want any; never an error."""
    rows = notified.numbered(notified.rows_of(call.upstream or b""))
    account, store, now = call.account, call.services.store, call.now()
    if account is None or not rows:
        return Answer()
    try:
        wanted = await store.aread(events.wanted, call.team.id, account.id, now=now)
        if wanted & notified.NOTIFIED:
            looks = call.services.config.webhooks.look_interval_s > 0
            await store.awrite(_tell, call.team.id, account.id, rows, now, named_only=looks)
    except StoreError as e:
        log.warning("notifications not told", account=account.id, error=str(e))
    return Answer()


def _tell(
    conn: Connection, team_id: str, account_id: str, rows: list[dict[str, Any]], now: datetime, *, named_only: bool
) -> None:
    """What a look has seen before is told already; what is from before the account was connected never is."""
    row, cursor = accounts.by_id(conn, account_id), sync.get(conn, account_id, notified.STREAM)
    if row is None:
        return
    last, start = int(cursor.position.get("id", 0)) if cursor else 0, row.created_at.replace(microsecond=0)
    fresh = [one for one in rows if one["id"] > last and notified.since(one, start)]
    if fresh:
        notified.tell(conn, team_id, account_id, fresh, now, named_only=named_only)


HANDLERS: dict[str, Handler] = {"notifications.seen": seen}
