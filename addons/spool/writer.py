"""Appends lines to the spool and moves them into the store in the background."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from addons.spool import files
from addons.spool.files import Lines, SpoolFile
from ofapi_store.errors import StoreError
from ofapi_store.queries import spools

if TYPE_CHECKING:
    from addons.pipeline.services import Services

log = structlog.get_logger(__name__)

ADOPT_S = 5.0
RETRY_S = 1.0
BEHIND_S = 30.0

StoreLines = Callable[[Lines], Awaitable[None]]
"""Stores the lines in one transaction which begins with `spools.claim`; where that says no, they are stored already.

A StoreError is tried again later; after any other exception each line is tried alone, and one that fails is left out.
"""


class Spool:
    """The files of one kind of lines in one process. `start` stores what dead processes left, `close` what waits."""

    def __init__(self, services: Services, folder: Path, suffix: str, interval_s: float, store: StoreLines) -> None:
        self._services = services
        self._folder = folder
        self._suffix = suffix
        self._interval_s = interval_s
        self._store_lines = store
        self._file: SpoolFile | None = None
        self._full: list[SpoolFile] = []
        self._written = asyncio.Event()
        self._flushing = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._behind_since: float | None = None
        services.parts.setdefault("health", {})[f"spool {suffix[1:]}"] = self._health

    async def start(self) -> None:
        await self._adopt()
        self._tasks = [
            asyncio.create_task(self._run(), name=f"spool {self._suffix}"),
            asyncio.create_task(self._adopt_always(), name=f"left-over spools {self._suffix}"),
        ]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(Exception):  # what cannot be stored now stays in its file for the next process
            await self.flush()
        for file in self._own():
            if file.position == file.size:
                await self._done_with(file)
            else:
                file.close()
        self._file, self._full = None, []

    def append(self, line: bytes) -> None:
        """Returns once the line, with its newline, survives this process. Raises OSError."""
        if self._file is not None and self._file.size >= files.ROTATE_BYTES:
            self._full.append(self._file)
            self._file = None
        if self._file is None:
            self._file = files.create(self._folder, self._suffix)
        self._file.append(line)
        if self._behind_since is None:
            self._behind_since = time.monotonic()
        self._written.set()

    def owns(self, name: str) -> bool:
        """Whether this process wrote the file of that name."""
        return any(file.name == name for file in self._own())

    async def flush(self) -> None:
        """Stores everything that was appended so far. Raises StoreError."""
        async with self._flushing:
            began = time.monotonic()
            while self._full:
                await self._store_all(self._full[0])
                await self._done_with(self._full.pop(0))
            if self._file is not None:
                await self._store_all(self._file)
            done = self._file is None or self._file.position == self._file.size
            self._behind_since = None if done else began

    async def _health(self) -> str | None:
        """Why the service is degraded, if it is: lines wait that should long be stored."""
        since = self._behind_since
        if since is None or time.monotonic() - since < BEHIND_S:
            return None
        waiting = sum(file.size - file.position for file in self._own())
        return (
            f"{waiting} bytes in {self._folder} wait for the store since {time.monotonic() - since:.0f} s; see the log"
        )

    def _own(self) -> list[SpoolFile]:
        return [*self._full, *([self._file] if self._file else [])]

    async def _run(self) -> None:
        while True:
            await self._written.wait()
            await asyncio.sleep(self._interval_s)
            self._written.clear()
            try:
                await self.flush()
            except Exception as e:
                log.warning("spooled lines not stored yet", spool=self._suffix, error=f"{type(e).__name__}: {e}")
                self._written.set()
                await asyncio.sleep(RETRY_S)

    async def _adopt_always(self) -> None:
        while True:
            await asyncio.sleep(ADOPT_S)
            try:
                await self._adopt()
            except Exception as e:
                log.warning("left-over lines not stored yet", spool=self._suffix, error=f"{type(e).__name__}: {e}")

    async def _adopt(self) -> None:
        own = {file.path for file in self._own()}
        for path in files.found(self._folder, self._suffix):
            if path in own:
                continue
            with files.adopted(path) as file:
                if file is not None:
                    file.position = await self._services.store.aread(spools.position, file.name)
                    await self._store_all(file)
                    await self._done_with(file, close=False)

    async def _store_all(self, file: SpoolFile) -> None:
        while (lines := file.read()).lines:
            try:
                await self._store_lines(lines)
            except StoreError:
                raise
            except Exception as e:
                log.error("a batch is refused", spool=lines.name, error=type(e).__name__, lines=len(lines.lines))
                await self._store_singly(lines)
            file.position = lines.end

    async def _store_singly(self, lines: Lines) -> None:
        """One line that no database takes must not hold up the others: it alone is left out."""
        at = lines.start
        for line in lines.lines:
            one = Lines(lines.name, at, at + len(line) + 1, [line])
            at = one.end
            try:
                await self._store_lines(one)
            except StoreError:
                raise
            except Exception as e:
                log.error("a line is left out", spool=one.name, position=one.start, error=type(e).__name__)
                await self._services.store.awrite(spools.move, one.name, one.end, now=self._services.clock())

    async def _done_with(self, file: SpoolFile, *, close: bool = True) -> None:
        """First the file, then the note of how far it is stored: the other way round its lines would come twice."""
        file.remove()
        if close:
            file.close()
        await self._services.store.awrite(spools.forget, file.name)
