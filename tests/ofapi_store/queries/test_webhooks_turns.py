"""Turns of the lanes of a webhook: who is next, and what finding that out costs."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, event, select, text

from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.queries import events, webhooks
from ofapi_store.queries import webhooks_delivery as deliveries
from ofapi_store.queries import webhooks_turns as turns
from ofapi_store.queries.events import DELIVERIES, EVENTS
from ofapi_store.queries.webhooks_delivery import Room

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def hook(store: Store) -> str:
    """A webhook, and an event that it wanted."""
    with store.write() as conn:
        team = testing.make_team(conn)
        made = webhooks.create(
            conn, team.id, url="https://e.test/", events=["tips.received"], account_scope="global", now=NOW
        )
        events.emit(conn, team.id, "tips.received", "1", {}, now=NOW)
        conn.execute(DELIVERIES.delete())
    return made.id


def wait(store: Store, hook: str, lanes: Iterable[str], *, attempts: int = 0, due_s: float = 0) -> None:
    """One delivery for each lane named, in that order."""
    with store.write() as conn:
        event_id = conn.execute(select(EVENTS.c.id)).scalar_one()
        values = {"webhook_id": hook, "event_id": event_id, "state": "pending", "attempts": attempts}
        values |= {"next_at": NOW + timedelta(seconds=due_s), "created_at": NOW}
        rows = [{**values, "uuid": str(uuid.uuid4()), "lane": f"{hook}:{lane}"} for lane in lanes]
        conn.execute(DELIVERIES.insert(), rows)


def named(conn: Connection, ids: list[int]) -> str:
    """The lanes of deliveries, one letter each."""
    lanes = {row.id: row.lane for row in conn.execute(select(DELIVERIES.c.id, DELIVERIES.c.lane))}
    return "".join(lanes[number].rsplit(":")[-1] for number in ids)


def fresh(store: Store, hook: str, limit: int, *, after: str = "", skip: str = "") -> str:
    with store.read() as conn:
        lanes = {f"{hook}:{lane}" for lane in skip}
        found = turns.fresh(conn, hook, after=f"{hook}:{after}" if after else "", skip=lanes, limit=limit)
        return named(conn, found)


def test_lanes_give_one_row_each_in_turn(store: Store, hook: str) -> None:
    """However much waits in one of them, and since whenever."""
    wait(store, hook, "aaaaaaaabbc")
    assert fresh(store, hook, 20) == "abcabaaaaaa"
    assert fresh(store, hook, 4) == "abca"
    assert fresh(store, hook, 0) == ""


def test_the_ring_begins_after_the_last_turn(store: Store, hook: str) -> None:
    """So that with more lanes than are leased at once none is left out for ever."""
    wait(store, hook, "abcdeabcde")
    assert fresh(store, hook, 3, after="b") == "cde"
    assert fresh(store, hook, 3, after="d") == "eab"
    assert fresh(store, hook, 7, after="d") == "eabcdea"
    assert fresh(store, hook, 3, after="z") == "abc"


def test_skipped_lanes_do_not_count(store: Store, hook: str) -> None:
    """They may be many; the next ones are found."""
    wait(store, hook, "aaabbbcccd")
    assert fresh(store, hook, 3, skip="abc") == "d"
    assert fresh(store, hook, 3, skip="bd") == "aca"
    assert fresh(store, hook, 3, skip="abcd") == ""


def test_rows_of_a_lane_come_in_order(store: Store, hook: str) -> None:
    """New ones by id, whatever their time; retries by the time at which they are due, and none before it."""
    wait(store, hook, "ab", due_s=5)
    wait(store, hook, "ab", due_s=-5)
    for due_s in (-1, -3, -3, 1):
        wait(store, hook, "ab", attempts=1, due_s=due_s)
    with store.read() as conn:
        first = turns.fresh(conn, hook, after="", skip=(), limit=9)
        again = turns.retries(conn, hook, after="", skip=(), limit=9, now=NOW)
        at = {row.id: (row.next_at - NOW).total_seconds() for row in conn.execute(select(DELIVERIES))}
        assert first == sorted(at)[:4]
        assert named(conn, again) == "ababab"
    assert [at[number] for number in again] == [-3, -3, -3, -3, -1, -1]
    assert again[0] < again[2]


def test_retries_of_one_account_do_not_keep_back_new_ones_of_another(store: Store, hook: str) -> None:
    """Half of a lease is for each kind where both wait; what one does not need the other gets; one alone alternates."""
    wait(store, hook, "a" * 50, attempts=1)
    wait(store, hook, "bbb")

    def lease(count: int, **turn: bool) -> str:
        with store.write() as conn:
            taken = deliveries.lease(conn, "one", {hook: Room(count, **turn)}, lease_s=30, now=NOW)
            deliveries.release_all(conn, "one")
        return "".join(one.lane[-1] for one in taken)

    assert lease(4) == "aabb"
    assert lease(10) == "aaaaaaabbb"
    assert (lease(1), lease(1, fresh_first=True), lease(3, fresh_first=True)) == ("a", "b", "abb")


def test_every_step_is_a_probe_of_the_index(store: Store, hook: str) -> None:
    """Nothing is sorted or scanned, neither by the databases' own statistics nor without any."""
    wait(store, hook, "abcde" * 400)
    wait(store, hook, "abcde" * 400, attempts=1)
    plans: list[str] = []

    def explain(conn: Connection, cursor: object, statement: str, parameters: object, *_: object) -> None:
        raw = conn.connection.cursor()
        head = "EXPLAIN ANALYZE" if store.dialect == "postgresql" else "EXPLAIN QUERY PLAN"
        plans.append("\n".join(str(row[-1]) for row in raw.execute(f"{head} {statement}", parameters)))

    for analyzed in (False, True):
        with store.write() as conn:
            if analyzed:
                conn.execute(text("ANALYZE"))
            event.listen(conn, "before_cursor_execute", explain)
            turns.fresh(conn, hook, after="", skip=["x"], limit=50)
            turns.retries(conn, hook, after="", skip=["x"], limit=50, now=NOW)
            event.remove(conn, "before_cursor_execute", explain)
    ours = {0: "ix_deliveries_fresh_turns", 1: "ix_deliveries_retry_turns"}
    for n, plan in enumerate(plans):
        reads = [
            line for line in plan.split("\n") if ("deliveries" in line and "ix_" in line) or "on deliveries" in line
        ]
        assert len(reads) == 3 + n % 2, plan
        assert all(ours[n % 2] in line for line in reads), plan
        assert "Sort" not in plan
        assert "TEMP B-TREE" not in plan
    assert len(plans) == 4
