"""`python -m scripts.simulator`: serve until SIGINT or SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scripts.cli.children import write_atomically
from scripts.simulator import events
from scripts.simulator.app import App
from scripts.simulator.log import RequestLog
from scripts.simulator.server import Listeners
from scripts.simulator.world import Options, World

HELP = {
    "seed": "same seed, same world",
    "creators": "connected accounts",
    "cents": "prices with cents everywhere",
    "now": "fixed date of the world (ISO 8601)",
    "cdn_host": "host pattern of media URLs; {n} is 1 to 3",
    "cdn_scheme": "scheme of media URLs",
    "cdn_ttl_s": "seconds that a media URL is valid",
    "storage_base": "base URL of upload slots (default: the CDN listener)",
    "latency_s": "delay of each answer",
    "log_keep": "log records kept in memory",
    "cache_gets": "answer equal GETs from a cache (benchmarks)",
    "compress": "compress answers as the client accepts",
}


def parser() -> argparse.ArgumentParser:
    cli = argparse.ArgumentParser(
        prog="python -m scripts.simulator", description="A simulated OnlyFans on loopback. Sizes are per creator."
    )
    cli.add_argument("--port", type=int, default=0, help="API port (0: any free one)")
    cli.add_argument("--cdn-port", type=int, default=0, help="CDN port (0: any free one)")
    cli.add_argument("--log", type=Path, help="append one JSON line per request")
    cli.add_argument("--ready-file", type=Path, help="written when both listeners answer: api_url, cdn_url, accounts")
    for field in dataclasses.fields(Options):
        name = "--" + field.name.replace("_", "-")
        text = HELP.get(field.name, f"{field.name} per creator")
        if isinstance(field.default, bool):
            cli.add_argument(name, action="store_true", help=text)
        elif field.name == "now":
            cli.add_argument(name, type=moment, default=None, help=text)
        else:
            cli.add_argument(
                name, type=type(field.default), default=field.default, help=f"{text} (default {field.default!r})"
            )
    return cli


def moment(text: str) -> datetime:
    when = datetime.fromisoformat(text)
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def text_of(ready: Mapping[str, Any]) -> str:
    return f"API {ready['api_url']}   CDN {ready['cdn_url']}   control {ready['api_url']}/__sim__/world"


async def serve(args: argparse.Namespace, announce: Callable[[Mapping[str, Any]], None]) -> None:
    """Both listeners until SIGINT or SIGTERM; `announce` gets what the ready file holds."""
    options = Options(**{field.name: getattr(args, field.name) for field in dataclasses.fields(Options)})
    log = RequestLog(args.log, options.log_keep)
    app = App(World(options), log)
    listeners = Listeners(app, port=args.port, cdn_port=args.cdn_port)
    await listeners.start()
    ready = {
        "api_url": listeners.api_url,
        "cdn_url": listeners.cdn_url,
        "pid": os.getpid(),
        "log": str(args.log) if args.log else None,
        "accounts": [events.account(who) for who in app.world.creators],
    }
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if args.ready_file:
        write_atomically(args.ready_file, json.dumps(ready))
    announce(ready)
    await stop.wait()
    await listeners.stop()
    log.close()


def main() -> int:
    asyncio.run(serve(parser().parse_args(), lambda ready: print(text_of(ready), flush=True)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
