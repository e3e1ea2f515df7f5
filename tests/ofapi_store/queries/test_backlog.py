"""What waits for workers, in figures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ofapi_store import outbox, testing
from ofapi_store.engine import Store
from ofapi_store.queries import backlog, events, webhooks
from ofapi_store.queries import webhooks_delivery as deliveries

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_an_empty_store_waits_for_nothing(store: Store) -> None:
    """Nothing is due, nobody waits."""
    with store.read() as conn:
        found = backlog.count(conn, now=NOW)
    assert (found.jobs, found.failed, found.late_s, found.webhooks) == ({}, {}, 0.0, {})
    assert found.deliveries == {"new": 0, "retry": 0, "leased": 0}


def test_what_is_to_be_done_is_counted(store: Store) -> None:
    """Live jobs by kind and state, recent failures, how late the first one is, deliveries and webhooks by state."""
    with store.write() as conn:
        for n in range(3):
            outbox.enqueue(conn, "a", {"n": n}, now=NOW - timedelta(seconds=90))
        (running, failing) = outbox.lease_due(conn, "w", limit=2, lease_s=60, now=NOW)
        outbox.fail(conn, failing.id, "w", error="x", now=NOW)
        old = outbox.enqueue(conn, "old", {}, now=NOW - timedelta(days=2)).id
        outbox.cancel(conn, old, now=NOW - timedelta(days=1))
        team = testing.make_team(conn)
        hook = webhooks.create(
            conn, team.id, url="https://e.test/", events=["tips.received"], account_scope="global", now=NOW
        )
        webhooks.listen(conn, team.id, ["tips.received"], until=NOW + timedelta(minutes=1), now=NOW)
        for n in range(3):
            events.emit(conn, team.id, "tips.received", str(n), {"n": n}, account_id=f"acct_{n}", now=NOW)
        deliveries.lease(conn, "a", {hook.id: deliveries.Room(1)}, lease_s=30, now=NOW)
        found = backlog.count(conn, now=NOW)
    assert running.state == "running"
    assert found.jobs == {("a", "pending"): 1, ("a", "running"): 1}
    assert (found.failed, found.late_s) == ({"a": 1}, 90.0)
    assert found.deliveries == {"new": 2, "retry": 0, "leased": 1}
    assert found.webhooks == {"active": 1}
