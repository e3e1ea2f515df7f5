"""The services of the gateway's process, and the gateway over them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from addons.assemble import assembled as opened
from addons.pipeline.gateway import Gateway

if TYPE_CHECKING:
    from addons.pipeline.services import Services

__all__ = ["gateway_of", "opened"]


@asynccontextmanager
async def gateway_of(services: Services) -> AsyncIterator[Gateway]:
    """The gateway over the rules in force, which follow the files where the config says so."""
    gateway = Gateway(services, services.parts["plan"])
    async with AsyncExitStack() as ends:
        ends.push_async_callback(gateway.close)
        if services.config.jobs.worker == "task":
            ends.push_async_callback(_work(services))
        yield gateway


def _work(services: Services) -> Callable[[], Awaitable[None]]:
    """Start a worker inside this process; call the result to let it end what it runs."""
    from addons.jobs.worker import Worker

    worker = Worker(services)
    task = asyncio.create_task(worker.run(), name="worker")

    async def end() -> None:
        worker.stop()
        await asyncio.wait({task}, timeout=2 * services.config.jobs.shutdown_grace_s)

    return end
