"""Memory of the gateway over many requests: what it holds after a warm-up beside what it holds at the end."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from scripts.benches import serving
from scripts.benches.load import fire, request

CONNECTIONS = 16
STEPS = 5
ALLOWED_GROWTH = 0.10
ALLOWED_BYTES = 20_000_000


def run(rules: Path, requests: int, *, web: bool = False) -> dict[str, Any]:
    """Half hybrid, half passthrough. `flat`: what the last fifth ends with over the second is within 10 % or 20 MB."""
    serving.pin(os.getpid(), 1)
    with serving.workspace() as folder, serving.upstream() as up, serving.gateway(up, folder, rules, web=web) as target:
        paths = (f"/{target.account}/fans/active?limit=20", f"/{target.account}/bench/rows")
        sizes, failed, sent = [], 0, 0
        for _ in range(STEPS):
            for path in paths:
                share = requests // (STEPS * len(paths))
                result = asyncio.run(fire(target.port, request(path, target.key), CONNECTIONS, 0, share))
                failed += result.failed
                sent += len(result.latencies)
            sizes.append(serving.resident_bytes(target.pid))
    growth = sizes[-1] - sizes[1]  # the first fifth fills caches, and mitmweb's view
    flat = growth <= max(ALLOWED_BYTES, ALLOWED_GROWTH * sizes[1])
    return {"bench": "memory", "web": web, "requests": sent, "failed": failed, "rss_bytes": sizes, "flat": flat}


def text(found: dict[str, Any]) -> str:
    sizes = ", ".join(f"{size / 1e6:.0f}" for size in found["rss_bytes"])
    verdict = "flat" if found["flat"] else "growing"
    return f"memory over {found['requests']} requests{' with mitmweb' if found['web'] else ''}: {sizes} MB: {verdict}"
