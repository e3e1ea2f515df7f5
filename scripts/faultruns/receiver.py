"""The customer's webhook endpoint: keeps what it acknowledged, by idempotency key."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web


@dataclass
class Receiver:
    """`taken`: idempotency key → event; `times`: how often each key was acknowledged. `broken`: answers 500."""

    taken: dict[str, dict[str, Any]] = field(default_factory=dict)
    times: Counter[str] = field(default_factory=Counter)
    broken: bool = False
    url: str = ""

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Self]:
        app = web.Application()
        app.router.add_post("/hook", self._take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        event = await request.json()
        if self.broken:
            return web.Response(status=500)
        key = request.headers.get("X-OFAPI-Idempotency-Key", "")
        self.taken[key] = event
        self.times[key] += 1
        return web.Response(status=204)
