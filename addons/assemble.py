"""What a process works with: store, secrets, rules in force, upstream clients and the parts of each family.

The gateway and the workers are both built here, so that a job sees the same parts as a request.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from addons.pipeline.services import Services
from ofapi_store import migrate
from ofapi_store.engine import Store
from ofapi_store.secrets import SecretBox

if TYPE_CHECKING:
    from addons.config import Config

Opener = Callable[[Services], AbstractAsyncContextManager[None]]

FAMILIES: tuple[str, ...] = (
    "addons.pipeline.debits:opened",
    "addons.media.service:opened",
    "addons.links.service:opened",
    "addons.webhooks.service:opened",
    "addons.exports.serve:opened",
    "addons.jobs.postbacks:opened",
    "addons.connect.service:opened",
)
"""`module:function`, in this order: each is an async context manager `function(services)` that puts its family's parts
into `services.parts` while the block runs. `plan`, `rules_state` and `upstream` are there before."""


@asynccontextmanager
async def assembled(config: Config, families: tuple[str, ...] = FAMILIES) -> AsyncIterator[Services]:
    """The services of a process. Raises StoreError, SecretMissing, SecretError, RulesInvalid, ValueError (signer).

    In `parts`: `plan` (callable, the rules in force), `rules_state`, `upstream` (UpstreamClients).
    """
    from addons.jobs.upstream_client import UpstreamClients
    from addons.pipeline.reload import PlanHolder

    migrate.check(config.store_url)
    async with AsyncExitStack() as ends:
        store = Store.open(config.store_url)
        ends.callback(store.close)
        services = Services(config, store, SecretBox(config.secret_keys()))
        holder = PlanHolder(config.rules.dir)
        services.parts["plan"] = holder
        services.parts["rules_state"] = holder.state
        if config.rules.watch:
            watching = asyncio.create_task(holder.watch(), name="rules-watch")
            ends.push_async_callback(_cancel, watching)
        clients = services.parts["upstream"] = UpstreamClients(services, holder)
        ends.push_async_callback(clients.close)
        for name in families:
            await ends.enter_async_context(_opener(name)(services))
        yield services


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _opener(name: str) -> Opener:
    module, _, attribute = name.partition(":")
    opener: Opener = getattr(importlib.import_module(module), attribute)
    return opener
