"""Listeners, and the `Simulator` that tests start in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from scripts.simulator import events
from scripts.simulator.app import App
from scripts.simulator.faults import Faults
from scripts.simulator.log import RequestLog
from scripts.simulator.truth import Truth
from scripts.simulator.world import Options, World

LINE_LIMIT = 256 * 1024


class Listeners:
    """The API and the CDN listener of one app, on loopback."""

    def __init__(self, app: App, host: str = "127.0.0.1", port: int = 0, cdn_port: int = 0) -> None:
        self._app, self._host, self._ports = app, host, (port, cdn_port)
        self._runners: list[web.ServerRunner] = []
        self.api_url = self.cdn_url = ""

    async def start(self) -> None:
        self.api_url = await self._listen(self._app.api, self._ports[0])
        self.cdn_url = await self._listen(self._app.cdn, self._ports[1])
        self._app.storage_url = self._app.world.options.storage_base or self.cdn_url
        self._app.world.storage_url = self._app.storage_url

    async def _listen(self, handler: Callable[..., Any], port: int) -> str:
        server = web.Server(
            handler, access_log=None, keepalive_timeout=3600, max_line_size=LINE_LIMIT, max_field_size=LINE_LIMIT
        )
        runner = web.ServerRunner(server, shutdown_timeout=0.2)
        await runner.setup()
        site = web.TCPSite(runner, self._host, port, backlog=1024)
        await site.start()
        self._runners.append(runner)
        return f"http://{self._host}:{runner.addresses[0][1]}"

    async def stop(self) -> None:
        for runner in self._runners:
            await runner.cleanup()


class Account(dict[str, Any]):
    """A creator's login: `auth_id, cookies, user_agent, xbc, email, password, otp_code, id, username, name`; also as attributes."""

    __getattr__ = dict.__getitem__


class Simulator:
    """A running simulated OnlyFans. `with Simulator.start(seed=7, fans=50) as sim: sim.api_url …`"""

    def __init__(self, options: Options, log: Path | None = None, port: int = 0, cdn_port: int = 0) -> None:
        self._log = RequestLog(log, options.log_keep)
        self._app = App(World(options), self._log)
        self._listeners = Listeners(self._app, port=port, cdn_port=cdn_port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="simulator", daemon=True)
        self._ready = threading.Event()

    @classmethod
    def start(cls, *, log: Path | None = None, port: int = 0, cdn_port: int = 0, **options: Any) -> Self:
        """Generate a world (`options` as in `Options`) and serve it on free loopback ports; returns when both answer."""
        sim = cls(Options(**options), log, port, cdn_port)
        sim._thread.start()
        if not sim._ready.wait(30):
            raise RuntimeError("the simulator did not start within 30 s")
        return sim

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listeners.start())
        self._ready.set()
        self._loop.run_forever()

    def stop(self) -> None:
        """Close both listeners and the log; calling it again does nothing."""
        if self._loop.is_closed():
            return
        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._listeners.stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    @property
    def api_url(self) -> str:
        return self._listeners.api_url

    @property
    def cdn_url(self) -> str:
        return self._listeners.cdn_url

    @property
    def world(self) -> World:
        return self._app.world

    @property
    def creators(self) -> list[Account]:
        return [Account(events.account(who)) for who in self.world.creators]

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The log records, oldest first."""
        return list(self._log.records)

    def clear_requests(self) -> None:
        self._log.records.clear()

    @property
    def faults(self) -> Faults:
        return self._app.faults

    @property
    def truth(self) -> Truth:
        return Truth(self.world)

    def happen(self, kind: str, **body: Any) -> dict[str, Any]:
        """Make an event happen (see `events`), inside the server's loop so that no request sees half of it."""

        async def inside() -> dict[str, Any]:
            return events.happen(self.world, kind, body)

        return asyncio.run_coroutine_threadsafe(inside(), self._loop).result(10)

    def url(self, path: str) -> str:
        return self.api_url + path
