"""Running a master inside the current event loop: start, report the ports, stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from mitmproxy import master
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.proxy import mode_specs

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0


class StartFailed(RuntimeError):
    """The engine could not start; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Listening:
    """The real addresses, `port` where the config asked for any free one."""

    listen: tuple[str, int]
    proxy: tuple[str, int] | None
    web: tuple[str, int] | None = None
    web_password: str | None = None


def listening(running: master.Master) -> Listening:
    """Where the master listens. Raises StartFailed for a listener that does not."""
    server = running.addons.get("proxyserver")
    assert isinstance(server, Proxyserver)
    found: dict[type, tuple[str, int]] = {}
    for instance in server.servers:
        if not instance.listen_addrs:
            cause = instance.last_exception or "unknown cause"
            raise StartFailed(
                f"{instance.mode.full_spec} does not listen: {cause}. Choose another port in config.yaml."
            )
        address = instance.listen_addrs[0]
        found[type(instance.mode)] = (address[0], address[1])
    if mode_specs.ReverseMode not in found:
        raise StartFailed("no listener for API clients; config `listen` names its host and port")
    return Listening(found[mode_specs.ReverseMode], found.get(mode_specs.RegularMode))


class _Started:
    """Fires when every listener is up: `running` comes after them."""

    name = "ofapi-started"

    def __init__(self) -> None:
        self.event = asyncio.Event()

    def running(self) -> None:
        self.event.set()


@asynccontextmanager
async def started(engine: master.Master) -> AsyncIterator[Listening]:
    """The master, running while the block does. Raises StartFailed."""
    signal = _Started()
    engine.addons.add(signal)
    task = asyncio.get_running_loop().create_task(engine.run())
    waiter = asyncio.get_running_loop().create_task(signal.event.wait())
    try:
        await asyncio.wait({task, waiter}, timeout=START_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        yield listening(engine)
    finally:
        waiter.cancel()
        await stop(engine, task)


async def stop(engine: master.Master, task: asyncio.Task[None]) -> None:
    """Stop accepting, close every client connection, let the addons finish."""
    server = engine.addons.get("proxyserver")
    if server is not None:
        await server.servers.update([])
        for handler in list(server.connections.values()):
            io = handler.transports.get(handler.client)
            if io is not None and io.handler is not None:
                io.handler.cancel("the gateway stops")
    engine.should_exit.set()
    await asyncio.wait({task}, timeout=STOP_TIMEOUT_S)
