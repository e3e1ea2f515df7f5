"""Cached files beside nginx serving the same file, the first byte of an uncached stream, and the cost of swapping URLs."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web

from addons.media.links import file_id
from addons.pipeline.exchange import Entry, Exchange, Headers, Request
from scripts.benches.serving import pin, process

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from addons.media.service import MediaService

SIZES = {"2 KB": 2048, "1 MB": 1_000_000, "50 MB": 50_000_000}
CONNECTIONS = {"2 KB": 16, "1 MB": 8, "50 MB": 2}
TARGETS = {"1 MB": 0.5, "50 MB": 0.5}
SWAP_TARGET_MS = 5.0
FIRST_BYTE_TARGET = 1.2
URLS, BODY = 500, 1_000_000
NGINX = """{user}worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 256; }}
http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; client_body_temp_path {folder}/a;
proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
server {{ listen 127.0.0.1:{port}; root {folder}/files; }} }}
"""


def run(seconds: float, rounds: int) -> dict[str, Any]:
    """All figures; `rows` are of cached files, in requests and megabytes a second."""
    with tempfile.TemporaryDirectory(prefix="ofapi-bench-") as name:
        folder = Path(name)
        return {"rows": _cached(folder, seconds, rounds), **asyncio.run(_in_process(folder / "own"))}


def reached(found: dict[str, Any]) -> bool:
    rows = all(r["ratio"] is None or r["ratio"] >= TARGETS.get(r["file"], 0.0) for r in found["rows"])
    return bool(rows and found["swap_ms"] <= SWAP_TARGET_MS and found["first_byte_ratio"] <= FIRST_BYTE_TARGET)


def text(found: dict[str, Any]) -> str:
    lines = [f"{'file':>6} {'nginx MB/s':>11} {'ours MB/s':>10} {'ratio':>6}"]
    for row in found["rows"]:
        nginx = "–" if row["nginx_mb_s"] is None else f"{row['nginx_mb_s']:.0f}"
        ratio = "–" if row["ratio"] is None else f"{row['ratio']:.2f}"
        lines.append(f"{row['file']:>6} {nginx:>11} {row['ours_mb_s']:>10.0f} {ratio:>6}")
    lines.append(
        f"swap: {URLS} URLs in {BODY} bytes cost {found['swap_ms']:.2f} ms more than none (to reach: {SWAP_TARGET_MS:g})"
    )
    lines.append(f"a body without media URLs costs {found['none_ms']:.3f} ms")
    lines.append(
        f"first byte of an uncached stream: {found['first_byte_ratio']:.2f} × direct (to reach: {FIRST_BYTE_TARGET:g})"
    )
    return "\n".join(lines)


def _cached(folder: Path, seconds: float, rounds: int) -> list[dict[str, Any]]:
    files = folder / "files"
    files.mkdir()
    for size in SIZES.values():
        (files / f"{size}.bin").write_bytes(random.Random(size).randbytes(size))  # noqa: S311 (bytes to send)
    rows = []
    with _ours(folder) as ours, _nginx(folder) as nginx:
        for name, size in SIZES.items():
            mine, theirs = [], []
            for _ in range(rounds):
                mine.append(_rate(ours[0], ours[1][size], CONNECTIONS[name], seconds))
                if nginx is not None:
                    theirs.append(_rate(nginx, f"/{size}.bin", CONNECTIONS[name], seconds))
            rows.append(_row(name, size, max(mine), max(theirs) if theirs else None))
    return rows


def _row(name: str, size: int, ours: float, nginx: float | None) -> dict[str, Any]:
    return {
        "file": name,
        "ours_per_s": round(ours, 1),
        "ours_mb_s": round(ours * size / 1e6, 1),
        "nginx_per_s": None if nginx is None else round(nginx, 1),
        "nginx_mb_s": None if nginx is None else round(nginx * size / 1e6, 1),
        "ratio": None if not nginx else round(ours / nginx, 2),
    }


def _rate(port: int, path: str, connections: int, seconds: float) -> float:
    """Whole answers a second. Threads over plain sockets: the client must not be what is measured."""
    raw = f"GET {path} HTTP/1.1\r\nHost: cdn.fansapi.com\r\n\r\n".encode()
    with ThreadPoolExecutor(connections) as pool:
        started = time.perf_counter()
        counts = list(pool.map(lambda _: _fetch(port, raw, started + seconds), range(connections)))
        return sum(counts) / (time.perf_counter() - started)


def _fetch(port: int, raw: bytes, until: float) -> int:
    """Ask over and over on one connection; the number of whole answers."""
    buffer, count = memoryview(bytearray(1 << 20)), 0
    with socket.create_connection(("127.0.0.1", port)) as connection:
        while time.perf_counter() < until:
            connection.sendall(raw)
            got = connection.recv_into(buffer)
            while (end := bytes(buffer[:got]).find(b"\r\n\r\n")) < 0:
                got += connection.recv_into(buffer[got:])
            head = bytes(buffer[:end]).lower()
            assert head.startswith(b"http/1.1 200"), head
            left = int(head.split(b"content-length:")[1].split(b"\r\n")[0]) - (got - end - 4)
            while left > 0:
                left -= connection.recv_into(buffer)
            count += 1
    return count


@contextmanager
def _nginx(folder: Path) -> Iterator[int | None]:
    """nginx with one worker on the first core; None where it is not installed (apt-get install nginx-light)."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        yield None
        return
    port = _free_port()
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, user="user root; " if os.getuid() == 0 else ""))
    with process([program, "-c", str(config), "-p", str(folder)], folder / "nginx.out") as child:
        for _ in range(200):
            if (folder / "nginx.pid").exists():
                break
            time.sleep(0.02)
        for pid in _children(child.pid):
            pin(pid, 0)
        yield port


def _children(pid: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


@contextmanager
def _ours(folder: Path) -> Iterator[tuple[int, dict[int, str]]]:
    """Our file server in a process on the first core: its port and a link for each size."""
    args = [sys.executable, "-m", "scripts.benches.media", str(folder)]
    with process(args, folder / "ours.log") as child:
        assert child.stdout is not None
        port, *links = child.stdout.readline().decode().split()
        pin(child.pid, 0)
        yield int(port), dict(zip(SIZES.values(), links, strict=True))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def _service(folder: Path, cdn: str | None = None) -> AsyncIterator[MediaService]:
    """A media service with a store of its own."""
    from addons.config import Config
    from addons.media.service import MediaService
    from addons.pipeline.rule_models import MediaRules
    from addons.pipeline.services import Services
    from ofapi_store import testing
    from ofapi_store.engine import Store
    from ofapi_store.secrets import SecretBox

    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 (nothing else runs yet)
    (folder / "secret.key").write_text(SecretBox.generate_key())
    media = {"dir": "media", "upstream_base_url": cdn, "min_free_bytes": 0}
    config = Config.build({"media": media, "secrets": {"keys": [{"file": "secret.key"}]}}, base=folder)
    store = Store.open(f"sqlite:///{folder / 'store.db'}")
    testing.create_all(store)
    plan = SimpleNamespace(media=MediaRules(hosts=["cdn*.onlyfans.com"]))
    service = MediaService(Services(config, store, SecretBox(config.secret_keys())), lambda: plan)  # type: ignore[arg-type, return-value]
    await service.start()
    try:
        yield service
    finally:
        await service.close()
        store.close()


def _adopt(service: MediaService, path: str, data: bytes) -> str:
    """Put a file into the cache; the path of its link."""
    from addons.media.index import Copy

    key = f"cdn*.onlyfans.com {path}"
    part = service.files.part(file_id(key))
    part.write_bytes(data)
    name = path.rsplit("/", 1)[-1]
    copy = Copy(file_id(key), hashlib.sha256(data).hexdigest(), len(data), "image/jpeg", "salt", time.time(), name)
    service.files.adopt(key, copy, part)
    return service.path(copy)


async def _in_process(folder: Path) -> dict[str, Any]:
    async with _canned(random.Random(1).randbytes(1_000_000)) as cdn, _service(folder, cdn) as service:  # noqa: S311
        return {**await _swap(service), "first_byte_ratio": round(await _first_byte(service, cdn), 2)}


async def _swap(service: MediaService) -> dict[str, float]:
    """Milliseconds for a body full of cached URLs beside the same without, the best of 40."""
    for i in range(URLS):
        _adopt(service, f"/files/{i}/{i}.jpg", str(i).encode())
    signature = "Tag=2&u=123&Policy=" + "eyJTdGF0ZW1lbnQiOlt7" * 12 + "&Signature=" + "A" * 340 + "&Key-Pair-Id=APK"
    urls = [f"https://cdn{i % 3 + 1}.onlyfans.com/files/{i}/{i}.jpg?{signature}" for i in range(URLS)]
    pad = "x" * (BODY // URLS - len(urls[0]) - 24)
    body = ("[" + ",".join(f'{{"text":"{pad}","url":"{u}"}}' for u in urls) + "]").encode()
    none = body.replace(b".onlyfans.com", b".onlyfens.com")
    full, empty = await _best_ms(service, body), await _best_ms(service, none)
    return {"swap_ms": round(full - empty, 2), "none_ms": round(empty, 3), "body_bytes": len(body)}


async def _best_ms(service: MediaService, body: bytes) -> float:
    x = Exchange("bench", Entry("reverse", "http", "bench", 80, "127.0.0.1"), Request("GET", "/", Headers()), 0.0)
    times = []
    for _ in range(40):
        started = time.perf_counter()
        await service.swap(body, x)
        times.append((time.perf_counter() - started) * 1000)
    return min(times)


@asynccontextmanager
async def _canned(data: bytes) -> AsyncIterator[str]:
    """A CDN that needs 20 ms until its first byte, as a near one does."""

    async def answer(_: web.Request) -> web.Response:
        await asyncio.sleep(0.02)
        return web.Response(body=data, content_type="image/jpeg", headers={"ETag": '"1"'})

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _first_byte(service: MediaService, cdn: str) -> float:
    """How much longer the first byte takes through us than straight from the CDN, medians."""
    from addons.media.streaming import TICKET, Ticket, ticket_end

    direct, through = [], []
    async with aiohttp.ClientSession() as http:
        for i in range(40):
            path = f"/uncached/{i}.jpg"
            direct.append(await _time_to_first(http, cdn + path, {}))
            ticket = Ticket(f"cdn*.onlyfans.com {path}", f"https://cdn1.onlyfans.com{path}", ticket_end())
            headers = {TICKET: ticket.seal(service.services.secrets)}
            through.append(await _time_to_first(http, f"{service.server.base}/stream", headers))
    return statistics.median(through[5:]) / statistics.median(direct[5:])


async def _time_to_first(http: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> float:
    started = time.perf_counter()
    async with http.get(url, headers=headers) as answer:
        await answer.content.readany()
        taken = time.perf_counter() - started
        await answer.read()
    return taken


async def _serve(folder: Path) -> None:
    """What `_ours` runs."""
    async with _service(folder / "served") as service:
        links = [
            _adopt(service, f"/{size}.bin", (folder / "files" / f"{size}.bin").read_bytes()) for size in SIZES.values()
        ]
        sys.stdout.write(f"{service.server.address[1]} {' '.join(links)}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
