"""Writes answered clicks to the spool and moves them into the store in the background."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog
from cachetools import LRUCache

from addons.links import storing
from addons.links.clicks import is_crawler
from addons.links.records import Places, Record, parse_lines
from addons.spool.writer import Spool

if TYPE_CHECKING:
    from addons.pipeline.services import Services
    from addons.spool.files import Lines

log = structlog.get_logger(__name__)

SUFFIX = ".clicks"


class ClickWriter:
    """One per process.

    `robots`: user agents that were found to be robots' in stored clicks, so that the redirect need not parse.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._config = services.config.links
        self.places = Places(self._config)
        self.robots: LRUCache[str, bool] = LRUCache(5000)
        self._spool = Spool(services, self._config.spool_dir, SUFFIX, self._config.flush_interval_s, self._store)
        self.start = self._spool.start
        self.flush = self._spool.flush
        self.close = self._spool.close

    async def write(self, record: Record) -> None:
        """Returns once the click survives this process. Raises OSError, StoreError."""
        try:
            self._spool.append(record.line())
        except OSError as e:  # the disk may be full: the store may be another one
            log.warning("click spool cannot be written", error=str(e))
            batch = storing.prepare([record], self.places)
            await self._services.store.awrite(storing.store, batch, self._config, self._services.clock())

    async def _store(self, lines: Lines) -> None:
        batch = await asyncio.to_thread(self._prepare, lines)
        await self._services.store.awrite(storing.store, batch, self._config, self._services.clock())
        for row in batch.rows:
            if (
                row["is_bot"] and row["user_agent"] and is_crawler(row["user_agent"])
            ):  # not for a prefetch or an address
                self.robots[row["user_agent"]] = True

    def _prepare(self, lines: Lines) -> storing.Batch:
        return storing.prepare(parse_lines(lines.lines), self.places, lines)
