"""Load: N kept-alive connections, each sending its next request when the answer to the last is whole."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Result:
    """Latencies in seconds; `failed` counts answers other than 200."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    failed: int = 0
    cpu_seconds: float = 0.0

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0

    def add(self, other: Result) -> None:
        self.seconds += other.seconds
        self.latencies += other.latencies
        self.failed += other.failed
        self.cpu_seconds += other.cpu_seconds

    @property
    def cpu_ms(self) -> float:
        """Processor time of the server per request: what is left when the machine is shared with others."""
        return self.cpu_seconds / len(self.latencies) * 1000 if self.latencies else 0.0

    def summary(self) -> dict[str, Any]:
        return {
            "requests_per_s": round(self.rate, 1),
            "p50_ms": round(self.percentile(0.5) * 1000, 2),
            "p99_ms": round(self.percentile(0.99) * 1000, 2),
            "cpu_ms": round(self.cpu_ms, 3),
            "failed": self.failed,
        }


class _Client(asyncio.Protocol):
    def __init__(self, raw: bytes, result: Result, until: float, budget: list[int] | None) -> None:
        self._raw, self._result, self._until, self._budget = raw, result, until, budget
        self._buffer = bytearray()
        self._need = -1
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def _send(self) -> None:
        over = time.perf_counter() >= self._until
        if self._budget is not None:
            over = self._budget[0] <= 0
            self._budget[0] -= 1
        if over:
            self._transport.close()
            return
        self._at = time.perf_counter()
        self._transport.write(self._raw)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._need < 0:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._buffer[:end]).lower()
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            self._need = end + 4 + length
            if not head.startswith(b"http/1.1 200"):
                self._result.failed += 1
        if len(self._buffer) >= self._need:
            del self._buffer[: self._need]
            self._need = -1
            self._result.latencies.append(time.perf_counter() - self._at)
            self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


def request(path: str, key: str | None = None) -> bytes:
    auth = f"Authorization: Bearer {key}\r\n" if key else ""
    return f"GET {path} HTTP/1.1\r\nHost: bench.test\r\nAccept: application/json\r\n{auth}\r\n".encode()


async def fire(port: int, raw: bytes, connections: int, seconds: float, requests: int | None = None) -> Result:
    """`connections` clients for `seconds`, or until `requests` were sent."""
    result, loop = Result(), asyncio.get_running_loop()
    budget = [requests] if requests is not None else None
    start = time.perf_counter()
    until = start + seconds
    made = [
        loop.create_connection(lambda: _Client(raw, result, until, budget), "127.0.0.1", port)
        for _ in range(connections)
    ]
    clients = [protocol for _, protocol in await asyncio.gather(*made)]
    await asyncio.gather(*(c.done for c in clients))
    result.seconds = time.perf_counter() - start
    return result
