"""Fans by name and what is known about one, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ofapi_store.engine import Store
from ofapi_store.queries import ingest, people
from ofapi_store.queries.accounts import AccountRow

NOW = datetime(2025, 3, 1, tzinfo=UTC)


def put(store: Store, account: AccountRow, table: str, *rows: dict[str, object]) -> None:
    with store.write() as conn:
        ingest.observe(conn, table, account.id, rows, observed_at=NOW)


@pytest.mark.parametrize(("text", "found"), [("ann", [5, 7]), ("ANNA", [5]), ("%", []), ("_", [6]), ("", [5, 6, 7])])
def test_search_takes_text_as_it_is(store: Store, account: AccountRow, text: str, found: list[int]) -> None:
    """Any case; `%` and `_` are plain characters; no text finds everybody with a name."""
    names = {5: "anna", 6: "bert_1", 7: "johann"}
    put(store, account, "fans", *({"fan_id": n, "username": name} for n, name in names.items()), {"fan_id": 8})
    with store.read() as conn:
        assert [row.fan_id for row in people.search(conn, [account.id], text, after=0, limit=10)] == found
        assert [row.fan_id for row in people.search(conn, [account.id], text, after=5, limit=1)] == [
            n for n in found if n > 5
        ][:1]


def test_named(store: Store, account: AccountRow) -> None:
    """By the whole username, in any case, within the given accounts."""
    put(store, account, "fans", {"fan_id": 5, "username": "Anna"})
    with store.read() as conn:
        assert people.named(conn, [account.id], "aNNA") is not None
        assert people.named(conn, [account.id], "ann") is None
        assert people.named(conn, [], "anna") is None


def test_purchases_leave_out_what_was_undone(store: Store, account: AccountRow) -> None:
    """Count, first and last of the payments that stayed."""
    days = {"a": (1, "done"), "b": (5, None), "c": (9, "undo")}
    rows = (
        {
            "transaction_id": name,
            "created_at": f"2025-01-{day:02}T00:00:00+00:00",
            "amount": "1",
            "fan_id": 5,
            "status": status,
        }
        for name, (day, status) in days.items()
    )
    put(store, account, "transactions", *rows)
    with store.read() as conn:
        found = people.purchases(conn, account.id, 5)
        assert (found.count, found.first, found.last) == (
            2,
            datetime(2025, 1, 1, tzinfo=UTC),
            datetime(2025, 1, 5, tzinfo=UTC),
        )
        assert people.purchases(conn, account.id, 6) == people.Purchases(0, None, None)
        assert people.message_count(conn, account.id, 5) == 0
