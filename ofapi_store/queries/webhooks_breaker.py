"""The breaker of a webhook, shared by all senders: pause after final failures in a row, probe, recover, disable; billing.

After `pause_after` final failures in a row a webhook is paused for a cool-down that grows with each pause. What comes
meanwhile waits. When the cool-down is over one delivery goes out as probe: it ends the pause, or the next one begins.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, select, update

from ofapi_store.queries import credits
from ofapi_store.queries.events import DELIVERIES, WEBHOOKS
from ofapi_store.queries.webhooks import FRESH, RETRIES

if TYPE_CHECKING:
    from ofapi_store.queries.webhooks_delivery import Result

ENDPOINT = "webhooks"


@dataclass(frozen=True, slots=True)
class Breaker:
    """`pause_after`: final failures in a row. `cooldown_s`: length of each pause in turn, the last repeats.

    `events_per_credit`: deliveries that one credit pays for.
    """

    pause_after: int = 20
    cooldown_s: tuple[float, ...] = (300, 900, 1800, 3600, 7200, 21_600)
    events_per_credit: int = 100


@dataclass(slots=True)
class Health:
    """A webhook's state while results are counted in. `billed`: deliveries since the last whole credit."""

    state: str
    failures: int
    cooldown: int
    paused_until: datetime | None
    billed: int
    reason: str | None = None
    changed: bool = False

    def count(self, result: Result, breaker: Breaker, now: datetime) -> None:
        """One result, in the order in which they came."""
        if self.state == "disabled":
            return
        if result.state == "delivered":
            self._recovered(free=result.delivery.redelivered_from is not None)
        elif result.state == "gone":
            self._to("disabled", "The endpoint answered 410 Gone. Enable the webhook to use it again.")
        elif result.delivery.is_probe:
            self._pause(breaker, now, result)
        elif result.state == "failed":
            self.failures += 1
            if self.failures >= breaker.pause_after and self.state == "active":
                self._pause(breaker, now, result)

    def _recovered(self, *, free: bool) -> None:
        self.failures, self.cooldown = 0, 0
        self.billed += not free  # a redelivery was paid for when it was asked for
        if self.state == "paused":
            self.paused_until = None
            self._to("active", None)

    def _pause(self, breaker: Breaker, now: datetime, result: Result) -> None:
        length = breaker.cooldown_s[min(self.cooldown, len(breaker.cooldown_s) - 1)]
        self.cooldown += 1
        self.paused_until = now + timedelta(seconds=length)
        last = result.status_code or result.error_type
        self._to("paused", f"{self.failures} deliveries in a row failed for good, the last with {last}.")

    def _to(self, state: str, reason: str | None) -> None:
        self.state, self.reason, self.changed = state, reason, True


def settle_webhooks(conn: Connection, results: Iterable[Result], breaker: Breaker, *, now: datetime) -> frozenset[str]:
    """Counts results into their webhooks. Returns those that no longer send."""
    by_webhook: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_webhook[result.delivery.webhook_id].append(result)
    stopped = set()
    for webhook_id, own in sorted(by_webhook.items()):
        columns = ("team_id", "state", "failures", "cooldown", "paused_until", "billed")
        row = conn.execute(
            select(*(WEBHOOKS.c[name] for name in columns)).where(WEBHOOKS.c.id == webhook_id).with_for_update()
        ).first()
        if row is None:
            continue
        health = Health(row.state, row.failures, row.cooldown, row.paused_until, row.billed)
        for result in own:
            health.count(result, breaker, now)
        _bill(conn, row.team_id, health, breaker, now)
        _store(conn, webhook_id, health, row, now)
        if health.changed and health.state != "active":
            stopped.add(webhook_id)
        if health.state == "disabled":  # now, or before: what was under way may have gone back to waiting
            _cancel(conn, webhook_id, now)
    return frozenset(stopped)


def _bill(conn: Connection, team_id: str, health: Health, breaker: Breaker, now: datetime) -> None:
    whole, health.billed = divmod(health.billed, breaker.events_per_credit)
    if whole:
        requests = whole * breaker.events_per_credit
        credits.charge(conn, [credits.Debit(team_id, whole, ENDPOINT, None, "webhook", requests, now)])


def _store(conn: Connection, webhook_id: str, health: Health, before: Any, now: datetime) -> None:
    after = {name: getattr(health, name) for name in ("state", "failures", "cooldown", "paused_until", "billed")}
    values = {name: value for name, value in after.items() if value != getattr(before, name)}
    if health.changed:
        values |= {"state_reason": health.reason, "updated_at": now}
    if health.changed and health.state == "disabled":
        values["enabled"] = False
    if values:
        conn.execute(update(WEBHOOKS).where(WEBHOOKS.c.id == webhook_id).values(**values))


def _cancel(conn: Connection, webhook_id: str, now: datetime) -> None:
    c = DELIVERIES.c
    for waiting in (FRESH, RETRIES):
        query = update(DELIVERIES).where(c.webhook_id == webhook_id, waiting)
        conn.execute(query.values(state="cancelled", finished_at=now))
