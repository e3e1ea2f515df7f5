"""The redirect of smart links: its rate beside bare mitmdump that answers a fixed 302, and clicks that survive kill -9."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.benches import serving
from scripts.benches.load import Result

CONNECTIONS = 16
WARM_S = 1.0
STORED_S = 180.0
SLOWEST = 50  # answers a second at which a run is given up
FIXED = """
from mitmproxy import http
def request(flow):
    flow.response = http.Response.make(302, b"", {"Location": "https://onlyfans.com/c1", "Cache-Control": "no-store"})
"""
AGENT = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0 Safari/537.36"


@dataclass
class Clicks:
    """Answers of one run: latencies, and the numbers of the clicks that were answered with a 302."""

    result: Result = field(default_factory=Result)
    answered: list[int] = field(default_factory=list)


class _Visitor(asyncio.Protocol):
    """One connection; sends its next click when the last one is answered. Ends when the server goes away."""

    def __init__(self, path: str, numbers: Iterator[int], clicks: Clicks, until: float) -> None:
        self._path, self._numbers, self._clicks, self._until = path, numbers, clicks, until
        self._buffer = bytearray()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def _send(self) -> None:
        number = next(self._numbers, None)
        if number is None or time.perf_counter() >= self._until:
            self._transport.close()
            return
        self._number, self._at = number, time.perf_counter()
        head = f"GET {self._path}?utm_source=bench&aff_s1={number} HTTP/1.1\r\nHost: bench.test\r\n"
        self._transport.write(f"{head}User-Agent: {AGENT.format(number % 500)}\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if b"\r\n\r\n" not in self._buffer:
            return
        if self._buffer.startswith(b"HTTP/1.1 302"):
            self._clicks.answered.append(self._number)
        else:
            self._clicks.result.failed += 1
        self._clicks.result.latencies.append(time.perf_counter() - self._at)
        self._buffer.clear()  # a 302 has no body
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def visit(port: int, path: str, numbers: Iterator[int], seconds: float, clicks: Clicks | None = None) -> Clicks:
    """Sixteen visitors at once, for that long or until the numbers end; `clicks` is filled as they go."""
    clicks, loop = clicks or Clicks(), asyncio.get_running_loop()
    start = time.perf_counter()
    made = [
        loop.create_connection(lambda: _Visitor(path, numbers, clicks, start + seconds), "127.0.0.1", port)
        for _ in range(CONNECTIONS)
    ]
    visitors = [protocol for _, protocol in await asyncio.gather(*made)]
    await asyncio.gather(*(v.done for v in visitors))
    clicks.result.seconds = time.perf_counter() - start
    return clicks


@dataclass(frozen=True)
class Prepared:
    """A gateway's folder with a smart link whose pool is made."""

    folder: Path
    config_path: Path
    store_url: str
    path: str
    link: str


def prepare(folder: Path, rules: Path) -> Prepared:
    from scripts.cli.stack import Stack

    limits = {"limits": {"requests_per_minute": 1_000_000_000}, "log": {"level": "warning"}}
    stack = Stack.prepare(folder / "stack", rules_dir=rules, worker=False, config=limits)
    stack.point_to("http://127.0.0.1:9", None)
    link = add_link(stack.store_url, stack.account)
    return Prepared(folder, stack.config_path, stack.store_url, f"/go/{link}", link)


def add_link(store_url: str, account_id: str, pool: int = 50, first: int = 9_000_000) -> str:
    """A smart link with real links in its pool, numbered from `first`; its id."""
    from ulid import ULID

    from ofapi_store.engine import Store
    from ofapi_store.queries import accounts, links, pools, smart_links
    from ofapi_store.types import now_utc

    store, now, ulid = Store.open(store_url), now_utc(), str(ULID())
    try:
        with store.write() as conn:
            account = accounts.by_id(conn, account_id)
            assert account is not None
            row = smart_links.SmartRow(
                ulid, account.team_id, account_id, "Bench", "tracking_link", None, "active", None, now, now, "", None
            )
            smart_links.create(conn, row)
            pools.add(conn, ulid, [f"bench {n}" for n in range(pool)], now=now)
            for n, member in enumerate(pools.of_smart(conn, ulid)):
                pk = links.ensure(conn, account_id, "tracking", first + n, now=now)
                links.mark_smart(conn, pk, name=member.name, created_at=now)
                pools.made(conn, member.id, link_pk=pk, url=f"https://onlyfans.com/bench/c{n}")
    finally:
        store.close()
    return ulid


@contextmanager
def running(made: Prepared, name: str) -> Iterator[serving.Target]:
    ready = made.folder / f"{name}.json"
    args = [sys.executable, "-m", "scripts.benches.serving", str(made.config_path), str(ready), ""]
    with serving.process(args, made.folder / "gateway.log") as child:
        found = serving._ready(ready, child, made.folder / "gateway.log")
        serving.pin(child.pid, 0)
        yield serving.Target(found["port"], child.pid)


@contextmanager
def fixed(folder: Path) -> Iterator[serving.Target]:
    """Bare mitmdump with a script of two lines."""
    script, port = folder / "fixed.py", serving._free_port()
    script.write_text(FIXED)
    mitmdump = str(Path(sys.executable).with_name("mitmdump"))
    args = [mitmdump, "-s", str(script), "--mode", f"reverse:http://127.0.0.1:9@127.0.0.1:{port}"]
    args += ["--set", f"confdir={folder / 'bare'}"]
    for option in serving.BARE_OPTIONS:
        args += ["--set", option]
    with serving.process(args, folder / "bare.log") as child:
        serving._wait(port, child)
        serving.pin(child.pid, 0)
        yield serving.Target(port, child.pid)


def rate(rules: Path, seconds: float, rounds: int, tell: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Requests per second of both, measured in turns, and their ratio; which answered clicks are not in the store."""
    serving.pin(os.getpid(), 1)
    with ExitStack() as ends:
        folder = ends.enter_context(serving.workspace())
        made = prepare(folder, rules)
        targets = {"bare": ends.enter_context(fixed(folder)), "gateway": ends.enter_context(running(made, "rate"))}
        totals = {name: Result() for name in targets}
        numbers, answered = itertools.count(), set[int]()
        for turn in range(rounds + 1):
            for name, target in targets.items():
                before = serving.cpu_seconds(target.pid)
                clicks = asyncio.run(visit(target.port, made.path, numbers, seconds if turn else WARM_S))
                clicks.result.cpu_seconds = serving.cpu_seconds(target.pid) - before
                answered.update(clicks.answered if name == "gateway" else ())
                if turn:
                    totals[name].add(clicks.result)
                    tell(f"redirect, round {turn} of {rounds}: {name} {clicks.result.rate:.0f} a second")
        _stored(made, len(answered))
        found = _verified(made, answered)
    ours, bare = totals["gateway"], totals["bare"]
    return {
        "gateway": ours.summary(),
        "bare": bare.summary(),
        "ratio": round(ours.rate / bare.rate, 3),
        "cpu_ratio": round(bare.cpu_ms / ours.cpu_ms, 3),
        **found,
    }


def _verified(made: Prepared, answered: set[int]) -> dict[str, int]:
    """Every stored click by its number, beside those that were answered."""
    stored = _numbers(made)
    lost, doubled = len(answered - set(stored)), len(stored) - len(set(stored))
    return {"answered": len(answered), "stored": len(stored), "lost": lost, "doubled": doubled}


def _stored(made: Prepared, wanted: int) -> int:
    """Clicks in the store, once they are as many as wanted or no more come."""
    from ofapi_store.engine import Store
    from ofapi_store.queries import clicks

    store, end, found = Store.open(made.store_url), time.monotonic() + STORED_S, 0
    try:
        while time.monotonic() < end and found < wanted:
            with store.read() as conn:
                found = sum(n for _, n in clicks.by_day(conn, clicks.Filter(made.link)))
            time.sleep(0.1)
    finally:
        store.close()
    return found


def kills(rules: Path, clicks: int, times: int, tell: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """`clicks` answered clicks with `times` kill -9 in between: which of them are not in the store, or twice."""
    with serving.workspace() as folder:
        made = prepare(folder, rules)
        numbers, answered, seconds = iter(range(10 * clicks)), set[int](), 0.0
        for run in range(times + 1):
            share = clicks * (run + 1) // (times + 1)
            with running(made, f"kill-{run}") as target:
                wanted = max(0, share - len(answered))
                found = asyncio.run(_until(target, made.path, numbers, wanted, kill=run < times))
                answered.update(found.answered)
                seconds += found.result.seconds
                tell(f"kill -9: {len(answered):,} of {clicks:,} answered{', killed' if run < times else ''}")
                if run == times:
                    _stored(made, len(answered))
        if len(answered) < clicks:
            raise RuntimeError(f"only {len(answered)} of {clicks} clicks were answered; see why with --part redirect")
        rate = round(len(answered) / seconds, 1)
        return {**_verified(made, answered), "kills": times, "answered_per_s": rate}


async def _until(target: serving.Target, path: str, numbers: Iterator[int], wanted: int, *, kill: bool) -> Clicks:
    """Clicks until so many were answered; then, under load, the kill."""
    limited, clicks = numbers if kill else itertools.islice(numbers, wanted), Clicks()
    seconds = 60 + wanted / SLOWEST
    work = asyncio.create_task(visit(target.port, path, limited, seconds, clicks))
    if kill:
        while len(clicks.answered) < wanted and not work.done():  # noqa: ASYNC110 (answers come in other callbacks)
            await asyncio.sleep(0.01)
        os.kill(target.pid, signal.SIGKILL)
    return await work


def _numbers(made: Prepared) -> list[int]:
    from sqlalchemy import select

    from ofapi_store.engine import Store
    from ofapi_store.queries.clicks import CLICKS

    store = Store.open(made.store_url)
    try:
        with store.read() as conn:
            rows = conn.execute(select(CLICKS.c.params).where(CLICKS.c.smart_link_id == made.link)).scalars()
            return [int(params["aff_s1"]) for params in rows]
    finally:
        store.close()
