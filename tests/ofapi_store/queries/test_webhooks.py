"""Webhooks of a team and terminals that listen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.queries import events, webhooks

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOOK: dict[str, Any] = {"url": "https://example.com/", "events": ["tips.received"], "account_scope": "global"}


def test_a_webhook_belongs_to_its_team(store: Store) -> None:
    """Another team can neither read, change nor delete it."""
    with store.write() as conn:
        mine, other = testing.make_team(conn), testing.make_team(conn)
        made = webhooks.create(conn, mine.id, **HOOK, secret="token", now=NOW)
        assert webhooks.for_team(conn, mine.id, made.id) == made
        assert webhooks.for_team(conn, other.id, made.id) is None
        assert webhooks.change(conn, other.id, made.id, **HOOK) is None
        assert not webhooks.remove(conn, other.id, made.id)
        assert [row.id for row in webhooks.list_all(conn)] == [made.id]
        assert webhooks.remove(conn, mine.id, made.id)
        assert webhooks.by_id(conn, made.id) is None
        assert "token" not in repr(made)


def test_a_change_keeps_the_secret_and_moves_the_time(store: Store) -> None:
    """Senders see by `updated_at` that they must read it again."""
    with store.write() as conn:
        team = testing.make_team(conn)
        made = webhooks.create(conn, team.id, **HOOK, secret="token", now=NOW)
        later = NOW + timedelta(seconds=1)
        changed = webhooks.change(
            conn, team.id, made.id, **{**HOOK, "url": "https://e.test/"}, enabled=False, now=later
        )
        assert changed is not None
        assert (changed.url, changed.secret, changed.enabled, changed.updated_at) == (
            "https://e.test/",
            "token",
            False,
            later,
        )
        same = webhooks.change(conn, team.id, made.id, **HOOK)
        assert same is not None
        assert same.enabled is False


def test_a_terminal_hears_events_that_no_webhook_wants(store: Store) -> None:
    """Until its time is over; it is in no list and gets no deliveries."""
    with store.write() as conn:
        team = testing.make_team(conn)
        before = webhooks.newest_event(conn, team.id)
        listener = webhooks.listen(conn, team.id, ["tips.received"], until=NOW + timedelta(seconds=30), now=NOW)
        assert events.emit(conn, team.id, "tips.received", "1", {"n": 1}, now=NOW)
        assert [row.payload for row in webhooks.events_after(conn, team.id, before)] == [{"n": 1}]
        assert webhooks.list_for_team(conn, team.id) == []
        assert webhooks.by_id(conn, listener) is None
        assert not webhooks.remove(conn, team.id, listener)
        assert webhooks.waiting(conn, [listener]) == {}
        late = NOW + timedelta(seconds=31)
        assert not events.emit(conn, team.id, "tips.received", "2", {}, now=late)
        webhooks.go_on(conn, listener, until=late + timedelta(seconds=30))
        assert events.emit(conn, team.id, "tips.received", "3", {}, now=late)
        webhooks.stop_listening(conn, listener, now=late)
        assert not events.emit(conn, team.id, "tips.received", "4", {}, now=late)


def test_waiting_deliveries_are_counted(store: Store) -> None:
    """Pending and leased ones, by webhook."""
    with store.write() as conn:
        team = testing.make_team(conn)
        made = webhooks.create(conn, team.id, **HOOK, now=NOW)
        for n in range(3):
            events.emit(conn, team.id, "tips.received", str(n), {}, now=NOW)
        assert webhooks.waiting(conn, [made.id, "wh_none"]) == {made.id: 3}
