"""The gateway's parts, made from the services once per process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from addons.pipeline.auth import CachedDirectory
from addons.pipeline.credits import Debit, Meter, Prices
from addons.pipeline.directory import StoreDirectory
from addons.pipeline.idempotency import Replays
from addons.pipeline.limits import RateLimiter
from addons.pipeline.metrics import Metrics
from addons.pipeline.mounts import MountTable
from addons.pipeline.observe import Observer, Sight
from addons.pipeline.parts import BodyEditor, Parts
from addons.pipeline.patience import PatientStore
from addons.pipeline.sessions import Sessions
from addons.pipeline.touches import Touches
from addons.pipeline.upstream import load_signer
from ofapi_store.queries import credits as credit_queries
from ofapi_store.queries import keys

if TYPE_CHECKING:
    from addons.pipeline.plan import Plan
    from addons.pipeline.services import Services


def build_parts(
    services: Services,
    plan: Callable[[], Plan],
    *,
    editor: BodyEditor | None,
    handlers: Mapping[str, Any] | None,
) -> Parts:
    """Raises ValueError for a signer that cannot be loaded."""
    metrics = Metrics()
    reads = PatientStore(services.store)
    directory = CachedDirectory(StoreDirectory(reads, services.secrets))
    parts = Parts(
        config=services.config,
        services=services,
        plan=plan,
        mounts=MountTable(services.config.mounts, services.config.media.hosts),
        directory=directory,
        limiter=RateLimiter(),
        meter=_meter(services, reads),
        prices=Prices(services.config.credits),
        metrics=metrics,
        observer=_observer(services, metrics),
        replays=Replays(services),
        sessions=Sessions(services, directory),
        touches=_touches(services),
        editor=editor if editor is not None else _runner(services, reads),
        handlers=handlers if handlers is not None else _handlers(),
        selectors=_selectors(),
        signer=load_signer(services.config.upstream.signer),
    )
    services.parts.setdefault("meter", parts.meter)
    services.parts.setdefault("metrics", metrics)
    services.parts.setdefault("observer", parts.observer)
    services.parts.setdefault("directory", directory)
    return parts


def _meter(services: Services, reads: PatientStore) -> Meter:
    store = services.store

    async def read(team_id: str) -> int:
        return await reads.aread(credit_queries.balance, team_id)

    async def write(debits: Sequence[Debit]) -> Mapping[str, int]:
        now = services.clock()
        rows = [
            credit_queries.Debit(d.team_id, d.credits, d.endpoint, d.account_id or None, d.credit_type, d.requests, now)
            for d in debits
        ]
        return await store.awrite(credit_queries.charge, rows)

    meter = Meter(read, write, services.parts.get("debits"))
    services.parts.setdefault("health", {})["credits"] = meter.health
    return meter


def _observer(services: Services, metrics: Metrics) -> Observer:
    async def ingest(batch: Sequence[Sight]) -> int:
        from addons.pipeline.ingesting import ingest_sights

        return await ingest_sights(services, batch)

    return Observer(ingest, metrics)


def _touches(services: Services) -> Touches:
    async def write(used: dict[str, datetime]) -> None:
        await services.store.awrite(keys.touch, used)

    return Touches(write, services.clock)


def _runner(services: Services, reads: PatientStore) -> BodyEditor:
    from addons.pipeline.runner import Runner

    runner: BodyEditor = Runner(services, reads)
    return runner


def _handlers() -> Mapping[str, Any]:
    from addons.compute.registry import handlers

    return handlers()


def _selectors() -> Mapping[str, Any]:
    from addons.compute.registry import selectors

    return selectors()
