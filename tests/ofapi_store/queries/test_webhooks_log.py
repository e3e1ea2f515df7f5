"""The log of tries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.queries import events, webhooks, webhooks_log
from ofapi_store.queries import webhooks_delivery as deliveries
from ofapi_store.queries.webhooks_breaker import Breaker
from ofapi_store.queries.webhooks_delivery import Result

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def hook(store: Store) -> str:
    """Four deliveries, tried a minute apart: two succeeded, two failed."""
    with store.write() as conn:
        team = testing.make_team(conn)
        made = webhooks.create(
            conn, team.id, url="https://e.test/", events=["tips.received"], account_scope="global", now=NOW
        )
        for n in range(4):
            events.emit(conn, team.id, "tips.received", str(n), {"n": n}, account_id=f"acct_{n % 2}", now=NOW)
        leased = deliveries.lease(conn, "a", {made.id: deliveries.Room(10)}, lease_s=30, now=NOW)
        results = [
            Result(one, "delivered" if n < 2 else "failed", NOW + timedelta(minutes=n), 5)
            for n, one in enumerate(leased)
        ]
        deliveries.settle(conn, "a", results, Breaker(), now=NOW)
    return made.id


def numbers(store: Store, hook: str, **filters: object) -> list[int]:
    with store.read() as conn:
        return [row.payload["n"] for row in webhooks_log.attempts(conn, hook, **filters)]  # type: ignore[arg-type]


def test_tries_are_listed_newest_first_and_filtered(store: Store, hook: str) -> None:
    """By time, outcome, account and page."""
    assert numbers(store, hook) == [3, 2, 1, 0]
    assert numbers(store, hook, succeeded=True) == [1, 0]
    assert numbers(store, hook, start=NOW + timedelta(minutes=1), end=NOW + timedelta(minutes=3)) == [2, 1]
    assert numbers(store, hook, account_ids=["acct_1"]) == [3, 1]
    assert numbers(store, hook, account_ids=[]) == []
    assert numbers(store, hook, limit=2, offset=1) == [2, 1]
    assert numbers(store, hook, event="posts.liked") == []


@pytest.mark.parametrize("name", ["", "x", "0", "9" * 18, "9" * 40, "-1", "²"])
def test_names_of_no_delivery_find_nothing(store: Store, hook: str, name: str) -> None:
    """Whatever a client writes into the path."""
    with store.read() as conn:
        assert webhooks_log.find(conn, hook, name) is None


def test_a_delivery_is_found_in_its_webhook_only(store: Store, hook: str) -> None:
    """By its uuid and by the id of a try."""
    with store.read() as conn:
        row = webhooks_log.attempts(conn, hook)[0]
        by_uuid, by_id = (webhooks_log.find(conn, hook, n) for n in (row.delivery_uuid, str(row.id)))
        assert by_uuid == by_id is not None
        assert webhooks_log.find(conn, "wh_other", row.delivery_uuid) is None
