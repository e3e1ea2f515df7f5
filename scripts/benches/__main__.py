"""`scripts/bench passthrough|hybrid|memory|media|webhooks|exports|links`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from scripts.benches import compare, exports, links, media, memory, webhooks
from scripts.cli.frame import REPO

TARGETS = {"passthrough": 0.90, "hybrid": 0.80}


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("bench", choices=["passthrough", "hybrid", "memory", "media", "webhooks", "exports", "links"])
    parser.add_argument("--seconds", type=float, default=4.0, help="length of one measurement [4]")
    parser.add_argument("--rounds", type=int, default=2, help="measurements of each, taken in turns [2]")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64], help="clients at once [1 16 64]")
    parser.add_argument("--requests", type=int, default=50_000, help="memory: requests to send [50000]")
    parser.add_argument("--events", type=int, default=100_000, help="webhooks: events of the backlog [100000]")
    parser.add_argument("--rows", type=int, default=1_000_000, help="exports: rows of the export [1000000]")
    parser.add_argument("--clicks", type=int, default=10_000_000, help="links: clicks of the large link [10000000]")
    parser.add_argument(
        "--answered", type=int, default=100_000, help="links: clicks over two kill -9, 0 is none [100000]"
    )
    parser.add_argument(
        "--store", choices=["sqlite", "postgresql"], action="append", help="links, webhooks: only this [both]"
    )
    parser.add_argument(
        "--dead", choices=webhooks.DEATHS, action="append", help="webhooks: how the dead endpoint is dead [both]"
    )
    parser.add_argument("--part", choices=links.PARTS, action="append", help="links: only this [all three]")
    parser.add_argument("--web", action="store_true", help="memory: with mitmweb")
    parser.add_argument("--rules", type=Path, default=REPO / "rules", help="folder of rules [rules]")
    parser.add_argument("--json", action="store_true", help="one JSON value")
    args = parser.parse_args(argv)
    if args.bench == "links" and args.clicks <= links.SMALL:
        parser.error(f"--clicks must be more than {links.SMALL}, the clicks of the small link")
    return args


def main(argv: list[str]) -> int:
    args = arguments(argv)
    if args.bench == "memory":
        found = memory.run(args.rules, args.requests, web=args.web)
        sys.stdout.write((json.dumps(found) if args.json else memory.text(found)) + "\n")
        return 0 if found["flat"] else 1
    if args.bench == "media":
        found = media.run(args.seconds, args.rounds)
        sys.stdout.write((json.dumps(found) if args.json else media.text(found)) + "\n")
        return 0 if media.reached(found) else 1
    if args.bench == "webhooks":
        found = webhooks.run(args.events, args.store or webhooks.STORES, args.dead or webhooks.DEATHS)
        sys.stdout.write((json.dumps(found) if args.json else webhooks.text(found)) + "\n")
        return 0 if found["reached"] else 1
    if args.bench == "exports":
        found = exports.run(args.rows)
        sys.stdout.write((json.dumps(found) if args.json else exports.text(found)) + "\n")
        return 0 if found["reached"] else 1
    if args.bench == "links":
        stores, parts = args.store or links.STORES, args.part or links.PARTS
        found = links.run(args.rules, args.clicks, args.answered, args.seconds, args.rounds, stores, parts)
        sys.stdout.write((json.dumps(found) if args.json else links.text(found)) + "\n")
        return 0 if found["reached"] else 1
    rows = compare.run(args.bench, args.rules, args.connections, args.seconds, args.rounds)
    result: dict[str, Any] = {"bench": args.bench, "target_ratio": TARGETS[args.bench], "rows": rows}
    result["reached"] = all(row["ratio"] >= TARGETS[args.bench] for row in rows)
    sys.stdout.write((json.dumps(result) if args.json else compare.text(result)) + "\n")
    return 0 if result["reached"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
