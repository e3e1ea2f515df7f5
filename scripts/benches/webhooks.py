"""`scripts/bench webhooks`: a backlog of events to three webhooks, one of which is dead; then that one comes back.

Measures deliveries a second of the two that work, in all and by CPU second of the sender, which has one core, and its
memory, at each fifth of the way. Checks that every event reaches each endpoint once, those of an account in order, and
that what waited for the dead endpoint is delivered once it works again.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from scripts.benches import webhooks_receiver as receiver
from scripts.benches.serving import pin, resident_bytes
from scripts.benches.webhooks_receiver import ACCOUNTS, HANGS, REFUSES, Remote

if TYPE_CHECKING:
    from addons.pipeline.services import Services
    from addons.webhooks.loop import DeliveryLoop

STORES = ("sqlite", "postgresql")
DEATHS = (REFUSES, HANGS)
LIVE = ("a", "b")
CHUNK = 1000
TARGET_PER_S = 500
ALLOWED_BYTES = 20_000_000
ALLOWED_SLOWING = 0.75
FIFTHS = 5
LOOK_S = 0.1
EVENT = "messages.received"
PATIENCE_S = 3600.0


def run(events: int, stores: Sequence[str] = STORES, deaths: Sequence[str] = DEATHS) -> dict[str, Any]:
    """Each store with each kind of dead endpoint. `reached`: order, completeness, rate and memory are as wanted."""
    runs = [one(events, store, dead) for store, dead in itertools.product(stores, deaths)]
    return {"bench": "webhooks", "events": events, "runs": runs, "reached": all(found["reached"] for found in runs)}


def one(events: int, store: str, dead: str) -> dict[str, Any]:
    """One backlog, drained by one sender."""
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    with _url(store) as url, receiver.running(dead) as remote:
        pin(os.getpid(), 1)
        began = time.perf_counter()
        services = _backlog(url, events, remote)
        filled = time.perf_counter() - began
        try:
            found = asyncio.run(_measure(services, remote, events))
        finally:
            services.store.close()
            if cores is not None:
                os.sched_setaffinity(0, cores)
    return {"store": store, "dead": dead, "fill_s": round(filled, 1), **found}


@contextlib.contextmanager
def _url(store: str) -> Iterator[str]:
    """Of a store without tables; a PostgreSQL server shares the receiver's core."""
    if store == "sqlite":
        with tempfile.TemporaryDirectory(prefix="ofapi-bench-") as folder:
            yield f"sqlite:///{folder}/store.db"
        return
    from tests import pg

    pin(os.getpid(), 0)
    with pg.running() as server:
        yield server.url(server.create())


def _backlog(url: str, count: int, remote: Remote) -> Services:
    """Three webhooks, and events for all of them, each with its number in the payload."""
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
    with store.write() as conn:
        team = testing.make_team(conn, balance=count)
        for name, port in remote.ports.items():
            end, secret = f"http://127.0.0.1:{port}/{name}", box.encrypt("s3cret")
            webhooks.create(conn, team.id, url=end, events=[EVENT], account_scope="global", secret=secret)
    for start in range(0, count, CHUNK):
        facts = [
            events.NewEvent(EVENT, f"message:{n}", {"n": n, **EXAMPLES[EVENT]}, f"acct_{n % ACCOUNTS}")
            for n in range(start, min(start + CHUNK, count))
        ]
        with store.write() as conn:
            events.emit_all(conn, team.id, facts)
    config = Config.build({"network": {"allow_private": ["127.0.0.0/8"]}})
    return Services(config, store, box)


async def _measure(services: Services, remote: Remote, count: int) -> dict[str, Any]:
    from addons.webhooks.loop import DeliveryLoop

    loop, clock = DeliveryLoop(services, "bench"), services.clock
    task = asyncio.create_task(loop.run())
    try:
        drained = await _drain(loop, remote, count)
        began, tries = time.perf_counter(), loop.sent - len(LIVE) * count
        later = timedelta(hours=1)  # what failed early may be due in half an hour only
        services.clock = lambda: clock() + later
        ends = await _revive(remote, count)
        revived = time.perf_counter() - began
        waiting = await _settled(services)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    whole = all(end["count"] == count and not end["doubled"] for end in ends.values())
    ordered = not any(ends[name]["late"] for name in LIVE)
    found = {**drained, "tries_of_the_dead": tries, "revived_s": round(revived, 1), "ends": ends}
    found |= {"once_each": whole and not waiting, "in_order": ordered}
    found["reached"] = found["once_each"] and ordered and found["flat"] and found["slowest_per_s"] >= TARGET_PER_S
    return found


async def _drain(loop: DeliveryLoop, remote: Remote, count: int) -> dict[str, Any]:
    """Until both working endpoints have everything."""
    points = [_point(0)]
    ended: dict[str, float] = {}
    while len(ended) < len(LIVE):
        await asyncio.sleep(LOOK_S)
        ends = await remote.ask("report")
        done = sum(ends[name]["count"] for name in LIVE)
        if done >= len(points) * len(LIVE) * count / FIFTHS:
            points.append(_point(done))
        for name in LIVE:
            if ends[name]["count"] >= count and name not in ended:
                ended[name] = time.perf_counter() - points[0]["at"]
        if points[-1]["at"] < time.perf_counter() - PATIENCE_S:
            raise TimeoutError(f"nothing delivered for {PATIENCE_S:g} s: {ends}")
    return _drained(points, ended, count)


def _point(done: int) -> dict[str, Any]:
    at, cpu_s = time.perf_counter(), time.process_time()
    return {"at": at, "cpu_s": cpu_s, "done": done, "rss_bytes": resident_bytes(os.getpid())}


def _drained(points: list[dict[str, Any]], ended: dict[str, float], count: int) -> dict[str, Any]:
    fifths = [
        {
            "per_s": round((new["done"] - old["done"]) / (new["at"] - old["at"])),
            "per_cpu_s": round((new["done"] - old["done"]) / (new["cpu_s"] - old["cpu_s"])),
            "rss_bytes": new["rss_bytes"],
        }
        for old, new in itertools.pairwise(points)
    ]
    seconds, cpu_s = points[-1]["at"] - points[0]["at"], points[-1]["cpu_s"] - points[0]["cpu_s"]
    first, last = fifths[0], fifths[-1]
    steady = last["per_cpu_s"] >= ALLOWED_SLOWING * first["per_cpu_s"]
    return {
        "seconds": round(seconds, 1),
        "cpu_s": round(cpu_s, 1),
        "per_s": round(points[-1]["done"] / seconds),
        "per_cpu_s": round(points[-1]["done"] / cpu_s),
        "per_s_of": {name: round(count / at) for name, at in sorted(ended.items())},
        "slowest_per_s": round(len(LIVE) * count / max(ended.values())),
        "fifths": fifths,
        "flat": steady and last["rss_bytes"] - first["rss_bytes"] <= ALLOWED_BYTES,
    }


async def _revive(remote: Remote, count: int) -> dict[str, dict[str, int]]:
    """The dead endpoint comes back and gets what it missed."""
    ends = await remote.ask("revive")
    end = time.perf_counter() + PATIENCE_S
    while ends["dead"]["count"] < count and time.perf_counter() < end:
        await asyncio.sleep(LOOK_S)
        ends = await remote.ask("report")
    await asyncio.sleep(1.0)  # for what would come twice
    return await remote.ask("report")


async def _settled(services: Services) -> int:
    """Deliveries that are not stored as delivered; waits for the last results."""
    from sqlalchemy import Connection, func, select

    from ofapi_store.queries.events import DELIVERIES

    def left(conn: Connection) -> int:
        query = select(func.count()).where(DELIVERIES.c.state != "delivered")
        return int(conn.execute(query).scalar_one())

    for _ in range(60):
        if not (waiting := await services.store.aread_slow(left)):
            break
        await asyncio.sleep(0.5)
    return waiting


def text(found: dict[str, Any]) -> str:
    """For people."""
    return "\n".join([*map(_text, found["runs"]), "reached" if found["reached"] else "missed"])


def _text(one: dict[str, Any]) -> str:
    rates = ", ".join(f"{name} {rate}" for name, rate in one["per_s_of"].items())
    fifths = "  ".join(f"{f['per_s']}/s {f['per_cpu_s']}/cpu-s {f['rss_bytes'] / 1e6:.0f} MB" for f in one["fifths"])
    late = sum(one["ends"][name]["late"] for name in LIVE)
    return (
        f"{one['store']}, the dead endpoint {one['dead']}: {one['per_s']} deliveries a second (to reach: {TARGET_PER_S};"
        f" {rates}), {one['per_cpu_s']} per CPU second, {one['seconds']} s\n"
        f"  fifths: {fifths}: {'flat' if one['flat'] else 'not flat'}\n"
        f"  {one['tries_of_the_dead']} tries of the dead endpoint; its backlog took {one['revived_s']} s once it worked\n"
        f"  every event once to each: {'yes' if one['once_each'] else one['ends']}; {late} out of order"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.benches.webhooks", description=__doc__)
    parser.add_argument("--events", type=int, default=10_000, help="events of the backlog [10000]")
    parser.add_argument("--store", choices=STORES, action="append", help="only this [both]")
    parser.add_argument("--dead", choices=DEATHS, action="append", help="only this kind of dead endpoint [both]")
    parser.add_argument("--json", action="store_true", help="one JSON value")
    args = parser.parse_args()
    found = run(args.events, args.store or STORES, args.dead or DEATHS)
    sys.stdout.write((json.dumps(found) if args.json else text(found)) + "\n")
    return 0 if found["reached"] else 1


if __name__ == "__main__":
    sys.exit(main())
