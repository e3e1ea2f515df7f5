"""Building what a process works with: store, secrets, rules, upstream clients and the parts of each family.

Both the gateway and a worker are built here, so that a job sees the same parts as a request.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from addons.pipeline.services import Services
from ofapi_store import migrate
from ofapi_store.engine import Store
from ofapi_store.secrets import SecretBox

if TYPE_CHECKING:
    from addons.config import Config
    from addons.pipeline.plan import Plan

FAMILIES: tuple[str, ...] = ()
"""Modules with `register(services)`: called once per process after store, rules and upstream clients are there. It puts
the family's parts into `services.parts` and may return a function (plain or async) that is called at the end."""


@contextlib.asynccontextmanager
async def assembled(config: Config, plan: Callable[[], Plan]) -> AsyncIterator[Services]:
    """The services of a process, closed at the end. Raises StoreError, SecretMissing, SecretError, ValueError.

    Args:
        config: as loaded.
        plan: gives the rules in force.
    """
    from addons.jobs.upstream_client import UpstreamClients

    async with contextlib.AsyncExitStack() as ends:
        migrate.check(config.store_url)
        store = Store.open(config.store_url)
        ends.callback(store.close)
        services = Services(config, store, SecretBox(config.secret_keys()))
        services.parts["plan"] = plan
        clients = services.parts["upstream"] = UpstreamClients(services, plan)
        ends.push_async_callback(clients.close)
        for name in FAMILIES:
            ended = importlib.import_module(name).register(services)
            if ended is not None:
                ends.push_async_callback(_call, ended)
        yield services


async def _call(function: Callable[[], object]) -> None:
    found = function()
    if inspect.isawaitable(found):
        await found
