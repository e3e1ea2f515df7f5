"""Rows of exports in batches, on both databases: every row once, in order, whatever the batch size."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.models.link_revenue import LinkTotal
from ofapi_store.models.smart_links import SmartLink
from ofapi_store.queries import exports_rows, ingest
from ofapi_store.queries import fans as queries
from ofapi_store.queries.accounts import AccountRow
from ofapi_store.queries.exports_rows import LISTINGS, Scope
from ofapi_store.queries.teams import TeamRow

NOW = datetime(2025, 7, 1, tzinfo=UTC)


def scope(account_id: str, start: str = "2025-01-01", end: str = "2026-01-01", **more: Any) -> Scope:
    ends = [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (start, end)]
    return Scope(account_id, "Creator", ends[0], ends[1], NOW, **more)


def put(store: Store, account_id: str, table: str, rows: list[dict[str, Any]]) -> None:
    with store.write() as conn:
        ingest.observe(conn, table, account_id, rows, observed_at=NOW, keep_message_text=True)


def read(store: Store, kind: str, where: Scope, columns: list[str], size: int) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    after = None
    with store.read() as conn:
        while True:
            found = exports_rows.batch(conn, kind, where, columns, after=after, limit=size)
            rows += found.rows
            after = found.after
            if after is None:
                assert len(rows) == exports_rows.count(conn, kind, where)
                return rows


def transactions(count: int) -> list[dict[str, Any]]:
    """Three at each moment."""
    start = datetime(2025, 1, 1, tzinfo=UTC)
    return [
        {"transaction_id": f"t{n:03}", "created_at": start + timedelta(hours=n // 3), "amount": "1.05", "fan_id": 5}
        for n in range(count)
    ]


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_every_row_once_in_order(store: Store, account: AccountRow, size: int) -> None:
    """Rows of one moment are not split or doubled between batches; amounts are exact."""
    put(store, account.id, "transactions", transactions(20))
    put(store, account.id, "fans", [{"fan_id": 5, "username": "five", "is_active": True}])
    columns = ["transaction_id", "amount", "net_amount", "fan_username", "account_id", "account_name"]
    rows = read(store, "transactions", scope(account.id), columns, size)
    assert [row[0] for row in rows] == [f"t{n:03}" for n in range(20)]
    assert rows[0][1:] == (Decimal("1.05"), None, "five", account.id, "Creator")


def test_the_period_ends_before_its_end(store: Store, account: AccountRow) -> None:
    """`start <= t < end`."""
    put(store, account.id, "transactions", transactions(9))
    rows = read(
        store, "transactions", scope(account.id, "2025-01-01T01:00", "2025-01-01T02:00"), ["transaction_id"], 10
    )
    assert [row[0] for row in rows] == ["t003", "t004", "t005"]


def test_messages_newest_first_by_options(store: Store, account: AccountRow) -> None:
    """Chosen chats, newest chats, without mass messages; a message without text is noticed."""
    at = datetime(2025, 2, 1, tzinfo=UTC)
    rows = [
        {
            "message_id": n,
            "fan_id": 10 + n % 3,
            "is_sent_by_me": n % 2 == 0,
            "created_at": at + timedelta(minutes=n),
            "is_from_queue": n == 4,
            "text": f"m{n}",
        }
        for n in range(1, 10)
    ]
    put(store, account.id, "messages", rows)

    def ids(**options: Any) -> list[int]:
        found = read(store, "chat_messages", scope(account.id, options=options), ["message_id"], 2)
        return [row[0] for row in found]

    assert ids() == list(range(9, 0, -1))
    assert ids(skipMassMessages=True) == [9, 8, 7, 6, 5, 3, 2, 1]
    assert ids(chatIds=[11]) == [7, 4, 1]
    assert ids(maxChats=2) == [9, 8, 6, 5, 3, 2]
    with store.read() as conn:
        assert not exports_rows.lacks_text(conn, scope(account.id))
    put(store, account.id, "messages", [{**rows[0], "message_id": 99, "text": None}])
    with store.read() as conn:
        assert exports_rows.lacks_text(conn, scope(account.id))


def test_fans_by_kind(store: Store, account: AccountRow) -> None:
    """Expired is also who expired since last seen; people from chats who never subscribed are no fans.

    Lists of chats show some fans without saying whether they are subscribed: their end, still to come, tells.
    """
    fans = [
        {"fan_id": 1, "is_active": True, "subscribed_at": "2025-03-01", "expired_at": "2025-12-01"},
        {"fan_id": 2, "is_active": True, "subscribed_at": "2025-03-01", "expired_at": "2025-04-01"},
        {"fan_id": 3, "subscribed_at": "2024-03-01", "expired_at": "2024-04-01"},
        {"fan_id": 4, "username": "only-chats"},
        {"fan_id": 5, "is_active": True},
        {"fan_id": 6, "is_active": None, "subscribed_at": "2025-03-01", "expired_at": "2025-12-01"},
        {"fan_id": 7, "is_active": False, "subscribed_at": "2025-03-01", "expired_at": "2025-12-01"},
    ]
    put(store, account.id, "fans", fans)

    def found(kind: str) -> list[tuple[Any, ...]]:
        where = scope(account.id, options={"type": kind})
        return [(row[0], bool(row[1])) for row in read(store, "fans", where, ["fan_id", "is_active"], 1)]

    assert found("all") == [(1, True), (2, False), (5, True), (6, True), (7, False)]
    assert found("active") == [(1, True), (5, True), (6, True)]
    assert found("expired") == [(2, False), (7, False)]
    assert found("latest") == [(1, True), (2, False), (6, True), (7, False)]
    with store.read() as conn:
        rows = queries.by_ids(conn, account.id, range(9))
    assert [n for n in sorted(rows) if queries.is_subscribed(rows[n], NOW)] == [1, 5, 6]


def test_profiles_name_each_person_once(store: Store, account: AccountRow, team: TeamRow) -> None:
    """Over several accounts; by part of the name in any case, wildcards taken as they are."""
    with store.write() as conn:
        second = testing.make_account(conn, team.id)
    put(store, account.id, "fans", [{"fan_id": n, "username": f"Anna_{n}"} for n in (1, 2)])
    put(store, second.id, "fans", [{"fan_id": 2, "username": "Anna_2"}, {"fan_id": 3, "username": "bob"}])
    columns = ["onlyfans_id"]
    first = read(store, "public_profiles", scope(account.id), columns, 1)
    rest = read(store, "public_profiles", scope(second.id, earlier=(account.id,)), columns, 1)
    assert [row[0] for row in first + rest] == [1, 2, 3]
    by_name = scope(account.id, options={"query": "nna_2"})
    assert [row[0] for row in read(store, "public_profiles", by_name, columns, 1)] == [2]


def test_smart_links_with_their_figures(store: Store, account: AccountRow, team: TeamRow) -> None:
    """Totals where there are any, else zero."""
    base = {"team_id": team.id, "account_id": account.id, "link_type": "tracking_link", "state": "active"}
    times = {"created_at": NOW, "updated_at": NOW}
    zeros = dict.fromkeys(("tips_net", "chargebacks", "fans_1", "fans_3"), 0)
    with store.write() as conn:
        for name in ("a", "b"):
            conn.execute(SmartLink.__table__.insert(), {"id": name * 26, "name": name, **base, **times})
        total = {"ref": "a" * 26, "account_id": account.id, "subs": 3, "spenders": 2, "net": 1050, "conversions": 4}
        conn.execute(LinkTotal.__table__.insert(), {**total, **zeros})
    columns = ["name", "subscribers_count", "revenue_net", "clicks_count"]
    rows = read(store, "smart_links", scope(account.id), columns, 1)
    assert rows == [("a", 3, Decimal("10.50"), 0), ("b", 0, Decimal("0.00"), 0)]


@pytest.mark.parametrize("kind", sorted(LISTINGS))
def test_every_column_can_be_read(store: Store, account: AccountRow, kind: str) -> None:
    """Also where there are no rows, and by both databases' rules."""
    assert read(store, kind, scope(account.id), [*LISTINGS[kind].columns, "account_id"], 10) == []
