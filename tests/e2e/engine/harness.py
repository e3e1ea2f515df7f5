"""Parts for engine tests: a gateway that forwards, upstream servers that do as told, a raw HTTP client."""

from __future__ import annotations

import asyncio
import atexit
import functools
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import argon2
from mitmproxy import contentviews
from mitmproxy import options as moptions
from mitmproxy.master import Master

from addons.config.serving import Retention
from addons.engine import options as engine_options
from addons.engine.gateway import GatewayAddon
from addons.engine.master import GatewayMaster, GatewayWebMaster
from addons.engine.patches import install
from addons.engine.policy import Hosts, Policy
from addons.engine.running import Listening, started
from addons.inspect.contentview import OfapiView
from addons.inspect.observer import FlowObserver
from addons.inspect.retention import Retention as RetentionAddon
from addons.inspect.web import access
from addons.pipeline.errors import ApiError
from addons.pipeline.exchange import (
    BodyMode,
    Entry,
    Exchange,
    Headers,
    Request,
    Response,
    ResponseHead,
    UpstreamFailure,
    UpstreamRequest,
)

HOP = {"host", "content-length", "authorization", "expect"}
HOSTS = Hosts(frozenset({"api.example.test"}), frozenset({"only.example.test"}), lambda: ["cdn*.only.example.test"])
FAIL_STATUS = {"timeout": (504, "upstream_timeout")}


@dataclass
class FakeGateway:
    """Forwards everything to `base_url`. `edit` changes JSON bodies; the rest of the stages only record."""

    base_url: str
    edit: Callable[[bytes], bytes] | None = None
    local: Callable[[Exchange], Awaitable[Response | None]] | None = None
    via: str | None = None
    timeout_s: float = 10.0
    mode: BodyMode = BodyMode.BUFFER
    begun: list[Exchange] = field(default_factory=list)
    after_calls: list[Exchange] = field(default_factory=list)
    failures: list[UpstreamFailure] = field(default_factory=list)

    def begin(self, request: Request, entry: Entry) -> Exchange:
        x = Exchange(id=f"x{len(self.begun)}", entry=entry, request=request, started=0.0)
        self.begun.append(x)
        if "\0" in request.target or "%00" in request.target:
            raise ApiError(400, "bad_request", "The path contains NUL.")
        return x

    async def admit(self, x: Exchange) -> None:
        if x.request.headers.get("authorization") == "Bearer wrong":
            raise ApiError(401, "unauthorized", "no")

    def request_mode(self, x: Exchange) -> BodyMode:
        kind = x.request.headers.get("content-type") or ""
        return BodyMode.STREAM if kind.startswith("multipart/") else BodyMode.BUFFER

    async def prepare(self, x: Exchange) -> None:
        if self.local is not None:
            x.response = await self.local(x)
            if x.response is not None:
                return
        headers = Headers([(k, v) for k, v in x.request.headers if k.lower() not in HOP])
        x.upstream = UpstreamRequest(
            x.request.method, self.base_url + x.request.target, headers, x.request.body, self.via, self.timeout_s
        )

    def response_mode(self, x: Exchange, head: ResponseHead) -> BodyMode:
        if self.mode is BodyMode.BUFFER and "json" in (head.headers.get("content-type") or ""):
            return BodyMode.BUFFER
        return BodyMode.STREAM

    async def finish(self, x: Exchange, response: Response) -> Response:
        body = self.edit(response.body) if self.edit else response.body
        return Response(response.status, response.headers, body)

    def finish_head(self, x: Exchange, head: ResponseHead) -> ResponseHead:
        head.headers.remove("set-cookie")
        return head

    def fail(self, x: Exchange, failure: UpstreamFailure) -> Response:
        self.failures.append(failure)
        status, code = FAIL_STATUS.get(failure.kind, (502, "upstream_unreachable"))
        body = f'{{"error":"{code}","message":"{failure.kind}"}}'.encode()
        return Response(status, Headers([("Content-Type", "application/json")]), body)

    async def after(self, x: Exchange) -> None:
        self.after_calls.append(x)


@dataclass
class Running:
    """A started engine and the gateway behind it."""

    gateway: FakeGateway
    where: Listening
    master: Master

    @property
    def port(self) -> int:
        return self.where.listen[1]

    @property
    def proxy_port(self) -> int:
        assert self.where.proxy
        return self.where.proxy[1]


@functools.cache
def shared_ca_dir() -> str:
    """One certificate authority for all tests: making its key takes longer than most of them."""
    folder = tempfile.mkdtemp(prefix="ofapi-test-ca-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@asynccontextmanager
async def engine(
    gateway: FakeGateway, tmp_path: Path, policy: Policy | None = None, **overrides: Any
) -> AsyncIterator[Running]:
    """The engine over `gateway`, on free ports."""
    policy = policy or Policy()
    install(policy)
    addon = GatewayAddon(gateway, policy, HOSTS)  # type: ignore[arg-type]
    master = GatewayMaster(moptions.Options(confdir=shared_ca_dir()), addon)
    engine_options.apply(master.options, engine_options.serving_options(policy, overrides.pop("ca_file", None)))
    with engine_options.FreePorts() as ports:
        modes = ["reverse:http://placeholder@127.0.0.1:0", f"regular@127.0.0.1:{ports.take('127.0.0.1')}"]
        engine_options.apply(master.options, {"mode": modes, **overrides})
        async with started(master) as where:
            yield Running(gateway, where, master)


WEB_PASSWORD = "correct horse"


@functools.cache
def web_hash() -> str:
    return argon2.PasswordHasher(time_cost=1, memory_cost=64).hash(WEB_PASSWORD)


@asynccontextmanager
async def web_engine(gateway: FakeGateway, limits: Retention | None = None) -> AsyncIterator[tuple[Running, str]]:
    """The engine as mitmweb; gives its URL too."""
    policy = Policy()
    install(policy)
    contentviews.add(OfapiView())
    addon = GatewayAddon(gateway, policy, HOSTS, observer=FlowObserver())  # type: ignore[arg-type]
    master = GatewayWebMaster(moptions.Options(confdir=shared_ca_dir()), addon, RetentionAddon(limits or Retention()))
    with engine_options.FreePorts() as ports:
        door = access("127.0.0.1", ports.take("127.0.0.1"), web_hash())
        values = {**engine_options.serving_options(policy, None), **door.options()}
        values["mode"] = [
            "reverse:http://placeholder@127.0.0.1:0",
            f"regular@127.0.0.1:{ports.take('127.0.0.1')}",
        ]
        engine_options.apply(master.options, values)
        async with started(master) as where:
            yield Running(gateway, where, master), f"http://127.0.0.1:{door.port}"


async def until(condition: Callable[[], bool]) -> None:
    """Waits for what happens after an answer has gone out; TimeoutError after 30 s."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


@dataclass
class Seen:
    """A request as an upstream server saw it."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((v for k, v in self.headers if k.lower() == name), None)


async def read_message(reader: asyncio.StreamReader) -> Seen:
    """One HTTP/1 message; raises IncompleteReadError where there is none."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = [(k, v.strip()) for k, _, v in (line.partition(":") for line in head[1:] if line)]
    seen = Seen(head[0], headers, b"")
    if (seen.header("transfer-encoding") or "").lower() == "chunked":
        seen.body = await _read_chunks(reader)
    elif length := seen.header("content-length"):
        seen.body = await reader.readexactly(int(length))
    return seen


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    out = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        out += await reader.readexactly(size)
        await reader.readline()
    while (await reader.readline()).strip():
        pass
    return out


Answer = Callable[[Seen], bytes | None]


@dataclass
class Upstream:
    """A server that answers each request with `answer(seen)`: raw bytes, None closes without a byte."""

    answer: Answer
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    closed: int = 0
    url: str = ""
    close_after: int | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        served = 0
        try:
            while True:
                seen = await read_message(reader)
                self.seen.append(seen)
                raw = self.answer(seen)
                if raw is None:
                    break
                writer.write(raw)
                await writer.drain()
                served += 1
                if self.close_after is not None and served >= self.close_after:
                    break
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.closed += 1
            writer.close()


@asynccontextmanager
async def upstream(answer: Answer, **options: Any) -> AsyncIterator[Upstream]:
    """An upstream server on a free loopback port."""
    ssl = options.pop("ssl", None)
    host = Upstream(answer, **options)
    server = await asyncio.start_server(host.serve, "127.0.0.1", 0, ssl=ssl)
    scheme = "https" if ssl else "http"
    host.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield host
    finally:
        server.close()


def reply(body: bytes = b"{}", status: str = "200 OK", kind: str = "application/json", *more: str) -> bytes:
    """A framed answer."""
    head = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *more]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


@dataclass
class Reply:
    """A response as the client read it."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((v for k, v in self.headers if k.lower() == name), None)


class Client:
    """One raw client connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> Client:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def send(self, raw: bytes | str) -> None:
        self.writer.write(raw.encode() if isinstance(raw, str) else raw)
        await self.writer.drain()

    async def read(self, *, head: bool = False) -> Reply:
        """The next answer. `head`: it answers HEAD, so no body follows."""
        text = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = [(k, v.strip()) for k, _, v in (line.partition(":") for line in text[1:] if line)]
        found = Reply(int(text[0].split()[1]), headers, b"")
        if head or found.status in (100, 204, 304):
            return found
        if (found.header("transfer-encoding") or "") == "chunked":
            found.body = await _read_chunks(self.reader)
        elif (length := found.header("content-length")) is not None:
            found.body = await self.reader.readexactly(int(length))
        else:
            found.body = await self.reader.read()
        return found

    async def ask(self, method: str, target: str, *headers: str, body: bytes = b"") -> Reply:
        lines = [f"{method} {target} HTTP/1.1", "Host: gateway.test", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        await self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        return await self.read(head=method == "HEAD")

    def close(self) -> None:
        self.writer.close()


@asynccontextmanager
async def client(port: int) -> AsyncIterator[Client]:
    opened = await Client.open(port)
    try:
        yield opened
    finally:
        opened.close()
