"""Sums over transactions, on both databases."""

from __future__ import annotations

from datetime import UTC, date, datetime

from ofapi_store.engine import Store
from ofapi_store.queries import analytics, ingest
from ofapi_store.queries.accounts import AccountRow

START, END = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 1, 31, 23, 59, 59, tzinfo=UTC)


def put(store: Store, account: AccountRow, table: str, *rows: dict[str, object]) -> None:
    with store.write() as conn:
        ingest.observe(conn, table, account.id, rows, observed_at=END)


def test_sums_by_day_type_and_outcome(store: Store, account: AccountRow) -> None:
    """One row per UTC day, type and outcome; both ends of the period are in."""
    at = {"first": "2025-01-01T00:00:00+00:00", "late": "2025-01-01T23:59:59+00:00", "out": "2025-02-01T00:00:00+00:00"}
    common = {"net": "8", "fee": "2", "type": "tips", "status": "done"}
    rows = [{"transaction_id": name, "created_at": time, "amount": "10", **common} for name, time in at.items()]
    gone = {**rows[0], "transaction_id": "gone", "status": "undo"}
    put(store, account, "transactions", *rows, gone)
    with store.read() as conn:
        kept, undone = sorted(analytics.daily(conn, [account.id], START, END), key=lambda s: s.refunded)
    assert (kept.day, kept.type, kept.count, kept.gross, kept.net, kept.fees) == (
        date(2025, 1, 1),
        "tips",
        2,
        2000,
        1600,
        400,
    )
    assert (undone.refunded, undone.count, undone.net) == (True, 1, 800)


def test_counts(store: Store, account: AccountRow) -> None:
    """Chargebacks of the period, and the messages that the creator sent in it."""
    put(store, account, "chargebacks", {"chargeback_id": "c", "created_at": "2025-01-05T00:00:00+00:00"})
    message = {"fan_id": 5, "created_at": "2025-01-05T00:00:00+00:00"}
    mine, theirs = ({"message_id": n, "is_sent_by_me": n == 1, **message} for n in (1, 2))
    put(store, account, "messages", mine, theirs)
    with store.read() as conn:
        assert analytics.disputed(conn, [account.id], START, END) == 1
        assert analytics.messages(conn, [account.id], START, END) == 1
        assert analytics.messages(conn, ["acct_other"], START, END) == 0
