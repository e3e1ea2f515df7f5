"""Webhooks in a worker: the delivery loop, and forgetting old events with their deliveries."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from addons.jobs.registry import Job, JobKind
from addons.webhooks.loop import DeliveryLoop
from ofapi_store.queries import webhooks_log

if TYPE_CHECKING:
    from addons.pipeline.services import Services

PRUNE_S = 3600.0


async def deliver(services: Services, worker: str) -> None:
    """Delivers until cancelled."""
    await DeliveryLoop(services, worker).run()


async def prune(_: Job, services: Services) -> None:
    """Events older than `webhooks.retention_days` go, with their deliveries and tries, in short transactions."""
    now = services.clock()
    before = now - timedelta(days=services.config.webhooks.retention_days)
    while await services.store.awrite(webhooks_log.forget, before=before, now=now):
        continue


JOBS = {"webhooks.prune": JobKind(prune)}
PERIODIC = {"webhooks.prune": lambda _config: PRUNE_S}
LOOPS = {"webhooks": deliver}
