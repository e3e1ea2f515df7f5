"""The handler behind both listeners: log, faults, login check, route, answer."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import struct
import time
import weakref
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import orjson
from aiohttp import web

from scripts.simulator import cdn, control, login, uploads
from scripts.simulator.faults import CODECS, Fault, Faults, spoil
from scripts.simulator.log import RequestLog
from scripts.simulator.model import Creator
from scripts.simulator.routes import TABLE, Call, Fail, Reply, Route
from scripts.simulator.world import World

BASE = "/api2/v2"
STORAGE = ("/upload/", "/file/upload")
# What real answers carry and no client of a gateway should see
INTERNALS = (
    ("Set-Cookie", "csrf=upstream-secret; Path=/; Secure; HttpOnly"),
    ("CF-RAY", "8f00ba4-FRA"),
    ("X-Upstream-Node", "web-17"),
)
HTML = "<!DOCTYPE html><html><head><title>{0}</title></head><body><center><h1>{0}</h1></center><hr><center>nginx</center></body></html>"
JSON = {"Content-Type": "application/json"}


class App:
    """One world behind an API listener (with `/__sim__/` control) and a CDN listener (with storage and convert)."""

    def __init__(self, world: World, log: RequestLog) -> None:
        self.world: World = world
        self.log, self.faults = log, Faults()
        self._seen: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()
        self._cache: dict[tuple[int, int, str], bytes] = {}
        self.storage_url = ""

    def reset(self) -> None:
        """The world as it was generated; sessions that logins opened are gone."""
        self.world = World(self.world.options, storage_url=self.storage_url)
        self._cache.clear()

    async def api(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path.startswith("/__sim__/"):
            return await control.answer(self, request)
        return await self._handle(request, "storage" if request.path.startswith(STORAGE) else "api")

    async def cdn(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._handle(request, "storage" if request.path.startswith(STORAGE) else "cdn")

    async def _handle(self, request: web.BaseRequest, kind: str) -> web.StreamResponse:
        started = time.perf_counter()
        reused = request.transport in self._seen
        if request.transport is not None:
            self._seen.add(request.transport)
        who = self._login(request) if kind == "api" else None
        faults = self.faults.take(request.method, request.raw_path, kind, who.id if who else 0, reused=reused)
        response, size = await self._answer(request, kind, who, faults)
        self.log.add(request, kind, response.status if response is not None else 0, size, started)
        return response if response is not None else web.Response(status=499)

    async def _answer(
        self, request: web.BaseRequest, kind: str, who: Creator | None, faults: list[Fault]
    ) -> tuple[web.StreamResponse | None, int]:
        pause = (
            sum(float(fault.params.get("seconds", 0.2)) for fault in faults if fault.kind == "latency")
            + self.world.options.latency_s
        )
        if pause:
            await asyncio.sleep(pause)
        kinds = {fault.kind: fault.params for fault in faults}
        if "reset" in kinds or "close_on_reuse" in kinds:
            _reset(request)
            return None, 0
        instead = next((name for name in INSTEAD if name in kinds), None)
        if instead:
            await request.read()
            reply = INSTEAD[instead](kinds[instead])
        elif kind == "cdn":
            return await cdn.serve(request, self.world, faults)
        elif kind == "storage":
            answer = await (cdn.convert if request.path.startswith("/file/") else cdn.storage)(request, self.world)
            return answer, len(answer.body or b"")  # type: ignore[arg-type]
        else:
            reply = await self._reply(request, who)
        return await self._send(request, reply, kinds)

    def _login(self, request: web.BaseRequest) -> Creator | None:
        """The creator whose session this is: cookies and user agent must fit, x-bc too when it is sent."""
        cookies = login.cookies(request)
        session = self.world.sessions.get(cookies.get("sess", ""))
        if session is None or session.dead or session.pending or cookies.get("auth_id") != str(session.creator_id):
            return None
        xbc = request.headers.get("x-bc")
        if session.user_agent != request.headers.get("User-Agent") or (xbc and session.xbc and xbc != session.xbc):
            return None
        return self.world.by_id[session.creator_id]

    async def _reply(self, request: web.BaseRequest, who: Creator | None) -> Reply:
        path = request.path.removeprefix(BASE)
        try:
            raw = b"" if uploads.is_upload(request, path) else await request.read()
            if not request.path.startswith(BASE + "/"):
                raise Fail(404, "Not found")
            reply = login.answer(self.world, request, path, raw)
            if reply is not None:
                return reply
            if who is None:
                return _error(401, "Please refresh the page")
            if uploads.is_upload(request, path):
                return Reply(await uploads.take(request, self.world, who))
            return self._route(request, who, path, raw)
        except Fail as fail:
            return Reply({"error": {"code": fail.code, "message": fail.message}}, fail.status)
        except (ValueError, TypeError, KeyError, AttributeError) as problem:
            return Reply({"error": {"code": 400, "message": f"Wrong request: {problem}"}}, 400)

    def _route(self, request: web.BaseRequest, who: Creator, path: str, raw: bytes) -> Reply:
        method = "GET" if request.method == "HEAD" else request.method
        found = TABLE.match(method, path)
        if found is None:
            raise Fail(
                405 if TABLE.methods(path) else 404, "Method not allowed" if TABLE.methods(path) else "Not found"
            )
        key = (who.id, who.version, request.raw_path)
        if self.world.options.cache_gets and method == "GET" and key in self._cache:
            return Reply(self._cache[key])
        route, params = found
        query = parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True)
        result = route.handler(Call(self.world, who, params, query, raw, request, self.world.now()))
        reply = result if isinstance(result, Reply) else Reply(result)
        if method != "GET":
            who.version += 1
        reply = _conditional(request, route, who, reply)
        if self.world.options.cache_gets and method == "GET" and reply.status == 200:
            if len(self._cache) > 500:
                self._cache.clear()
            self._cache[key] = reply.body = _json(reply.body)
        return reply

    async def _send(
        self, request: web.BaseRequest, reply: Reply, kinds: dict[str, Any]
    ) -> tuple[web.StreamResponse, int]:
        body = reply.body if isinstance(reply.body, bytes) else _json(reply.body)
        headers = (
            {**JSON, **reply.headers}
            if reply.content_type == "application/json"
            else {"Content-Type": reply.content_type, **reply.headers}
        )
        for name in ("huge_numbers", "duplicate_keys", "invalid_utf8", "invalid_json"):
            if name in kinds:
                body = spoil(name, body)
        encoding = kinds["encoding"].get("name", "gzip") if "encoding" in kinds else self._negotiated(request, body)
        if encoding and body:
            body = CODECS[encoding](body)
            headers["Content-Encoding"] = encoding
        if not {"truncate", "chunked", "lying_length", "slow"} & kinds.keys():
            response = web.Response(status=reply.status, body=body, headers=headers)
            for name, value in reply.cookies.items():
                response.set_cookie(name, value, httponly=True, secure=True)
            response.headers.setdefault("Server", "nginx")
            for name, text in INTERNALS:
                response.headers.add(name, text)
            return response, len(body)
        return await _odd(request, web.StreamResponse(status=reply.status, headers=headers), body, kinds)

    def _negotiated(self, request: web.BaseRequest, body: bytes) -> str | None:
        if not self.world.options.compress or len(body) < 500:
            return None
        accepted = request.headers.get("Accept-Encoding", "")
        return next((name for name in ("br", "gzip") if name in accepted), None)


def _json(value: Any) -> bytes:
    """Whatever clients wrote: numbers beyond 64 bits, too."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode()


def _conditional(request: web.BaseRequest, route: Route, who: Creator, reply: Reply) -> Reply:
    """Routes marked `etag` answer If-None-Match; the tag changes with any write of this creator."""
    if route.etag and reply.status == 200:
        tag = f'W/"{who.id:x}-{who.version}-{zlib.crc32(request.raw_path.encode()):x}"'
        if request.headers.get("If-None-Match") == tag:
            return Reply(b"", 304, {"ETag": tag})
        reply.headers["ETag"] = tag
    return reply


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Reply:
    return Reply({"error": {"code": status, "message": message}}, status, headers or {})


def _rate_limit(params: dict[str, Any]) -> Reply:
    after = params.get("retry_after", 2)
    return _error(
        429, params.get("message", "Too many requests"), None if after is None else {"Retry-After": str(after)}
    )


def _page(params: dict[str, Any], status: int) -> Reply:
    status = params.get("status", status)
    title = f"{status} Internal Server Error" if status >= 500 else "Welcome"
    return Reply(HTML.format(title).encode(), status, content_type="text/html; charset=utf-8")


def _raw(params: dict[str, Any]) -> Reply:
    body = base64.b64decode(params["body_b64"]) if "body_b64" in params else str(params.get("body", "")).encode()
    return Reply(
        body,
        params.get("status", 200),
        params.get("headers", {}),
        content_type=params.get("content_type", "application/json"),
    )


def _redirect(params: dict[str, Any]) -> Reply:
    location = params.get("location", "https://example.test/elsewhere")
    return Reply(b"", params.get("status", 302), {"Location": location}, content_type="text/html")


INSTEAD: dict[str, Callable[[dict[str, Any]], Reply]] = {
    "raw": _raw,
    "redirect": _redirect,
    "rate_limit": _rate_limit,
    "dead_session": lambda _params: _error(401, "Please refresh the page"),
    "forbidden": lambda params: _error(403, params.get("message", "Access denied")),
    "not_found": lambda params: _error(404, params.get("message", "Not found")),
    "server_error": lambda params: _page(params, 500),
    "html": lambda params: _page(params, 200),
    "empty": lambda params: Reply(b"", params.get("status", 200)),
}


async def _odd(
    request: web.BaseRequest, response: web.StreamResponse, body: bytes, kinds: dict[str, Any]
) -> tuple[web.StreamResponse, int]:
    """Chunked, truncated, slow, or with a Content-Length that lies."""
    length, sent = len(body), body
    if "truncate" in kinds:
        sent = body[: int(length * float(kinds["truncate"].get("keep", 0.5)))]
    if "lying_length" in kinds:
        length = max(0, length + int(kinds["lying_length"].get("delta", 100)))
        sent = sent[:length]
    if "chunked" in kinds:
        response.enable_chunked_encoding()
    else:
        response.content_length = length
    await response.prepare(request)
    rate = float(kinds["slow"].get("bytes_per_s", 1_000_000)) if "slow" in kinds else 0
    size = max(1, int(rate / 50)) if rate else 4096 if "chunked" in kinds else max(1, len(sent))
    for position in range(0, len(sent), size):
        await response.write(sent[position : position + size])
        if rate:
            await asyncio.sleep(size / rate)
    if request.transport is not None and (len(sent) < length or "truncate" in kinds):
        request.transport.close()
    return response, len(sent)


def _reset(request: web.BaseRequest) -> None:
    """Close the connection with RST, nothing sent."""
    if request.transport is None:
        return
    raw = request.transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.transport.abort()
