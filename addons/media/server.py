"""The file server behind the gateway: loopback HTTP/1.1, cached files by signed link, streams by ticket.

GET|HEAD /f/<id>/<end>.<signature>/<name>   a cached file, for anyone who holds the link
GET|HEAD /stream                            a file from the CDN, for the gateway's tickets
POST     /upload                            an upload, for the gateway's tickets
"""

from __future__ import annotations

import socket
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from addons.media import answers, serving
from addons.media.files import is_full
from addons.media.streaming import TICKET, Ticket
from addons.pipeline.errors import ApiError

if TYPE_CHECKING:
    from addons.media.service import MediaService

log = structlog.get_logger(__name__)

LOOPBACK = "127.0.0.1"
KEEPALIVE_S = 75.0
PUBLIC_AGE_S = 86_400
TICKET_BYTES = 32_768  # a ticket holds the file's URL
STOP_S = 2.0

Responder = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FileServer:
    """Listens for this process's own gateway on a free loopback port, and where config names `media.port` also there.

    What listens on the named port serves signed links only; all processes share it. `address` is the free one's.
    """

    def __init__(self, media: MediaService) -> None:
        self._media = media
        self._runners: list[web.AppRunner] = []
        self.address: tuple[str, int] = ("", 0)

    async def start(self) -> None:
        """Raises OSError where the port is taken by another program."""
        config = self._media.config.media
        links = [web.get("/f/{rest:.*}", self._file)]
        hops = [web.get("/stream", self._stream), web.post("/upload", self._media.uploads.receive)]
        self.address = await self._serve([*links, *hops], LOOPBACK, 0)
        if config.port:
            await self._serve(links, config.host, config.port)

    async def _serve(self, routes: list[web.RouteDef], host: str, port: int) -> tuple[str, int]:
        app = web.Application(client_max_size=0, middlewares=[_errors])
        app.add_routes(routes)
        app.on_response_prepare.append(_no_banner)
        runner = web.AppRunner(
            app, access_log=None, keepalive_timeout=KEEPALIVE_S, shutdown_timeout=STOP_S, max_field_size=TICKET_BYTES
        )
        await runner.setup()
        self._runners.append(runner)
        listener = _listen(host, port)
        await web.SockSite(runner, listener).start()
        return str(listener.getsockname()[0]), int(listener.getsockname()[1])

    @property
    def base(self) -> str:
        """Root of the server's URLs, for the gateway's hops."""
        return f"http://{self.address[0]}:{self.address[1]}"

    async def stop(self) -> None:
        for runner in self._runners:
            await runner.cleanup()

    async def _file(self, request: web.Request) -> web.StreamResponse:
        link = self._media.signer.parse(request.rel_url.raw_path)
        found = self._media.files.index.by_id(link.file_id) if link else None
        if link is None or found is None:
            raise answers.no_such_file()
        key, copy = found
        if not self._media.signer.genuine(link, copy.salt):
            raise answers.no_such_file()
        if self._media.signer.ended(link):
            raise answers.link_ended()
        if copy.object is not None:
            self._media.files.used([key])
            left = None if link.ends is None else link.ends - time.time()
            raise web.HTTPFound(self._media.remote(copy, left), headers={"Cache-Control": "no-store"})
        try:
            file = self._media.files.open(copy)
        except FileNotFoundError:
            self._media.files.lost(key, copy)
            raise answers.no_such_file() from None
        self._media.files.used([key])
        age = int(link.ends - time.time()) if link.ends is not None else PUBLIC_AGE_S
        scope = "public" if link.ends is None else "private"
        return serving.respond(request, copy, file, f"{scope}, max-age={max(0, age)}")

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        ticket = Ticket.open(self._media.services.secrets, request.headers.get(TICKET, ""), time.time())
        if ticket is None:
            raise answers.no_such_file()
        rate = self._media.config.media.credits_per_megabyte
        return await self._media.streamer.respond(request, ticket, self._media.meter, rate)


@web.middleware
async def _errors(request: web.Request, handler: Responder) -> web.StreamResponse:
    """Errors as JSON, never a page or a stack trace."""
    try:
        return await handler(request)
    except ApiError as e:
        return answers.error(e)
    except web.HTTPMethodNotAllowed as e:
        text = f"{request.method} is not possible here; use {', '.join(sorted(e.allowed_methods))}."
        allow = (("Allow", ", ".join(sorted(e.allowed_methods))),)
        return answers.error(ApiError(405, "method_not_allowed", text, headers=allow))
    except web.HTTPFound:
        raise
    except web.HTTPException as e:
        return answers.error(answers.no_such_file() if e.status == 404 else ApiError(e.status, "bad_request", e.reason))
    except ConnectionError:  # the client has gone: nobody reads this
        return answers.error(ApiError(400, "bad_request", "The request broke off."))
    except Exception as e:
        return answers.error(_fault(request, e))


def _fault(request: web.Request, e: Exception) -> ApiError:
    if isinstance(e, OSError) and is_full(e):
        return answers.no_room()
    log.error("file server failed", path=request.path[:40], error=f"{type(e).__name__}: {e}")
    return ApiError(500, "internal_error", "The file server failed; see the gateway's log.")


async def _no_banner(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.pop("Server", None)


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket; several processes may share a port that config fixes."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if port and hasattr(socket, "SO_REUSEPORT"):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
    except OSError as e:
        listener.close()
        raise OSError(e.errno, f"media.port: cannot listen on {host}:{port}: {e.strerror}") from e
    listener.listen(1024)
    listener.setblocking(False)
    return listener
