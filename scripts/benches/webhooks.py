"""Draining a backlog of events to three webhooks, one of which is dead: deliveries a second on one core, and memory.

`python -m scripts.benches.webhooks --events 100000`
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from scripts.benches.serving import pin, resident_bytes

if TYPE_CHECKING:
    from addons.pipeline.services import Services

ACCOUNTS = 8
CHUNK = 1000
TARGET_PER_S = 500
ALLOWED_BYTES = 20_000_000
SAMPLES = 5
EVENT = "messages.received"


class Receiver(asyncio.Protocol):
    """Answers every POST with 204 and forgets it."""

    def __init__(self) -> None:
        self._seen = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._seen += data
        while (end := self._seen.find(b"\r\n\r\n")) >= 0:
            head = self._seen[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._seen) < end + 4 + length:
                return
            self._seen = self._seen[end + 4 + length :]
            assert self._transport is not None
            self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")


async def _receive() -> None:
    server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)


@contextlib.contextmanager
def receiver() -> Iterator[int]:
    """A receiver in a process of its own, on the other core; gives its port."""
    args = [sys.executable, "-m", "scripts.benches.webhooks", "--receive"]
    with subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        pin(process.pid, 0)
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()


def run(events: int, url: str | None = None) -> dict[str, Any]:
    """`url`: a store with tables to use instead of a new SQLite file."""
    pin(os.getpid(), 1)
    with tempfile.TemporaryDirectory(prefix="ofapi-bench-") as folder, receiver() as port:
        services, hooks = _backlog(url or f"sqlite:///{folder}/store.db", events, port)
        try:
            return asyncio.run(_drain(services, hooks, events))
        finally:
            services.store.close()


def _backlog(url: str, count: int, port: int) -> tuple[Services, list[str]]:
    """Two webhooks that work, one that nobody listens to, and events for all three."""
    from addons.config import Config
    from addons.pipeline.services import Services
    from addons.webhooks.examples import EXAMPLES
    from ofapi_store import testing
    from ofapi_store.engine import Store
    from ofapi_store.queries import events, webhooks
    from ofapi_store.secrets import SecretBox

    store = Store.open(url)
    testing.create_all(store)
    box = SecretBox([SecretBox.generate_key()])
    ends = [f"http://127.0.0.1:{port}/a", f"http://127.0.0.1:{port}/b", "http://127.0.0.1:9/dead"]
    with store.write() as conn:
        team = testing.make_team(conn)
        hooks = [
            webhooks.create(
                conn, team.id, url=end, events=[EVENT], account_scope="global", secret=box.encrypt("s3cret")
            ).id
            for end in ends
        ]
    payload = EXAMPLES[EVENT]
    for start in range(0, count, CHUNK):
        facts = [
            events.NewEvent(EVENT, f"message:{n}", payload, f"acct_{n % ACCOUNTS}")
            for n in range(start, min(start + CHUNK, count))
        ]
        with store.write() as conn:
            events.emit_all(conn, team.id, facts)
    config = Config.build({"network": {"allow_private": ["127.0.0.0/8"]}})
    return Services(config, store, box), hooks


async def _drain(services: Services, hooks: list[str], count: int) -> dict[str, Any]:
    from addons.webhooks.loop import DeliveryLoop

    loop = DeliveryLoop(services, "bench")
    sizes: list[int] = []
    started, cpu = time.perf_counter(), time.process_time()
    task = asyncio.create_task(loop.run())
    done = 0
    while done < 2 * count and not task.done():
        await asyncio.sleep(0.2)
        if loop.sent >= (len(sizes) + 1) * 2 * count / SAMPLES:
            sizes.append(resident_bytes(os.getpid()))
        if loop.sent >= 2 * count:  # counting rows is work, too
            done = await services.store.aread_slow(_delivered, hooks[:2])
    seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    rate = done / seconds
    flat = len(sizes) < 2 or sizes[-1] - sizes[0] <= ALLOWED_BYTES
    return {
        "bench": "webhooks",
        "events": count,
        "delivered": done,
        "seconds": round(seconds, 1),
        "cpu_s": round(cpu_s, 1),
        "per_s": round(rate),
        "per_cpu_s": round(done / cpu_s),
        "tries_of_the_dead": loop.sent - done,
        "rss_bytes": sizes,
        "flat": flat,
        "reached": flat and rate >= TARGET_PER_S,
    }


def _delivered(conn: Any, hooks: list[str]) -> int:
    from sqlalchemy import func, select

    from ofapi_store.queries.events import DELIVERIES

    c = DELIVERIES.c
    query = select(func.count()).where(c.webhook_id.in_(hooks), c.state == "delivered")
    return int(conn.execute(query).scalar_one())


def text(found: dict[str, Any]) -> str:
    sizes = ", ".join(f"{size / 1e6:.0f}" for size in found["rss_bytes"])
    return (
        f"webhooks: {found['delivered']} deliveries of {found['events']} events in {found['seconds']} s,"
        f" {found['per_s']} a second (to reach: {TARGET_PER_S}), {found['per_cpu_s']} per CPU second,"
        f" {found['tries_of_the_dead']} tries of the dead endpoint,"
        f" memory {sizes} MB: {'flat' if found['flat'] else 'growing'}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.benches.webhooks", description=__doc__)
    parser.add_argument("--events", type=int, default=10_000, help="events of the backlog [10000]")
    parser.add_argument("--store", help="URL of an empty store [a new SQLite file]")
    parser.add_argument("--json", action="store_true", help="one JSON value")
    parser.add_argument("--receive", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.receive:
        asyncio.run(_receive())
        return 0
    found = run(args.events, args.store)
    sys.stdout.write((json.dumps(found) if args.json else text(found)) + "\n")
    return 0 if found["reached"] else 1


if __name__ == "__main__":
    sys.exit(main())
