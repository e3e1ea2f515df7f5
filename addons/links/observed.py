"""What follows for links from rows that were just stored: marks, in the transaction that stored them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ofapi_store import outbox
from ofapi_store.coerce import to_int
from ofapi_store.errors import BadValue
from ofapi_store.queries import link_dirty, transactions

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from addons.pipeline.ingesting import Found
    from ofapi_store.queries.ingest import Observed

JOB = "links.revenue"
_MONEY = ("transactions", "chargebacks", "tracking_link_claims", "trial_link_claims")
_LINKS = {"tracking_links": "tracking", "trial_links": "trial"}


class LinkMarks:
    """`on_observed` of links. `delay_s`: how long a change waits for others before its fans are worked out."""

    def __init__(self, clock: Callable[[], datetime], delay_s: float) -> None:
        self._clock = clock
        self._delay = timedelta(seconds=delay_s)

    def __call__(self, conn: Connection, found: Found, result: Observed) -> None:
        account = found.sight.account_id
        due = False
        if found.table in _MONEY:
            due = bool(link_dirty.mark(conn, account, _payers(conn, found, result)))
        elif found.table == "messages" and result.inserted:
            due = bool(link_dirty.mark_smart(conn, account, _senders(found.rows)))
        elif found.table == "fans" and any("subscribed_at" in row for row in found.rows):
            due = bool(link_dirty.mark_returning(conn, account, _numbers(found.rows, "fan_id")))
        elif found.table in _LINKS:
            at = datetime.fromtimestamp(found.sight.at, UTC)
            link_dirty.note_clicks(conn, account, _LINKS[found.table], _numbers(found.rows, "link_id"), at)
            due = link_dirty.not_calculated(conn, account)
        if due:
            enqueue(conn, account, at=self._clock() + self._delay, now=self._clock())


def enqueue(conn: Connection, account_id: str, *, at: datetime, now: datetime) -> None:
    """The account's marked fans are worked out `at`; one such job per account is live at a time."""
    outbox.enqueue(conn, JOB, {"account": account_id}, key=account_id, at=at, rerun=True, now=now)


def _payers(conn: Connection, found: Found, result: Observed) -> set[int]:
    """Of a chargeback that does not say whose payment it was (the account is gone), the payment knows."""
    if found.table != "chargebacks":
        return result.payers
    nameless = {str(row["transaction_id"]) for row in found.rows if row.get("transaction_id") and not row.get("fan_id")}
    return result.payers | transactions.payers(conn, found.sight.account_id, nameless)


def _numbers(rows: list[dict[str, Any]], column: str) -> set[int]:
    found = set()
    for row in rows:
        try:
            found.add(to_int(row[column]))
        except (KeyError, BadValue):
            continue
    return found


def _senders(rows: list[dict[str, Any]]) -> set[int]:
    return _numbers(rows, "from_user_id") | _numbers(rows, "fan_id")
