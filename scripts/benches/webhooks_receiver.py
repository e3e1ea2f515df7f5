"""The endpoints of `scripts/bench webhooks`, in a process of their own: two that work and one that is dead until told.

Each delivery is checked as it is answered: its number must follow the account's last one at that endpoint, and no number
may come twice. Commands on stdin, one JSON answer a line: `report`, `revive`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

from scripts.benches.serving import pin

ACCOUNTS = 8
REFUSES, HANGS = "refuses", "hangs"
NAMES = ("a", "b", "dead")
_NUMBER = b'"payload":{"n":'


@dataclass(slots=True)
class Seen:
    """What one endpoint has answered. `late`: deliveries of an account that came after a later one of it."""

    count: int = 0
    doubled: int = 0
    late: int = 0
    numbers: bytearray = field(default_factory=bytearray)
    last: dict[int, int] = field(default_factory=dict)

    def add(self, number: int) -> None:
        if number >= len(self.numbers):
            self.numbers.extend(bytes(number + 1 - len(self.numbers)))
        self.doubled += self.numbers[number]
        self.numbers[number] = 1
        account = number % ACCOUNTS
        self.late += number < self.last.get(account, -1)
        self.last[account] = number
        self.count += 1

    def report(self) -> dict[str, int]:
        return {"count": self.count, "doubled": self.doubled, "late": self.late}


class Endpoints:
    """`dead`: refuses (nobody listens on its port) | hangs (takes requests and never answers)."""

    def __init__(self, dead: str) -> None:
        self.seen = {name: Seen() for name in NAMES}
        self.hanging = dead == HANGS
        self._dead = socket.socket()
        self._dead.bind(("127.0.0.1", 0))

    async def open(self) -> dict[str, int]:
        """Listens; gives the port of each endpoint."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)
        if self.hanging:
            await self._listen()
        live = server.sockets[0].getsockname()[1]
        return {"a": live, "b": live, "dead": self._dead.getsockname()[1]}

    async def revive(self) -> None:
        """The dead endpoint works from now on; what it hangs on stays unanswered."""
        if not self.hanging:
            await self._listen()
        self.hanging = False

    async def _listen(self) -> None:
        await asyncio.get_running_loop().create_server(lambda: _Connection(self), sock=self._dead)

    def answers(self, name: str, body: bytes) -> bool:
        if name == "dead" and self.hanging:
            return False
        at = body.index(_NUMBER) + len(_NUMBER)
        self.seen[name].add(int(body[at : body.index(b",", at)]))
        return True


class _Connection(asyncio.Protocol):
    """Answers with 204, and drops what it has read."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._read = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        while (end := self._read.find(b"\r\n\r\n")) >= 0:
            head = self._read[:end].lower()
            at = head.find(b"content-length:")
            stop = end + 4 + int(head[at + 15 :].split(b"\r\n", 1)[0])
            if len(self._read) < stop:
                return
            body, self._read = self._read[end + 4 : stop], self._read[stop:]
            assert self._transport is not None
            if self._endpoints.answers(head.split(b" ", 2)[1].decode().strip("/"), body):
                self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")


async def _serve(dead: str) -> None:
    endpoints = Endpoints(dead)
    _say(await endpoints.open())
    while command := (await asyncio.to_thread(sys.stdin.readline)).strip():
        if command == "revive":
            await endpoints.revive()
        _say({name: seen.report() for name, seen in endpoints.seen.items()})


def _say(value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


@dataclass(frozen=True, slots=True)
class Remote:
    """The endpoints, from outside. `ports` by name."""

    ports: dict[str, int]
    commands: IO[bytes]
    answers: IO[bytes]

    async def ask(self, command: str) -> dict[str, dict[str, int]]:
        return await asyncio.to_thread(self._ask, command)

    def _ask(self, command: str) -> dict[str, dict[str, int]]:
        self.commands.write(command.encode() + b"\n")
        self.commands.flush()
        found: dict[str, dict[str, int]] = json.loads(self.answers.readline())
        return found


@contextlib.contextmanager
def running(dead: str) -> Iterator[Remote]:
    """On the first core; the sender has the second."""
    args = [sys.executable, "-m", "scripts.benches.webhooks_receiver", dead]
    with subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        pin(process.pid, 0)
        try:
            yield Remote(json.loads(process.stdout.readline()), process.stdin, process.stdout)
        finally:
            process.stdin.close()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
