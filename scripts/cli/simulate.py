"""`ofapi simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="API port; 0 is any free one.")] = 0,
    cdn_port: Annotated[int, typer.Option(min=0, max=65535, help="CDN port; 0 is any free one.")] = 0,
    ready_file: Annotated[Path | None, typer.Option(help="Written when both listeners answer.")] = None,
    log: Annotated[Path | None, typer.Option(help="One JSON line per request.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same world.")] = 7,
    creators: Annotated[int, typer.Option(min=1, help="Connected accounts.")] = 2,
    fans: Annotated[int, typer.Option(min=1, help="Fans of each creator.")] = 500,
    chats: Annotated[int, typer.Option(min=0, help="Chats of each creator.")] = 200,
    messages: Annotated[int, typer.Option(min=0, help="Messages of each creator.")] = 20_000,
    transactions: Annotated[int, typer.Option(min=0, help="Transactions of each creator.")] = 5_000,
    campaigns: Annotated[int, typer.Option(min=0, help="Tracking links of each creator.")] = 40,
    trials: Annotated[int, typer.Option(min=0, help="Trial links of each creator.")] = 20,
    posts: Annotated[int, typer.Option(min=0, help="Posts of each creator.")] = 120,
    media: Annotated[int, typer.Option(min=0, help="Vault files of each creator, 2 KB to 50 MB.")] = 150,
    latency_s: Annotated[float, typer.Option(min=0, help="Delay of each answer in seconds.")] = 0.0,
) -> None:
    """Run the simulated OnlyFans alone. `python -m scripts.simulator --help` has all its options."""
    import asyncio

    from scripts.cli.children import end_with_parent
    from scripts.cli.frame import emit
    from scripts.simulator.__main__ import parser, serve, text_of

    sizes = {
        "seed": seed, "creators": creators, "fans": fans, "chats": chats, "messages": messages,
        "transactions": transactions, "campaigns": campaigns, "trials": trials, "posts": posts, "media": media, "latency_s": latency_s,
    }  # fmt: skip
    args = parser().parse_args([f"--{k.replace('_', '-')}={v}" for k, v in sizes.items()])
    args.port, args.cdn_port, args.ready_file, args.log = port, cdn_port, ready_file, log
    end_with_parent()
    asyncio.run(serve(args, lambda ready: emit(ready, text_of(ready))))
