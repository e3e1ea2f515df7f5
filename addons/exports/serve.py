"""Sends export files to the bearer of a signed URL: Range, If-Range and HEAD by sendfile, through the gateway's hop.

The gateway's mount `internal/exports` reroutes to a server of this process on a free loopback port, for an answer that
an engine makes itself cannot stream.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from addons.exports.files import MOUNT, ExportFiles, LinkEnded
from addons.media.answers import error, link_ended, no_such_file
from addons.media.serving import Version, answer
from addons.pipeline.errors import ApiError
from addons.pipeline.exchange import Headers, UpstreamRequest

if TYPE_CHECKING:
    from addons.pipeline.exchange import Exchange, Response
    from addons.pipeline.services import Services

LOOPBACK = "127.0.0.1"
PASSED = ("Range", "If-Range", "If-None-Match", "If-Modified-Since")
STOP_S = 2.0
KINDS = {
    ".csv": "text/csv; charset=utf-8",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".zip": "application/zip",
}


class ExportServer:
    """`start()` listens; `hop` is the mount."""

    def __init__(self, services: Services) -> None:
        self._config = services.config
        self._files = ExportFiles(services.config.exports.dir, services.config.secret_keys())
        self._runner: web.AppRunner | None = None
        self.base = ""

    async def start(self) -> None:
        app = web.Application(client_max_size=0)
        app.add_routes([web.get("/{rest:.*}", self._send)])
        app.on_response_prepare.append(_no_banner)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_S)
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, 0).start()
        self.base = f"http://{LOOPBACK}:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def hop(self, x: Exchange) -> Response | UpstreamRequest:
        """`GET|HEAD <mounts.internal>/exports/…`: no API key, the link is the right to the file."""
        assert x.path is not None
        if x.request.method not in ("GET", "HEAD"):
            text = f"{x.request.method} is not possible here; use GET or HEAD."
            raise ApiError(405, "method_not_allowed", text, headers=(("Allow", "GET, HEAD"),))
        passed = Headers([(n, v) for n in PASSED if (v := x.request.headers.get(n)) is not None])
        wait_s = self._config.upstream.read_timeout_s
        url = self.base + x.path.canonical.partition("?")[0]
        return UpstreamRequest(x.request.method, url, passed, timeout_s=wait_s, internal=True)

    async def _send(self, request: web.Request) -> web.StreamResponse:
        try:
            path = self._files.opened(request.rel_url.raw_path, time.time())
        except LinkEnded:
            return error(link_ended())
        try:
            file = path.open("rb") if path is not None else None
        except OSError:
            file = None
        if path is None or file is None:
            return error(no_such_file())
        found = os.fstat(file.fileno())
        version = Version(found.st_size, f'"{found.st_mtime_ns:x}-{found.st_size:x}"', int(found.st_mtime))
        headers = {
            "Content-Type": KINDS[path.suffix],
            "Content-Disposition": f'attachment; filename="{path.name}"',
            "Cache-Control": "private, no-store",
            "X-Content-Type-Options": "nosniff",
        }
        return answer(request, file, version, headers)


async def _no_banner(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.pop("Server", None)


@asynccontextmanager
async def opened(services: Services) -> AsyncIterator[None]:
    """The mount, while the block runs (`addons.assemble`)."""
    server = ExportServer(services)
    await server.start()
    services.parts.setdefault("mounts", {})[f"internal/{MOUNT}"] = server.hop
    try:
        yield
    finally:
        await server.stop()
