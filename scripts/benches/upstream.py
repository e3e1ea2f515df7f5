"""An upstream that costs next to nothing: fixed answers by path, kept-alive connections."""

from __future__ import annotations

import asyncio
import json
import sys

FANS = 20
FANS_BYTES = 60_000
PLAIN_BYTES = 30_000
HEAD_END = b"\r\n\r\n"


def fans_body() -> bytes:
    """A page of 20 fans in about 60 KB, as upstream pads them."""
    filler = "x" * (FANS_BYTES // FANS - 200)
    fans = [{"id": 1000 + i, "username": f"fan{i}", "name": f"Fan {i}", "about": filler, "v": 1.5} for i in range(FANS)]
    return json.dumps({"list": fans, "hasMore": False}).encode()


def plain_body() -> bytes:
    """Some JSON in about 30 KB."""
    rows = [{"id": i, "text": "y" * 80, "price": "1.10", "tags": ["a", "b"]} for i in range(PLAIN_BYTES // 130)]
    return json.dumps({"rows": rows}).encode()


def framed(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


class Canned(asyncio.Protocol):
    """Answers every GET at once."""

    fans = framed(fans_body())
    plain = framed(plain_body())

    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(HEAD_END)) >= 0:
            line = self._buffer[: self._buffer.find(b"\r\n")]
            self._buffer = self._buffer[end + 4 :]
            self._transport.write(self.fans if b"/subscribers" in line else self.plain)


async def serve() -> None:
    """Until standard input closes; the port is the first line of output."""
    server = await asyncio.get_running_loop().create_server(Canned, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve())
