"""The services of the gateway's process, and the gateway over them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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
    try:
        yield gateway
    finally:
        await gateway.close()
