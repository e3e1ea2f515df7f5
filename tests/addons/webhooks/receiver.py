"""A receiver of webhooks: verifies both signatures, and behaves by its path."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web


@dataclass
class Got:
    """One request. `hex_ok`, `standard_ok`: whether its signature of that kind holds under the receiver's secret."""

    path: str
    headers: dict[str, str]
    raw: bytes
    hex_ok: bool
    standard_ok: bool

    @property
    def body(self) -> Any:
        return json.loads(self.raw)

    @property
    def key(self) -> str | None:
        return self.headers.get("X-OFAPI-Idempotency-Key")


@dataclass
class Receiver:
    """`/ok…` 204, `/fail` 500, `/moved` 301, `/gone` 410, `/busy` 429, `/slow` waits, `/fragments` dribbles, `/cut` hangs up.

    `/held…` waits for `release`. `broken`: `/ok` answers 500 as long as it is set. `answers`: statuses that `/held…`
    gives first, before its 204. `refused`: an account whose events get 500.
    """

    secret: str = "s3cret"
    got: list[Got] = field(default_factory=list)
    broken: bool = False
    refused: str = ""
    slow_s: float = 30.0
    retry_after: str = "120"
    port: int = 0
    running: int = 0
    release: asyncio.Event = field(default_factory=asyncio.Event)
    answers: list[int] = field(default_factory=list)
    most: int = 0

    def url(self, path: str = "/ok") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def at(self, path: str) -> list[Got]:
        return [one for one in self.got if one.path == path]

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Self]:
        app = web.Application()
        app.router.add_route("*", "/{name:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port)
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        got = self._verify(request, raw)
        self.got.append(got)
        if self.refused and got.body.get("account_id") == self.refused:
            return web.Response(status=500)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            return await self._behave(request)
        finally:
            self.running -= 1

    async def _behave(self, request: web.Request) -> web.StreamResponse:
        name = request.path.strip("/").split("-")[0]
        if name == "slow":
            await asyncio.sleep(self.slow_s)
        if name == "held":
            await self.release.wait()
            if self.answers:
                return web.Response(status=self.answers.pop())
        if name == "fragments":
            return await self._dribble(request)
        if name == "cut":
            assert request.transport is not None
            request.transport.close()
        plain = {"fail": 500, "moved": 301, "gone": 410, "busy": 429}
        status = 500 if self.broken and name == "ok" else plain.get(name, 204)
        headers = {"Location": self.url("/elsewhere")} if status == 301 else {}
        headers |= {"Retry-After": self.retry_after} if status == 429 else {}
        return web.Response(status=status, headers=headers, text=None if status == 204 else f"no\x00 {status}")

    async def _dribble(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(status=201)
        await answer.prepare(request)
        for _ in range(5):
            await answer.write(b"ab")
            await asyncio.sleep(0.01)
        await answer.write_eof()
        return answer

    def _verify(self, request: web.Request, raw: bytes) -> Got:
        """Both ways, written down from the specifications, not with our own code."""
        h = request.headers
        plain = hmac.new(self.secret.encode(), raw, hashlib.sha256).hexdigest()
        key = base64.b64decode(self.secret[6:]) if self.secret.startswith("whsec_") else self.secret.encode()
        signed = f"{h.get('webhook-id')}.{h.get('webhook-timestamp')}.".encode() + raw
        standard = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        return Got(
            request.path,
            dict(h),
            raw,
            hmac.compare_digest(h.get("Signature", ""), plain),
            standard in h.get("webhook-signature", "").split(" "),
        )
