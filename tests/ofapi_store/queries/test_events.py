"""Events: each fact once, one delivery for each webhook that wants it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.models.webhooks import Delivery, Event, Webhook
from ofapi_store.queries import events
from ofapi_store.queries.events import NewEvent

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _webhook(conn: Any, team_id: str, hook_id: str, **values: Any) -> None:
    defaults = {"url": "https://example.com/", "events": ["tips.received"], "account_scope": "global"}
    defaults |= {"account_ids": [], "state": "active", "enabled": True, "created_at": NOW, "updated_at": NOW}
    conn.execute(Webhook.__table__.insert(), [{"id": hook_id, "team_id": team_id, **defaults, **values}])


def _deliveries(conn: Any) -> list[tuple[str, str]]:
    query = (
        select(Delivery.webhook_id, Event.event_key).join(Event, Event.id == Delivery.event_id).order_by(Delivery.id)
    )
    return [(row[0], row[1]) for row in conn.execute(query)]


def test_a_fact_gives_its_event_once_however_often_it_is_seen(store: Store) -> None:
    """The second sight writes nothing, and another team's same fact is another event."""
    with store.write() as conn:
        one, two = testing.make_team(conn), testing.make_team(conn)
        for team in (one, two):
            _webhook(conn, team.id, f"wh_{team.id}")
        seen = [events.emit(conn, t.id, "tips.received", "tip:1", {"n": 1}, now=NOW) for t in (one, one, two)]
        assert seen == [True, False, True]
        keys = list(conn.execute(select(Event.key)).scalars())
        assert len(set(keys)) == 2
        assert all(key.startswith("evt_") and len(key) == 44 for key in keys)
        assert len(_deliveries(conn)) == 2


@pytest.mark.parametrize(
    ("values", "accounts"),
    [
        ({}, ["acct_a", "acct_b", None]),
        ({"account_scope": "inclusive", "account_ids": ["acct_a"]}, ["acct_a", None]),
        ({"account_scope": "exclusive", "account_ids": ["acct_a"]}, ["acct_b", None]),
        ({"events": ["posts.liked"]}, []),
        ({"enabled": False}, []),
        ({"state": "disabled"}, []),
        ({"state": "paused"}, ["acct_a", "acct_b", None]),
    ],
)
def test_scope_events_and_state_decide_who_gets_a_delivery(
    store: Store, values: dict[str, Any], accounts: list[str | None]
) -> None:
    """Team events always reach, paused webhooks collect for later, disabled ones get nothing."""
    facts = [NewEvent("tips.received", "1", {}, account) for account in ("acct_a", "acct_b", None)]
    with store.write() as conn:
        team = testing.make_team(conn)
        _webhook(conn, team.id, "wh_1", **values)
        events.emit_all(conn, team.id, facts, now=NOW)
        got = [key.split(":")[0] for _, key in _deliveries(conn)]
    assert got == [account or "team" for account in accounts]
