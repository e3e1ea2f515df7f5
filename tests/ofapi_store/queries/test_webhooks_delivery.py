"""Leases of due deliveries: who gets what, in which order, and what happens to leases of the dead."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, event

from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.queries import events, webhooks
from ofapi_store.queries import webhooks_delivery as deliveries
from ofapi_store.queries.events import DELIVERIES, NewEvent
from ofapi_store.queries.webhooks_breaker import Breaker
from ofapi_store.queries.webhooks_delivery import Leased, Result, Room

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def hook(store: Store) -> str:
    """A webhook with six deliveries, of two accounts in turn."""
    with store.write() as conn:
        team = testing.make_team(conn)
        made = webhooks.create(
            conn, team.id, url="https://e.test/", events=["tips.received"], account_scope="global", now=NOW
        )
        facts = [NewEvent("tips.received", str(n), {"n": n, "price": 1.1}, f"acct_{n % 2}") for n in range(6)]
        events.emit_all(conn, team.id, facts, now=NOW)
    return made.id


def take(store: Store, sender: str, hook: str, room: int, now: datetime = NOW) -> list[Leased]:
    with store.write() as conn:
        return deliveries.lease(conn, sender, {hook: Room(room)}, lease_s=30, now=now)


def settle(store: Store, sender: str, results: list[Result], now: datetime = NOW) -> frozenset[str]:
    with store.write() as conn:
        return deliveries.settle(conn, sender, results, Breaker(), now=now)


def result(delivery: Leased, state: str = "delivered", **values: object) -> Result:
    return replace(Result(delivery, state, NOW, 5), **values)  # type: ignore[arg-type]


def test_a_lane_is_leased_to_one_sender(store: Store, hook: str) -> None:
    """In order of the events; another sender gets nothing of lanes that are held."""
    first = take(store, "a", hook, 1)
    assert [(one.event, one.account_id, one.payload) for one in first] == [
        ("tips.received", "acct_0", '{"n":0,"price":1.1}')
    ]
    second = take(store, "b", hook, 10)
    assert {one.account_id for one in second} == {"acct_1"}
    assert len(second) == 3
    assert len(take(store, "a", hook, 10)) == 2
    assert take(store, "b", hook, 10) == []


def test_only_endpoints_with_work_are_named(store: Store, hook: str) -> None:
    """And those that the sender holds something of."""
    with store.write() as conn:
        (endpoint,) = deliveries.endpoints(conn, [], now=NOW)
        assert (endpoint.id, endpoint.sends, endpoint.probe, endpoint.due) == (hook, True, False, True)
    leased = take(store, "a", hook, 10)
    with store.write() as conn:
        assert deliveries.endpoints(conn, [], now=NOW) == []
        assert [one.due for one in deliveries.endpoints(conn, [hook], now=NOW)] == [False]
    settle(store, "a", [result(leased[0], "pending", next_at=NOW + timedelta(seconds=5))])
    with store.write() as conn:
        assert deliveries.endpoints(conn, [], now=NOW + timedelta(seconds=4)) == []
        assert len(deliveries.endpoints(conn, [], now=NOW + timedelta(seconds=5))) == 1


def test_results_of_a_lost_lease_are_left_out(store: Store, hook: str) -> None:
    """The one who took over writes down how it went."""
    leased = take(store, "a", hook, 1)
    late = NOW + timedelta(seconds=31)
    with store.write() as conn:
        assert deliveries.sweep(conn, now=NOW + timedelta(seconds=29)) == 0
        assert deliveries.sweep(conn, now=late) == 1
    again = take(store, "b", hook, 1, late)
    assert [one.id for one in again] == [leased[0].id]
    settle(store, "a", [result(leased[0], "failed")], late)
    settle(store, "b", [result(again[0])], late)
    with store.read() as conn:
        row = conn.execute(DELIVERIES.select().where(DELIVERIES.c.id == leased[0].id)).one()
    assert (row.state, row.attempts) == ("delivered", 1)


def test_extended_leases_are_not_swept_and_released_ones_are_free(store: Store, hook: str) -> None:
    """A slow endpoint costs nobody its lease."""
    held = take(store, "a", hook, 2)
    late = NOW + timedelta(seconds=29)
    with store.write() as conn:
        deliveries.extend(conn, "a", [one.id for one in held], lease_s=30, now=late)
        assert deliveries.sweep(conn, now=late + timedelta(seconds=29)) == 0
        deliveries.release_all(conn, "a")
    assert len(take(store, "b", hook, 10)) == 6


def test_what_a_sender_does_not_know_that_it_holds_is_freed(store: Store, hook: str) -> None:
    """A lease whose answer was lost by an error of the store; otherwise it would be extended for ever."""
    known, lost = take(store, "a", hook, 2)
    with store.write() as conn:
        deliveries.extend(conn, "a", [known.id], lease_s=30, now=NOW)
    assert lost.id in {one.id for one in take(store, "b", hook, 10)}
    assert take(store, "c", hook, 10) == []


def test_what_is_given_back_of_a_disabled_webhook_ends(store: Store, hook: str) -> None:
    """As what waited has; a late result of it does not wait for another try either."""
    gone, late, queued = take(store, "a", hook, 3)
    settle(store, "a", [result(gone, "gone", status_code=410)])
    settle(store, "a", [result(late, "pending", next_at=NOW, status_code=500)])
    with store.write() as conn:
        deliveries.release(conn, "a", [queued.id], now=NOW)
        assert webhooks.waiting(conn, [hook]) == {}


def test_a_look_reads_no_more_than_the_next_delivery_of_each(store: Store, hook: str) -> None:
    """PostgreSQL could as well hash everything that waits, to find out whether something does."""
    plans: list[str] = []

    def explain(conn: Connection, cursor: object, statement: str, parameters: object, *_: object) -> None:
        raw = conn.connection.cursor()
        head = "EXPLAIN" if store.dialect == "postgresql" else "EXPLAIN QUERY PLAN"
        plans.append("\n".join(str(row[-1]) for row in raw.execute(f"{head} {statement}", parameters)))

    with store.write() as conn:
        event.listen(conn, "before_cursor_execute", explain)
        deliveries.endpoints(conn, [hook], now=NOW)
        event.remove(conn, "before_cursor_execute", explain)
    (plan,) = plans
    assert plan.count("ix_deliveries_fresh") == plan.count("ix_deliveries_retries") == 1
    asked = ("webhook_id = (webhooks.id)", "webhook_id)::text = (webhooks.id)", "webhook_id=?")
    assert sum(plan.count(text) for text in asked) == 2
    assert "hashed" not in plan


def test_a_long_past_costs_nothing(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every query of the loop goes through an index that holds only what is still to do."""
    plans: list[str] = []

    def explain(conn: Connection, cursor: object, statement: str, parameters: tuple[object, ...], *_: object) -> None:
        if statement.startswith(("SELECT", "UPDATE")) and "deliveries" in statement:
            raw = conn.connection.cursor()
            plans.extend(row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}", parameters))

    with sqlite_store.write() as conn:
        team = testing.make_team(conn)
        made = webhooks.create(conn, team.id, url="https://e.test/", events=["tips.received"], account_scope="global")
        events.emit(conn, team.id, "tips.received", "1", {}, now=NOW)
        event.listen(conn, "before_cursor_execute", explain)
        deliveries.endpoints(conn, [made.id], now=NOW)
        leased = deliveries.lease(conn, "a", {made.id: Room(10)}, lease_s=30, now=NOW)
        deliveries.extend(conn, "a", [one.id for one in leased], lease_s=30, now=NOW)
        deliveries.sweep(conn, now=NOW)
        deliveries.settle(conn, "a", [result(leased[0])], Breaker(), now=NOW)
        deliveries.release_all(conn, "a")
        webhooks.waiting(conn, [made.id])
        event.remove(conn, "before_cursor_execute", explain)
    assert len(plans) > 10
    bad = [plan for plan in plans if "deliveries" in plan and ("SCAN" in plan and "USING" not in plan)]
    assert bad == []
    assert any("ix_deliveries_fresh" in plan for plan in plans)
    assert any("ix_deliveries_retries" in plan for plan in plans)
    assert any("ix_deliveries_leased" in plan for plan in plans)
