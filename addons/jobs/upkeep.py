"""Jobs about jobs: settling what depended on a failed one, and forgetting old rows."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from addons.jobs.leasing import SETTLE
from addons.jobs.registry import GiveUp, Job, JobKind, load_registry
from ofapi_store import outbox
from ofapi_store.queries import credits as ledger

if TYPE_CHECKING:
    from addons.pipeline.services import Services

PRUNE_S = 3600.0
ROUTINE_KEPT = timedelta(days=1)


async def settle(job: Job, services: Services) -> None:
    """Runs `on_failed` of the failed job that the payload names."""
    row = await services.store.aread(outbox.get, int(job.payload["job"]))
    if row is None:
        raise GiveUp("the failed job is no longer in the store")
    registry = services.parts.get("job_registry") or load_registry()
    kind = registry.kinds.get(row.kind)
    if kind is None or kind.on_failed is None:
        return
    await kind.on_failed(Job.of_row(row), services, str(job.payload.get("error", "")))


async def prune(_: Job, services: Services) -> None:
    """Old finished jobs go; credits that a crash left reserved come back."""
    now = services.clock()
    before = now - timedelta(days=services.config.jobs.retention_days)
    await services.store.awrite(outbox.purge, before=before)
    registry = services.parts.get("job_registry") or load_registry()
    await services.store.awrite(outbox.purge, before=now - ROUTINE_KEPT, states=("done",), kinds=registry.routine)
    await services.store.awrite(ledger.release_expired, now=now)


JOBS = {SETTLE: JobKind(settle), "jobs.prune": JobKind(prune)}
PERIODIC = {"jobs.prune": lambda _config: PRUNE_S}
