"""A loop over a real store with a clock that tests set, and a receiver to deliver to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from addons.config import Config
from addons.pipeline.services import Services
from addons.webhooks.line import Pacing
from addons.webhooks.loop import DeliveryLoop
from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.queries import events, webhooks
from ofapi_store.queries.events import DELIVERIES, NewEvent
from ofapi_store.secrets import SecretBox
from tests.addons.webhooks.receiver import Receiver

START = datetime(2026, 1, 1, tzinfo=UTC)
LOOPBACK = {"allow_private": ["127.0.0.0/8", "::1/128"]}
UNSPARED = Pacing(after=1_000_000)


@dataclass
class Rig:
    """A team with webhooks; `loop()` makes a sender over its store."""

    store: Store
    services: Services
    team_id: str
    now: datetime = START
    counter: int = 0
    hooks: list[str] = field(default_factory=list)

    def hook(self, url: str, *, secret: str | None = "s3cret", **values: Any) -> str:
        defaults: dict[str, Any] = {"events": ["tips.received"], "account_scope": "global"}
        box = self.services.secrets
        with self.store.write() as conn:
            made = webhooks.create(
                conn,
                self.team_id,
                url=url,
                secret=box.encrypt(secret) if secret else None,
                now=START,
                **{**defaults, **values},
            )
        self.hooks.append(made.id)
        return made.id

    def emit(self, count: int = 1, *, account: str | None = "acct_a", event: str = "tips.received") -> None:
        facts = [NewEvent(event, f"n:{self.counter + n}", {"n": self.counter + n}, account) for n in range(count)]
        self.counter += count
        with self.store.write() as conn:
            assert events.emit_all(conn, self.team_id, facts, now=self.now) == count

    def loop(self, name: str = "one", pacing: Pacing = UNSPARED) -> DeliveryLoop:
        return DeliveryLoop(self.services, name, pacing=pacing)

    async def deliver(self) -> int:
        return await self.loop().run_until_idle()

    def pass_time(self, **delta: float) -> None:
        self.now += timedelta(**delta)

    def states(self, hook: str | None = None) -> list[tuple[str, int]]:
        """State and tries of each delivery, in order."""
        query = select(DELIVERIES.c.state, DELIVERIES.c.attempts).order_by(DELIVERIES.c.id)
        if hook is not None:
            query = query.where(DELIVERIES.c.webhook_id == hook)
        with self.store.read() as conn:
            return [(row.state, row.attempts) for row in conn.execute(query)]

    def webhook(self, hook: str) -> webhooks.WebhookRow:
        with self.store.read() as conn:
            found = webhooks.by_id(conn, hook)
        assert found is not None
        return found


@pytest.fixture
def rig_of(secret_box: SecretBox, tmp_path: Path) -> Callable[..., Rig]:
    """Makes rigs over a store; sections of the config can be given."""

    def make(store: Store, **sections: Mapping[str, Any]) -> Rig:
        base = {"network": LOOPBACK, "jobs": {"poll_interval_s": 0.02, "lease_s": 1.0, "shutdown_grace_s": 0.2}}
        hooks = {"jitter": 0, **sections.pop("webhooks", {})}
        services = Services(Config.build({**base, "webhooks": hooks, **sections}, base=tmp_path), store, secret_box)
        with store.write() as conn:
            team = testing.make_team(conn)
        rig = Rig(store, services, team.id)
        services.clock = lambda: rig.now
        return rig

    return make


@pytest.fixture
def rig(store: Store, rig_of: Callable[..., Rig]) -> Rig:
    """On both databases."""
    return rig_of(store)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver().listening() as running:
        yield running
