"""Sync cursors and the pages that syncs and exports walk."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ofapi_store.engine import Store
from ofapi_store.queries import fans, ingest, messages, sync, transactions
from ofapi_store.queries.accounts import AccountRow

NOW = datetime(2025, 1, 1, tzinfo=UTC)


def test_cursor_is_kept_with_its_page(store: Store, account: AccountRow) -> None:
    """A position stands until the next one; the time of completion stays while a new walk is under way."""
    with store.write() as conn:
        assert sync.get(conn, account.id, "fans") is None
        sync.save(conn, account.id, "fans", {"offset": 20}, now=NOW)
        sync.save(conn, account.id, "fans", {"offset": 40}, completed=True, now=NOW + timedelta(1))
        sync.save(conn, account.id, "fans", {"offset": 0}, now=NOW + timedelta(2))
        sync.save(conn, account.id, "chats", {}, now=NOW)
        found = sync.get(conn, account.id, "fans")
        assert found == sync.Cursor("fans", {"offset": 0}, NOW + timedelta(1), NOW + timedelta(2))
        assert [cursor.stream for cursor in sync.list_for_account(conn, account.id)] == ["chats", "fans"]
        sync.reset(conn, account.id, "fans")
        assert sync.get(conn, account.id, "fans") is None
        sync.reset(conn, account.id)
        assert sync.list_for_account(conn, account.id) == []


def test_pages_visit_every_row_once(store: Store, account: AccountRow) -> None:
    """Paged by key, also where many rows have the same time."""
    times = [(NOW + timedelta(hours=n // 3)).isoformat() for n in range(10)]
    people = [{"fan_id": n + 1, "is_active": n % 2 == 0, "total_spent": n} for n in range(10)]
    sent = [{"message_id": n, "fan_id": 1, "from_fan": True, "created_at": times[n]} for n in range(10)]
    paid = [{"transaction_id": f"t{n}", "fan_id": n % 2, "amount": n, "created_at": times[n]} for n in range(10)]
    back = [{"chargeback_id": f"t{n}", "amount": n, "created_at": times[n]} for n in range(10)]
    with store.write() as conn:
        for table, rows in (("fans", people), ("messages", sent), ("transactions", paid), ("chargebacks", back)):
            ingest.observe(conn, table, account.id, rows, observed_at=NOW)
    with store.read() as conn:
        assert fans.count(conn, account.id) == 10
        assert len(transactions.of_fans(conn, account.id, [1])) == 5

        walked: list[int] = []
        after = None
        while rows := messages.page(conn, account.id, after=after, limit=4):
            walked += [row.message_id for row in rows]
            after = (rows[-1].created_at, rows[-1].message_id)
        assert walked == list(range(10))
        start, end = NOW + timedelta(hours=1), NOW + timedelta(hours=2)
        assert [row.message_id for row in messages.page(conn, account.id, start=start, end=end)] == [3, 4, 5]

        page = transactions.page(conn, account.id, limit=4)
        later = transactions.page(conn, account.id, after=(page[-1].created_at, page[-1].transaction_id))
        assert [row.transaction_id for row in page + later] == [f"t{n}" for n in range(10)]
        assert len(transactions.page(conn, account.id, start=start, end=end)) == 3
        held = transactions.chargebacks_page(conn, account.id, limit=4)
        more = transactions.chargebacks_page(conn, account.id, after=(held[-1].created_at, held[-1].chargeback_id))
        assert [row.chargeback_id for row in held + more] == [f"t{n}" for n in range(10)]
        assert len(transactions.chargebacks_page(conn, account.id, start=start, end=end)) == 3
