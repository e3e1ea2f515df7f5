"""`scripts/faults`."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp

from scripts.faultruns import cluster as clusters
from scripts.faultruns.checks import After, Check
from scripts.faultruns.faults import FAULTS, schedule
from scripts.faultruns.receiver import Receiver
from scripts.faultruns.traffic import TIMEOUT_S, Clients

SHOWN = 10


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/faults",
        description="Traffic of every kind while processes are killed and upstream, store, rules and receivers misbehave; "
        "then everything that was acknowledged must be there, once. Exit code 1 where it is not.",
    )
    parser.add_argument("--seconds", type=float, default=90, help="length of the faults [90]")
    parser.add_argument("--settle", type=float, default=90, help="longest wait for what was delayed [90]")
    parser.add_argument("--seed", type=int, default=1, help="order and lengths of the faults [1]")
    parser.add_argument("--store", choices=["sqlite", "postgresql"], default="sqlite", help="[sqlite]")
    parser.add_argument("--only", choices=list(FAULTS), action="append", help="only this fault, may be repeated [all]")
    parser.add_argument("--json", action="store_true", help="one JSON value")
    return parser.parse_args(argv)


def say(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stderr.flush()


async def run(args: argparse.Namespace, cluster: clusters.Cluster) -> dict[str, Any]:
    """The whole run; a report with `held`."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    connector = aiohttp.TCPConnector(limit=50, force_close=False)
    async with (
        Receiver().listening() as receiver,
        aiohttp.ClientSession(timeout=timeout, connector=connector) as session,
    ):
        clients = Clients(cluster, session)
        whoami = await clients.ask("setup", "GET", "/api/whoami")
        assert whoami is not None
        after = After(clients, receiver, int(whoami.headers["x-ofapi-credits-balance"]))
        await clients.prepare(receiver.url)
        work = asyncio.create_task(clients.run())
        try:
            happened = await _faults(args, cluster, receiver, clients)
        finally:
            clients.stopped.set()
            await work
        say(f"{clients.notes.total} answers; waiting for what was delayed")
        await after.settled(args.settle)
        checks = await after.checks()
    return _report(clients, happened, checks)


async def _faults(
    args: argparse.Namespace, cluster: clusters.Cluster, receiver: Receiver, clients: Clients
) -> Counter[str]:
    happened: Counter[str] = Counter()
    end = time.monotonic() + args.seconds
    async for name, seconds in schedule(args.seed):
        if time.monotonic() >= end:
            break
        if args.only and name not in args.only:
            continue
        say(f"{name}, {seconds:.1f} s   ({clients.notes.total} answers, {len(clients.notes.wrong)} wrong)")
        async with FAULTS[name](cluster, receiver):
            await asyncio.sleep(seconds)
        happened[name] += 1
        await asyncio.sleep(seconds / 2)
    return happened


def _report(clients: Clients, happened: Counter[str], checks: list[Check]) -> dict[str, Any]:
    notes = clients.notes
    return {
        "faults": dict(happened),
        "answers": dict(sorted(notes.answers.items())),
        "unanswered": dict(notes.unanswered),
        "checks": [{"name": c.name, "looked_at": c.looked_at, "held": c.held, "wrong": c.wrong} for c in checks],
        "held": all(c.held for c in checks),
    }


def text(report: dict[str, Any]) -> str:
    """For people."""
    lines = ["faults: " + ", ".join(f"{name} {times}×" for name, times in report["faults"].items())]
    lines.append(f"answers: {sum(report['answers'].values())}, broken off: {sum(report['unanswered'].values())}")
    for check in report["checks"]:
        lines.append(f"{'held ' if check['held'] else 'BROKEN'} {check['name']} ({check['looked_at']})")
        lines += [f"       {line}" for line in check["wrong"][:SHOWN]]
        if len(check["wrong"]) > SHOWN:
            lines.append(f"       and {len(check['wrong']) - SHOWN} more")
    return "\n".join([*lines, "everything held" if report["held"] else "promises were broken"])


def main(argv: list[str]) -> int:
    args = arguments(argv)
    with tempfile.TemporaryDirectory(prefix="ofapi-faults-") as name:
        folder = Path(name)
        with clusters.running(folder, args.store) as cluster:
            report = asyncio.run(run(args, cluster))
        if not report["held"]:
            say("the processes said last:\n" + clusters.last_lines(folder))
    sys.stdout.write((json.dumps(report) if args.json else text(report)) + "\n")
    return 0 if report["held"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
