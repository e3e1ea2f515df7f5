"""What the media tests share: a small CDN, and a service with a real store, files and sockets."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import aiohttp
from aiohttp import web

from addons.config import Config
from addons.media.identity import MediaKey
from addons.media.service import MediaService
from addons.media.streaming import TICKET, Ticket
from addons.pipeline.credits import Debit, Meter
from addons.pipeline.rule_models import MediaRules
from addons.pipeline.services import Services
from ofapi_store.engine import Store
from ofapi_store.queries import credits
from ofapi_store.secrets import SecretBox

RULES = MediaRules(hosts=["cdn*.onlyfans.com"])
WAIT_S = 30.0


def data_of(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


@dataclass
class Cdn:
    """Serves `files` by path. `log` has (method, path with query, headers); `act` may answer or spoil a request."""

    files: dict[str, bytes] = field(default_factory=dict)
    log: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    act: Callable[[web.Request, bytes], Awaitable[web.StreamResponse | None]] | None = None
    etags: bool = True
    base: str = ""

    @classmethod
    @asynccontextmanager
    async def serving(cls) -> AsyncIterator[Cdn]:
        cdn = cls()
        app = web.Application(client_max_size=0)
        app.router.add_route("*", "/{path:.*}", cdn._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        cdn.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield cdn
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.log.append((request.method, request.raw_path, dict(request.headers)))
        data = self.files.get(request.path)
        if self.act is not None and (answer := await self.act(request, data or b"")) is not None:
            return answer
        if data is None:
            return web.Response(status=404)
        return answer_with(request, data, etag=self.etags)

    def gets(self, path: str) -> list[dict[str, str]]:
        """Headers of each GET of a path."""
        return [h for m, p, h in self.log if m == "GET" and p.partition("?")[0] == path]


def answer_with(request: web.Request, data: bytes, *, etag: bool = True) -> web.Response:
    """200, or 206 for one range."""
    tag = f'"{hashlib.md5(data).hexdigest()}"'
    headers = {"Content-Type": "image/jpeg", "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT", "Accept-Ranges": "bytes"}
    if etag:
        headers["ETag"] = tag
    asked = request.http_range
    if "Range" in request.headers and request.headers.get("If-Range", tag) == tag:
        start, stop = asked.start or 0, asked.stop or len(data)
        if start >= len(data):
            return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
        headers["Content-Range"] = f"bytes {start}-{min(stop, len(data)) - 1}/{len(data)}"
        return web.Response(status=206, body=data[start:stop], headers=headers)
    return web.Response(body=data, headers=headers)


def halfway(rest: asyncio.Event) -> Callable[[web.Request, bytes], object]:
    """Half of the file, and what is left of it once `rest` is set."""

    async def act(request: web.Request, data: bytes) -> web.StreamResponse:
        whole = answer_with(request, data)
        answer = web.StreamResponse(status=200, headers=whole.headers)
        answer.content_length = len(data)
        await answer.prepare(request)
        await answer.write(data[: len(data) // 2])
        await rest.wait()
        await answer.write(data[len(data) // 2 :])
        return answer

    return act


@dataclass
class Rig:
    """A service and what surrounds it; `async with` starts and stops it."""

    media: MediaService
    services: Services
    cdn: Cdn
    team_id: str
    account_id: str

    @classmethod
    def build(
        cls, cdn: Cdn, store: Store, box: SecretBox, ids: tuple[str, str], folder: Path, media: dict[str, Any]
    ) -> Rig:
        section = {"dir": str(folder), "upstream_base_url": cdn.base, "min_free_bytes": 0, **media}
        config = Config.build({"media": section, "network": {"allow_private": ["127.0.0.1"]}})
        config.__dict__["secret_keys"] = lambda: ["test key"]
        services = Services(config, store, box)
        services.parts["meter"] = meter_of(store)
        made = MediaService(services, lambda: SimpleNamespace(media=RULES))  # type: ignore[arg-type, return-value]
        return cls(made, services, cdn, *ids)

    async def __aenter__(self) -> Self:
        await self.media.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.media.close()

    def key(self, path: str, host: int = 2, query: str = "Signature=s") -> MediaKey:
        found = self.media.identity.key(f"https://cdn{host}.onlyfans.com{path}?{query}")
        assert found is not None
        return found

    def ticket(self, path: str, **more: Any) -> str:
        key = self.key(path)
        values = {"url": key.url, "team_id": self.team_id, "account_id": self.account_id, "ends": time.time() + 60}
        return Ticket(key.text, **{**values, **more}).seal(self.services.secrets)

    def stream(
        self,
        http: aiohttp.ClientSession,
        path: str,
        *,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> Any:
        """A request as the gateway sends it."""
        sent = {TICKET: self.ticket(path, **more), **(headers or {})}
        return http.request(method, f"{self.media.server.base}/stream", headers=sent)

    async def read_all(self, http: aiohttp.ClientSession, path: str, **more: Any) -> bytes:
        """The whole file, as the gateway streams it."""
        async with self.stream(http, path, **more) as answer:
            assert answer.status == 200, await answer.text()
            body: bytes = await answer.read()
            return body

    def link(self, path: str, **more: Any) -> str:
        copy = self.media.files.index.get(self.key(path).text)
        assert copy is not None
        return self.media.server.base + self.media.path(copy, **more)

    def cached(self, path: str) -> bool:
        return self.media.files.index.get(self.key(path).text) is not None

    async def saved(self, path: str) -> bytes:
        """Wait for the copy; its bytes."""
        await until(lambda: self.cached(path))
        copy = self.media.files.index.get(self.key(path).text)
        assert copy is not None
        return self.media.files.path(copy).read_bytes()

    def balance(self) -> int:
        with self.services.store.read() as conn:
            return credits.balance(conn, self.team_id)


def meter_of(store: Store) -> Meter:
    async def read(team_id: str) -> int:
        return await store.aread(credits.balance, team_id)

    async def write(debits: Any) -> Any:
        rows = [
            credits.Debit(d.team_id, d.credits, d.endpoint, d.account_id, d.credit_type, d.requests) for d in debits
        ]
        return await store.awrite(credits.charge, rows)

    return Meter(read, write)


async def until(condition: Callable[[], bool], wait_s: float = WAIT_S) -> None:
    """Wait for a condition; fails after `wait_s` seconds."""
    async with asyncio.timeout(wait_s):
        while not condition():
            await asyncio.sleep(0.01)


__all__ = ["RULES", "Cdn", "Debit", "Rig", "answer_with", "data_of", "halfway", "meter_of", "until"]
