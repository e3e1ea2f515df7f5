"""Builds the file of an export in a thread: batches in, one whole file out, in flat memory.

The thread is asked to stop between batches, so that a cancelled export ends within a second.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from addons.exports.writers import ROW_WRITERS, Cell, whole_file
from ofapi_store.engine import Store
from ofapi_store.queries import exports_rows
from ofapi_store.queries.exports_rows import Scope

TELL_S = 1.0
STOP_S = 10.0

Rows = Sequence[tuple[Cell, ...]]


class Stopped(Exception):
    """The export is no longer wanted."""


@dataclass(slots=True)
class Progress:
    """What the thread has done, and whether it shall stop."""

    rows: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        if self.stop.is_set():
            raise Stopped


def stored_batches(
    store: Store, kind: str, scopes: Sequence[Scope], columns: Sequence[str], *, size: int, most: int | None = None
) -> Iterator[Rows]:
    """Rows of one account after the other. `most`: rows of each account at most. For threads: it waits for the store."""
    for scope in scopes:
        after, left = None, most
        while left is None or left > 0:
            limit = size if left is None else min(size, left)
            with store.read() as conn:
                found = exports_rows.batch(conn, kind, scope, columns, after=after, limit=limit)
            if left is not None:
                left -= len(found.rows)
            yield found.rows
            after = found.after
            if after is None:
                break


def write_file(
    final: Path, columns: Sequence[str], batches: Iterable[Rows], progress: Progress, *, most: int | None = None
) -> int:
    """Rows written, in the format of `final`'s suffix. Raises Stopped, ValueError (more rows than the format holds), OSError; then there is no file."""
    with whole_file(final) as path:
        with ROW_WRITERS[final.suffix[1:]](path, columns) as out:
            for rows in batches:
                progress.check()
                for row in rows if most is None else rows[: most - progress.rows]:
                    out.write(row)
                    progress.rows += 1
                if most is not None and progress.rows >= most:
                    break
        progress.check()
    return progress.rows


async def watched[T](work: Callable[[], T], progress: Progress, tell: Callable[[int], Awaitable[None]]) -> T:
    """Runs `work` in a thread and awaits `tell(rows)` every second. Cancelled or told to stop, it ends the thread first."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        while True:
            done, _ = await asyncio.wait({task}, timeout=TELL_S)
            if done:
                return task.result()
            await tell(progress.rows)
    finally:
        progress.stop.set()
        if not task.done():
            await asyncio.wait({task}, timeout=STOP_S)
        if task.done() and not task.cancelled():
            task.exception()
