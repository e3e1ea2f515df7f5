"""Fills the cache in the background: a durable queue of files that were seen, worked off a few at a time.

Rows live in the store (`media_fills`), leased by one worker at a time, so that each file is fetched once however many
processes and machines saw it, and a crash loses none. The URL of a row ends with its signature: when it no longer
works, the row waits until the file is seen again.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets as random_secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import structlog
from cachetools import TTLCache

from addons.media.fetch import BadStatus, FetchFailed, Source
from addons.media.files import DiskFull, FileStore, TooLarge
from addons.media.identity import MediaKey, expires_at
from addons.media.links import file_id
from addons.media.objects import ObjectStore
from addons.media.part import Busy
from addons.media.transfer import NotCacheable, Transfers
from ofapi_store.errors import StoreError
from ofapi_store.queries import media as fills
from ofapi_store.queries.media import Fill, Seen

if TYPE_CHECKING:
    from addons.pipeline.services import Services

log = structlog.get_logger(__name__)

LEASE_S = 60.0
FRESH = timedelta(seconds=60)  # a queued URL that ends sooner is replaced by the one just seen
MOST_ROWS = 1000  # in one statement: databases bound its parameters
SEEN_S = 20.0  # a file seen again within this time by this process is not looked up again
MAX_ATTEMPTS = 8
FIRST_WAIT_S, LONGEST_WAIT_S = 2.0, 300.0
FULL_WAIT_S = 30.0
IDLE_S = 5.0
GONE_WAIT = timedelta(seconds=2)  # after a refusal, a new URL is tried no sooner; four times as long after the next one
LONGEST_GONE_WAIT = timedelta(hours=1)
WORN_OUT_WAIT = timedelta(seconds=30)
FORGET = timedelta(days=30)
LARGE_WAIT = timedelta(days=1)


class Filler:
    """The queue's writer (`seen`) and worker (`run`) of one process."""

    def __init__(
        self, services: Services, files: FileStore, transfers: Transfers, objects: ObjectStore | None = None
    ) -> None:
        self._objects = objects
        self._services = services
        self._store = services.store
        self._files = files
        self._transfers = transfers
        self._worker = f"{os.uname().nodename}:{os.getpid()}:{random_secrets.token_hex(3)}"
        self._recent: TTLCache[str, None] = TTLCache(100_000, SEEN_S)
        self._wake = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._notes: set[asyncio.Task[None]] = set()
        self.paused = False
        """Whether filling waits for room on the disk; health shows it."""

    def seen(self, keys: Sequence[MediaKey], account_id: str | None) -> None:
        """Queue files without a copy. Returns at once; the rows are written in the background."""
        new = [key for key in keys if key.text not in self._recent]
        if not new:
            return
        for key in new:
            self._recent[key.text] = None
        for at in range(0, len(new), MOST_ROWS):
            task = asyncio.create_task(self._enqueue(new[at : at + MOST_ROWS], account_id), name="media fills")
            self._notes.add(task)
            task.add_done_callback(self._notes.discard)

    async def _enqueue(self, keys: list[MediaKey], account_id: str | None) -> None:
        now = self._services.clock()
        by_id = {file_id(key.text): key for key in keys}
        try:
            wanted = await self._store.aread_slow(fills.wanted, list(by_id), now, FRESH)
            rows = await asyncio.to_thread(self._rows, {i: by_id[i] for i in wanted}, account_id)
            if await self._store.awrite(fills.enqueue, rows, now):
                self._wake.set()
        except StoreError as e:
            log.warning("media fills not queued", error=f"{type(e).__name__}: {e}", files=len(keys))
            for key in keys:
                self._recent.pop(key.text, None)

    def _rows(self, keys: dict[str, MediaKey], account_id: str | None) -> list[Seen]:
        encrypt = self._services.secrets.encrypt
        return [Seen(i, k.text, encrypt(k.url), _time(expires_at(k.url)), account_id) for i, k in keys.items()]

    async def forget(self) -> None:
        """Drop rows of files that were refused and not seen again for a month."""
        await self._store.awrite(fills.forget_old, self._services.clock() - FORGET)

    async def run(self) -> None:
        """Work off the queue until cancelled; then give back what is unfinished."""
        try:
            while True:
                self._wake.clear()
                wait_s = await self._step()
                if wait_s:
                    await _wait(self._wake, wait_s)
        finally:
            await self._stop()

    async def _step(self) -> float:
        """Start what is due. Seconds until there may be more to do; waking is sooner."""
        try:
            if self._tasks:
                await self._store.awrite(fills.extend, self._worker, list(self._tasks), self._services.clock(), LEASE_S)
            self.paused = await asyncio.to_thread(self._files.full)
            free = self._services.config.media.parallel - len(self._tasks)
            if free <= 0 or self.paused:
                return IDLE_S
            leased = await self._store.awrite(fills.lease, self._worker, free, self._services.clock(), LEASE_S)
            for fill in leased:
                task = asyncio.create_task(self._fill(fill), name=f"media fill {fill.id}")
                self._tasks[fill.id] = task
                task.add_done_callback(partial(self._finished, fill.id))
            return 0.0 if len(leased) == free > 1 else await self._until_next()
        except StoreError as e:
            log.warning("media fills cannot be read", error=f"{type(e).__name__}: {e}")
            return IDLE_S

    async def _until_next(self) -> float:
        due = await self._store.aread_slow(fills.next_due)
        if due is None:
            return IDLE_S
        return min(IDLE_S, max(0.05, (due - self._services.clock()).total_seconds()))

    def _finished(self, fill_id: str, _task: object) -> None:
        self._tasks.pop(fill_id, None)
        self._wake.set()

    async def _fill(self, fill: Fill) -> None:
        try:
            copy = self._files.index.get(fill.key)
            if (copy is None or self._files.lost(fill.key, copy)) and not await self._found_elsewhere(fill):
                source = Source(self._services.secrets.decrypt(fill.url), fill.account_id)
                await self._transfers.finished(self._transfers.start(fill.key, source))
            await self._store.awrite(fills.done, [fill.id])
            self._recent.pop(fill.key, None)
        except asyncio.CancelledError:
            raise
        except Exception as e:
            await self._failed(fill, e)

    async def _found_elsewhere(self, fill: Fill) -> bool:
        """Whether another machine has put the file into the object store."""
        if self._objects is None:
            return False
        copy = await asyncio.to_thread(self._objects.find, fill.id)
        if copy is not None:
            await asyncio.to_thread(self._files.note_remote, fill.key, copy)
        return copy is not None

    async def _failed(self, fill: Fill, error: Exception) -> None:
        """Try again while the URL works, or wait for the next sight."""
        now = self._services.clock()
        text = f"{type(error).__name__}: {error}"
        self._recent.pop(fill.key, None)
        try:
            if isinstance(error, Busy):
                await self._store.awrite(fills.retry, fill.id, now + timedelta(seconds=1), text, count=False)
            elif isinstance(error, DiskFull):
                log.warning("media fill paused: no room", error=str(error))
                later = now + timedelta(seconds=FULL_WAIT_S)
                await self._store.awrite(fills.retry, fill.id, later, text, count=False)
            elif isinstance(error, TooLarge) or (isinstance(error, NotCacheable) and not error.retry):
                await self._store.awrite(fills.wait, fill.id, now + LARGE_WAIT, text)
            elif (at := _retry_at(fill, error, now)) is not None:
                await self._store.awrite(fills.retry, fill.id, at, text)
            else:
                log.info("media file not fetched", file=fill.id, error=text, attempts=fill.attempts)
                pause, count = _pause(fill, error, now)
                await self._store.awrite(fills.wait, fill.id, now + pause, text, count=count)
        except StoreError as e:  # the lease runs out, and the row is tried again then
            log.warning("media fill not noted", error=f"{type(e).__name__}: {e}")

    async def _stop(self) -> None:
        tasks = [*self._tasks.values(), *self._notes]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            await asyncio.shield(self._store.awrite(fills.release, self._worker, self._services.clock()))
        except StoreError as e:
            log.warning("media fills not given back", error=f"{type(e).__name__}: {e}")


def _retry_at(fill: Fill, error: Exception, now: datetime) -> datetime | None:
    """When to try the same URL again; None where that is of no use."""
    if isinstance(error, BadStatus | FetchFailed) and not error.retry:
        return None
    if fill.attempts >= MAX_ATTEMPTS:
        return None
    wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (fill.attempts - 1)) * random.uniform(0.75, 1.25)  # noqa: S311
    if isinstance(error, BadStatus) and error.retry_after_s is not None:
        wait_s = max(wait_s, error.retry_after_s)
    at = now + timedelta(seconds=wait_s)
    return None if fill.url_ends_at is not None and fill.url_ends_at <= at else at


def _pause(fill: Fill, error: Exception, now: datetime) -> tuple[timedelta, bool]:
    """How long not even a new URL is tried, and whether the attempts go on counting: refusals in a row wait longer."""
    if fill.url_ends_at is not None and fill.url_ends_at <= now:
        return timedelta(0), False
    if isinstance(error, BadStatus | FetchFailed) and not error.retry:
        return min(LONGEST_GONE_WAIT, GONE_WAIT * 4 ** min(fill.attempts - 1, 10)), True
    return WORN_OUT_WAIT, False


def _time(unix: float | None) -> datetime | None:
    try:
        return None if unix is None else datetime.fromtimestamp(unix, UTC)
    except (OverflowError, OSError, ValueError):
        return None


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
