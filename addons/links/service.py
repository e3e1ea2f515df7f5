"""The link family of one process: marks that follow from observed rows, the redirect, and waiting for revenue."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from addons.jobs.links_revenue import wait_for_revenue
from addons.links.observed import LinkMarks
from addons.links.redirect import Redirects
from addons.links.writing import ClickWriter
from addons.pipeline.ingesting import add_on_observed, ingest_sights
from addons.pipeline.observe import sight_of
from ofapi_store.errors import StoreError

if TYPE_CHECKING:
    from addons.pipeline.exchange import Exchange
    from addons.pipeline.services import Services


@asynccontextmanager
async def opened(services: Services) -> AsyncIterator[None]:
    """Puts `synchronous` into `services.parts`, follows observed rows, answers the mount `redirect`."""
    add_on_observed(services, LinkMarks(services.clock, services.config.links.revenue_delay_s))

    async def synchronous(x: Exchange) -> None:
        if x.account is None:
            return
        if (sight := sight_of(x)) is not None:  # links that upstream lists for the first time are to be known
            with contextlib.suppress(StoreError):  # they are tried again after the answer
                await ingest_sights(services, [sight])
        if x.match is not None and x.match.rule.steps:  # shared links carry no revenue
            await wait_for_revenue(services, x.account.id)

    services.parts["synchronous"] = synchronous
    writer = ClickWriter(services)
    redirects = services.parts["redirects"] = Redirects(services, writer)
    services.parts["clicks"] = writer
    services.parts.setdefault("mounts", {})["redirect"] = redirects.answer
    await writer.start()
    try:
        yield
    finally:
        await writer.close()
