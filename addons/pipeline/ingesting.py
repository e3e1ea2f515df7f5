"""Observed bodies → rows of the store, one transaction per batch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from addons.pipeline.observe import Sight
from addons.pipeline.observing import observed_rows
from ofapi_store.queries import ingest

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from addons.pipeline.services import Services

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """Rows of one table that one body held."""

    sight: Sight
    table: str
    rows: list[dict[str, Any]]


OnObserved = Callable[["Connection", Found, ingest.Observed], None]
"""`services.parts["on_observed"]`: called in the transaction that stored the rows, so that what follows from them
(webhook events) is written with its cause."""


def add_on_observed(services: Services, hook: OnObserved) -> None:
    """Registers one more: those that are there run first."""
    before: OnObserved | None = services.parts.get("on_observed")
    if before is None:
        services.parts["on_observed"] = hook
        return

    def both(conn: Connection, found: Found, result: ingest.Observed) -> None:
        before(conn, found, result)
        hook(conn, found, result)

    services.parts["on_observed"] = both


async def ingest_sights(services: Services, batch: Sequence[Sight]) -> int:
    """Extract in a thread, write in the store's writer. Returns the number of rows stored."""
    found = await asyncio.to_thread(_extract, batch)
    if not found:
        return 0
    keep_text = services.config.store.keep_message_text
    stored, problems = await services.store.awrite(_write, found, keep_text, services.parts.get("on_observed"))
    if problems:
        log.warning("observed rows refused", problems=problems[: ingest.MAX_PROBLEMS])
    return stored


def _extract(batch: Sequence[Sight]) -> list[Found]:
    """In the order seen."""
    return [
        Found(sight, table, rows)
        for sight in batch
        for table, rows in observed_rows(sight.rule.observe, sight.params, sight.body, sight.rule.steps).items()
    ]


def _write(
    conn: Connection, found: Sequence[Found], keep_text: bool, on_observed: OnObserved | None
) -> tuple[int, list[str]]:
    stored, problems = 0, []
    for one in found:
        at = datetime.fromtimestamp(one.sight.at, UTC)
        result = ingest.observe(
            conn, one.table, one.sight.account_id, one.rows, observed_at=at, keep_message_text=keep_text
        )
        stored += result.stored
        problems += result.problems
        if on_observed is not None:
            on_observed(conn, one, result)
    return stored, problems
