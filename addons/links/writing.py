"""Writes answered clicks to the spool and moves them into the store in the background."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import structlog
from cachetools import LRUCache

from addons.links import spool, storing
from addons.links.records import Places, Record, parse_lines
from addons.links.spool import SpoolFile
from ofapi_store.errors import StoreError
from ofapi_store.queries import clicks

if TYPE_CHECKING:
    from addons.pipeline.services import Services

log = structlog.get_logger(__name__)

ADOPT_S = 5.0
RETRY_S = 1.0


class ClickWriter:
    """One per process. `start` stores what dead processes left; `close` stores what waits.

    `robots`: user agents that were found to be robots' in stored clicks, so that the redirect need not parse.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._config = services.config.links
        self.places = Places(self._config)
        self.robots: LRUCache[str, bool] = LRUCache(5000)
        self._file: SpoolFile | None = None
        self._full: list[SpoolFile] = []
        self._written = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await self._adopt()
        self._tasks = [
            asyncio.create_task(self._run(), name="clicks"),
            asyncio.create_task(self._adopt_always(), name="clicks left over"),
        ]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(Exception):  # what cannot be stored now stays in its file for the next process
            await self.flush()
        for file in [*self._full, *([self._file] if self._file else [])]:
            if file.position == file.size:
                await self._done_with(file)
            else:
                file.close()
        self._file, self._full = None, []

    async def write(self, record: Record) -> None:
        """Returns once the click survives this process. Raises OSError, StoreError."""
        line = record.line()
        try:
            self._spool().append(line)
        except OSError as e:  # the disk may be full: the store may be another one
            log.warning("click spool cannot be written", error=str(e))
            batch = storing.prepare([record], self.places)
            await self._services.store.awrite(storing.store, batch, self._config, self._services.clock())
            return
        self._written.set()

    def _spool(self) -> SpoolFile:
        if self._file is not None and self._file.size >= spool.ROTATE_BYTES:
            self._full.append(self._file)
            self._file = None
        if self._file is None:
            self._file = spool.create(self._config.spool_dir)
        return self._file

    async def flush(self) -> None:
        """Stores everything that was written so far."""
        while self._full:
            await self._store_all(self._full[0])
            await self._done_with(self._full.pop(0))
        if self._file is not None:
            await self._store_all(self._file)

    async def _run(self) -> None:
        while True:
            await self._written.wait()
            await asyncio.sleep(self._config.flush_interval_s)
            self._written.clear()
            try:
                await self.flush()
            except Exception as e:
                log.warning("clicks not stored yet", error=f"{type(e).__name__}: {e}")
                self._written.set()
                await asyncio.sleep(RETRY_S)

    async def _adopt_always(self) -> None:
        while True:
            await asyncio.sleep(ADOPT_S)
            try:
                await self._adopt()
            except Exception as e:
                log.warning("left-over clicks not stored yet", error=f"{type(e).__name__}: {e}")

    async def _adopt(self) -> None:
        own = {file.path for file in self._full} | ({self._file.path} if self._file else set())
        for path in spool.found(self._config.spool_dir):
            if path in own:
                continue
            with spool.adopted(path) as file:
                if file is not None:
                    file.position = await self._services.store.aread(clicks.spool_position, file.name)
                    await self._store_all(file)
                    await self._done_with(file, close=False)

    async def _store_all(self, file: SpoolFile) -> None:
        while (lines := file.read()).lines:
            await self._store(lines)
            file.position = lines.end

    async def _store(self, lines: spool.Lines) -> None:
        batch = await asyncio.to_thread(self._prepare, lines)
        try:
            await self._services.store.awrite(storing.store, batch, self._config, self._services.clock())
        except StoreError:
            raise
        except Exception as e:
            log.error("a batch of clicks is refused", error=f"{type(e).__name__}", clicks=len(lines.lines))
            await self._store_singly(lines)
        for row in batch.rows:
            if row["is_bot"] and row["user_agent"]:
                self.robots[row["user_agent"]] = True

    async def _store_singly(self, lines: spool.Lines) -> None:
        """One click that no database takes must not hold up the others: it alone is left out."""
        at = lines.start
        for line in lines.lines:
            one = spool.Lines(lines.name, at, at + len(line) + 1, [line])
            at = one.end
            try:
                await self._services.store.awrite(
                    storing.store, self._prepare(one), self._config, self._services.clock()
                )
            except StoreError:
                raise
            except Exception as e:
                log.error("a click is left out", error=f"{type(e).__name__}", spool=one.name, position=one.start)
                await self._services.store.awrite(clicks.move_spool, one.name, one.end, now=self._services.clock())

    def _prepare(self, lines: spool.Lines) -> storing.Batch:
        return storing.prepare(parse_lines(lines.lines), self.places, lines)

    async def _done_with(self, file: SpoolFile, *, close: bool = True) -> None:
        """First the file, then the note of how far it is stored: the other way round its clicks would come twice."""
        file.remove()
        if close:
            file.close()
        await self._services.store.awrite(clicks.forget_spool, file.name)
