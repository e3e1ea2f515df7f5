"""The gateway beside bare mitmdump: same upstream, same options, measured in turns in one run."""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from scripts.benches import serving
from scripts.benches.load import Result, fire, request

WARM_S = 1.0
SLICE_S = 0.5  # short turns: a shared machine is fast and slow for seconds at a time, and both must meet the same
PATHS = {
    "passthrough": ("/{account}/bench/rows", "/api2/v2/bench/rows"),
    "hybrid": ("/{account}/fans/active?limit=20", "/api2/v2/subscriptions/subscribers?type=active&limit=20"),
}


def run(bench: str, rules: Path, connections: list[int], seconds: float, rounds: int) -> list[dict[str, Any]]:
    """One row per number of connections, with `ratio` of requests per second."""
    serving.pin(os.getpid(), 1)
    ours, theirs = PATHS[bench]
    with ExitStack() as ends:
        folder = ends.enter_context(serving.workspace())
        up = ends.enter_context(serving.upstream())
        bare = ends.enter_context(serving.bare(up, folder))
        gateway = ends.enter_context(serving.gateway(up, folder, rules))
        raw = {
            "gateway": (gateway, request(ours.format(account=gateway.account), gateway.key)),
            "bare": (bare, request(theirs)),
        }
        return [_row(raw, n, seconds, rounds) for n in connections]


def _row(
    targets: dict[str, tuple[serving.Target, bytes]], connections: int, seconds: float, rounds: int
) -> dict[str, Any]:
    totals = {name: Result() for name in targets}
    for target, raw in targets.values():
        asyncio.run(fire(target.port, raw, connections, WARM_S))
    for _ in range(max(1, round(rounds * seconds / SLICE_S))):
        for name, (target, raw) in targets.items():
            before = serving.cpu_seconds(target.pid)
            result = asyncio.run(fire(target.port, raw, connections, SLICE_S))
            result.cpu_seconds = serving.cpu_seconds(target.pid) - before
            totals[name].add(result)
    bare, ours = totals["bare"], totals["gateway"]
    return {
        "connections": connections,
        "gateway": ours.summary(),
        "bare": bare.summary(),
        "ratio": round(ours.rate / bare.rate, 3) if bare.rate else 0.0,
        "cpu_ratio": round(bare.cpu_ms / ours.cpu_ms, 3) if ours.cpu_ms else 0.0,
        "p50_ratio": round(ours.percentile(0.5) / bare.percentile(0.5), 3) if bare.latencies else 0.0,
        "p99_ratio": round(ours.percentile(0.99) / bare.percentile(0.99), 3) if bare.latencies else 0.0,
    }


def text(result: dict[str, Any]) -> str:
    lines = [
        f"{result['bench']}: requests per second, beside bare mitmdump",
        f"{'clients':>7} {'gateway':>9} {'p50 ms':>8} {'p99 ms':>8} {'cpu ms':>7} "
        f"{'bare':>9} {'p50 ms':>8} {'p99 ms':>8} {'cpu ms':>7} {'ratio':>6} {'by cpu':>6}",
    ]
    for row in result["rows"]:
        g, b = row["gateway"], row["bare"]
        lines.append(
            f"{row['connections']:>7} {g['requests_per_s']:>9} {g['p50_ms']:>8} {g['p99_ms']:>8} {g['cpu_ms']:>7} "
            f"{b['requests_per_s']:>9} {b['p50_ms']:>8} {b['p99_ms']:>8} {b['cpu_ms']:>7} "
            f"{row['ratio']:>6} {row['cpu_ratio']:>6}" + (f"  {g['failed']} failed" if g["failed"] else "")
        )
    verdict = "reached" if result["reached"] else "missed"
    return "\n".join([*lines, f"target ratio {result['target_ratio']}: {verdict}"])
