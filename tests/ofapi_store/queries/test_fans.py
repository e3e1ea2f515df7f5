"""Searching the index of fans, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ofapi_store.engine import Store
from ofapi_store.queries import fans, ingest
from ofapi_store.queries.accounts import AccountRow
from ofapi_store.queries.fans import Wanted

NOW = datetime(2025, 3, 1, tzinfo=UTC)


def shown(days: int) -> str:
    return (NOW + timedelta(days)).isoformat()


PEOPLE: list[dict[str, Any]] = [
    {"fan_id": 9, "total_spent": 0, "tips_spent": 0, "is_active": True, "username": "Anna", "expired_at": shown(9)},
    {"fan_id": 2, "total_spent": 10, "tips_spent": 4, "is_active": True, "name": "hannah", "expired_at": shown(-1)},
    {
        "fan_id": 3,
        "total_spent": 10.01,
        "tips_spent": 0,
        "is_active": None,
        "username": "a_b",
        "expired_at": shown(-90),
    },
    {"fan_id": 4, "total_spent": 20, "tips_spent": 20, "is_active": False, "username": "axb", "expired_at": shown(9)},
    {"fan_id": 5, "is_active": True, "username": "spent nobody knows what"},
    {"fan_id": 6, "total_spent": 0, "subscribed_at": shown(-60)},
]

CASES = [
    (Wanted(0), [6, 9]),
    (Wanted(1000), [2, 6, 9]),
    (Wanted(1000, min_total_spent=1000), [2]),
    (Wanted(1001, min_total_spent=1001), [3]),
    (Wanted(2**62), [2, 3, 4, 6, 9]),
    (Wanted(2**62, min_tips_spent=400), [2, 4]),
    (Wanted(2**62, active=True), [2, 4, 9]),
    (Wanted(2**62, active=False), [2, 3, 4, 6]),
    (Wanted(2**62, text="ANN"), [2, 9]),
    (Wanted(2**62, text="a_b"), [3]),
    (Wanted(2**62, subscribed_by=NOW - timedelta(60)), [6]),
    (Wanted(2**62, subscribed_by=NOW - timedelta(61)), []),
]


@pytest.fixture
def people(store: Store, account: AccountRow) -> str:
    with store.write() as conn:
        ingest.observe(conn, "fans", account.id, PEOPLE, observed_at=NOW)
    return account.id


@pytest.mark.parametrize(("wanted", "found"), CASES, ids=range(len(CASES)))
def test_bounds_are_inclusive_and_filters_combine(store: Store, people: str, wanted: Wanted, found: list[int]) -> None:
    """Fans whose spending nobody knows are not found; one whose state may have changed since is found as both."""
    with store.read() as conn:
        assert fans.matching(conn, people, wanted, now=NOW, limit=10) == found
        assert fans.matching(conn, "acct_other", wanted, now=NOW, limit=10) == []


def test_pages_by_offset(store: Store, people: str) -> None:
    """By id, each once."""
    with store.read() as conn:
        pages = [fans.matching(conn, people, Wanted(2**62), now=NOW, limit=2, offset=n) for n in (0, 2, 4, 2**62)]
    assert pages == [[2, 3], [4, 6], [9], []]
