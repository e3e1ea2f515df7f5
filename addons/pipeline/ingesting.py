"""Observed bodies → rows of the store, one transaction per batch."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from addons.pipeline.observe import Sight
from addons.pipeline.observing import observed_rows
from ofapi_store.queries import ingest

if TYPE_CHECKING:
    from addons.pipeline.services import Services


async def ingest_sights(services: Services, batch: Sequence[Sight]) -> int:
    """Extract in a thread, write in the store's writer. Returns the number of rows."""
    found = await asyncio.to_thread(_extract, batch)
    if not found:
        return 0
    keep_text = services.config.store.keep_message_text
    await services.store.awrite(ingest.ingest, found, keep_text=keep_text)
    return sum(len(rows) for _, _, _, rows in found)


def _extract(batch: Sequence[Sight]) -> list[tuple[str, str, str, list[dict[str, Any]]]]:
    """(team, account, table, rows) in the order seen."""
    out = []
    for sight in batch:
        for table, rows in observed_rows(sight.rule.observe, sight.params, sight.body).items():
            out.append((sight.team_id, sight.account_id, table, rows))
    return out
