"""The faults, each a context: inside it things go wrong, after it they work again."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
from sqlalchemy import Connection, create_engine

if TYPE_CHECKING:
    from scripts.faultruns.cluster import Cluster
    from scripts.faultruns.receiver import Receiver

Fault = Callable[["Cluster", "Receiver"], AbstractAsyncContextManager[None]]
LOCK_S = 2.5
BUSY_TABLES = ("api_keys", "accounts", "fans", "jobs", "clicks", "credit_entries", "deliveries")


@asynccontextmanager
async def gateway_killed(cluster: Cluster, _receiver: Receiver) -> AsyncIterator[None]:
    """kill -9 of the gateway under load; another one takes its port."""
    await asyncio.to_thread(cluster.kill_gateway)
    await asyncio.to_thread(cluster.start_gateway)
    yield


@asynccontextmanager
async def worker_killed(cluster: Cluster, _receiver: Receiver) -> AsyncIterator[None]:
    """kill -9 of the worker; its leases run out while another one works."""
    await asyncio.to_thread(cluster.kill_worker)
    yield
    await asyncio.to_thread(cluster.start_worker)


@asynccontextmanager
async def upstream_hangs(cluster: Cluster, _receiver: Receiver) -> AsyncIterator[None]:
    """Upstream takes requests and answers none."""
    os.kill(cluster.simulator.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(cluster.simulator.process.pid, signal.SIGCONT)


@asynccontextmanager
async def store_locked(cluster: Cluster, _receiver: Receiver) -> AsyncIterator[None]:
    """Somebody else holds SQLite's write lock, or the busiest tables of PostgreSQL one after the other."""
    await asyncio.to_thread(_hold, cluster.stack.store_url)
    yield


def _hold(url: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as conn:
        if engine.dialect.name == "sqlite":
            _hold_by(conn, "BEGIN IMMEDIATE")
        else:
            for table in BUSY_TABLES:
                _hold_by(conn, "BEGIN", f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
    engine.dispose()


def _hold_by(conn: Connection, *statements: str) -> None:
    for statement in statements:
        conn.exec_driver_sql(statement)
    time.sleep(LOCK_S)
    conn.exec_driver_sql("ROLLBACK")


@asynccontextmanager
async def rules_broken(cluster: Cluster, _receiver: Receiver) -> AsyncIterator[None]:
    """A rule file is saved half."""
    path = cluster.stack.rules_dir / "fans.yaml"
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole[: len(whole) // 2] + "\n- {id: [", encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(whole, encoding="utf-8")


@asynccontextmanager
async def receiver_down(_cluster: Cluster, receiver: Receiver) -> AsyncIterator[None]:
    """The customer's webhook endpoint answers 500."""
    receiver.broken = True
    try:
        yield
    finally:
        receiver.broken = False


def upstream(kind: str, **options: Any) -> Fault:
    """The simulator does this to most requests."""

    @asynccontextmanager
    async def fault(cluster: Cluster, _receiver: Receiver) -> AsyncIterator[None]:
        url = f"{cluster.upstream['api_url']}/__sim__/faults"
        async with aiohttp.ClientSession() as session:
            async with session.post(url, json={"kind": kind, "count": 0, **options}) as answer:
                answer.raise_for_status()
            try:
                yield
            finally:
                async with session.delete(url) as answer:
                    answer.raise_for_status()

    return fault


FAULTS: dict[str, Fault] = {
    "gateway killed": gateway_killed,
    "worker killed": worker_killed,
    "upstream hangs": upstream_hangs,
    "upstream resets": upstream("reset"),
    "upstream 429": upstream("rate_limit", retry_after=1),
    "upstream 500": upstream("server_error"),
    "upstream truncates": upstream("truncate", keep=0.6),
    "upstream slow": upstream("latency", seconds=0.7),
    "CDN truncates": upstream("truncate", host="cdn", keep=0.3),
    "store locked": store_locked,
    "rules broken": rules_broken,
    "receiver down": receiver_down,
}


def schedule(seed: int) -> AsyncIterator[tuple[str, float]]:
    """Faults for ever: every one once in each round, in an order and for times that the seed decides."""
    return _schedule(random.Random(seed))  # noqa: S311 (the same faults again for the same seed)


async def _schedule(dice: random.Random) -> AsyncIterator[tuple[str, float]]:
    names = list(FAULTS)
    while True:
        dice.shuffle(names)
        for name in names:
            yield name, dice.uniform(0.5, 3.0)
