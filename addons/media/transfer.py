"""One fetch of one file, watched by any number of readers (issue: filling, download).

A transfer writes what arrives to a part file. Readers follow that file, so that the first byte reaches them at once,
late ones start from the beginning, and a reader that leaves stops nothing. The writer holds a lock on the part file:
single-flight among processes, and a crash frees it. Only a part that is whole becomes a copy.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import re
import secrets
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

import aiohttp
import structlog

from addons.media.fetch import BadStatus, CdnClient, FetchFailed, MediaHead, Source, failure
from addons.media.files import DiskFull, FileStore, TooLarge, is_full
from addons.media.index import Copy
from addons.media.links import file_id
from addons.media.objects import ObjectStore
from addons.media.part import PartHead, continues, lock_part
from addons.media.throttle import Throttle

log = structlog.get_logger(__name__)

READ = 1 << 18
ROOM_STEP = 1 << 23  # bytes after which a transfer looks at the disk again
NO_ROOM = "no room for more copies; filling is paused, serving goes on"
FULL_TROUBLE_S = 60.0
STORE_TROUBLE_S = 400.0
MANIFESTS = frozenset(
    {"application/dash+xml", "application/vnd.apple.mpegurl", "application/x-mpegurl", "audio/mpegurl"}
)
_URL = re.compile(r"https?://\S+")


class Broken(Exception):
    """The transfer ended before the file was whole; nothing was saved."""


class NotCacheable(Exception):
    """The answer is none that may be kept. `retry`: whether there may be another one later."""

    def __init__(self, message: str, *, retry: bool = False) -> None:
        super().__init__(message)
        self.retry = retry


class StoreFailed(Exception):
    """The object store did not take the copy."""


class Trouble:
    """Why copies cannot be kept, for health. It stands for `lasts_s`, or until one is kept."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._text: str | None = None
        self._ends = 0.0

    def note(self, text: str, lasts_s: float) -> None:
        self._text, self._ends = text, self._clock() + lasts_s

    def clear(self) -> None:
        self._text = None

    @property
    def text(self) -> str | None:
        return self._text if self._clock() < self._ends else None


@dataclass(slots=True)
class Limits:
    """Config's `media.max_file_bytes`, the bandwidth that all fills of this process share, where copies go."""

    max_file_bytes: int
    throttle: Throttle
    objects: ObjectStore | None = None
    trouble: Trouble = field(default_factory=Trouble)


class Transfer:
    """A fetch in progress in this process.

    `received`: all bytes came, whether or not they could be kept. `wanted` is set while a client waits for the bytes: then the fills' bandwidth limit does not slow it.
    """

    def __init__(self, key: str, source: Source, files: FileStore, client: CdnClient, limits: Limits) -> None:
        self.key = key
        self.id = file_id(key)
        self.written = 0
        self.wanted = False
        self.head: PartHead | None = None
        self.copy: Copy | None = None
        self.error: Exception | None = None
        self.done = False
        self.received = False
        self._source = source
        self._files = files
        self._client = client
        self._limits = limits
        self._file: BinaryIO | None = None
        self._hash = hashlib.sha256()
        self._waiters: list[asyncio.Future[None]] = []

    async def run(self) -> None:
        """Fetch to the end. Never raises but for cancellation: `copy` or `error` say how it ended."""
        try:
            self._file = lock_part(self._files.part(self.id))  # 50 µs; a thread would cost the first byte 20 times that
            found = self._files.index.get(self.key)
            if found is not None and not self._files.lost(self.key, found):  # another process finished while we came
                self._files.part(self.id).unlink(missing_ok=True)
                self.copy = found
                return
            await self._resume_or_start()
            self.received = True
            self.copy = await asyncio.to_thread(self._keep)
            self._limits.trouble.clear()
        except (aiohttp.ClientError, TimeoutError) as e:
            self.error = failure(e)
        except (OSError, sqlite3.OperationalError) as e:
            self.error = self._of_disk(e)
        except StoreFailed as e:
            self._limits.trouble.note(f"copies cannot be put into `media.store`: {e}", STORE_TROUBLE_S)
            self.error = e
        except Exception as e:
            self.error = e
        finally:
            if self.error is None and self.copy is None:
                self.error = Broken("the transfer was stopped")
            self.done = True
            self._progress()
            self._close()

    def _of_disk(self, e: OSError | sqlite3.OperationalError) -> Exception:
        """What an error of a write means."""
        if not is_full(e):
            return FetchFailed("closed", str(getattr(e, "strerror", None) or e))
        self._limits.trouble.note(NO_ROOM, FULL_TROUBLE_S)
        return DiskFull(errno.ENOSPC, str(getattr(e, "strerror", None) or e))

    async def started(self) -> None:
        """Returns once the head is known. Raises what ended the transfer before that."""
        while self.head is None and not self.done:
            await self.changed()
        if self.head is None and self.error is not None:
            raise self.error

    async def changed(self) -> None:
        """Wait for more bytes, or the end."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def reader(self) -> int:
        """A file descriptor of the part, the caller's to close; it stays readable when the part becomes a copy."""
        assert self._file is not None
        return os.dup(self._file.fileno())

    async def _resume_or_start(self) -> None:
        before = PartHead.load(self._files.head(self.id))
        have = os.fstat(self._fd).st_size
        validator = before.validator() if before else None
        partial = before is not None and validator and before.length is not None and 0 < have < before.length
        if not (partial and await self._fetch(have, validator, before)):
            await self._fetch(0, None, None)

    async def _fetch(self, have: int, validator: str | None, before: PartHead | None) -> bool:
        """One request. False: upstream does not resume, start again."""
        headers = {"Range": f"bytes={have}-", "If-Range": validator} if have and validator else {}
        async with self._client.request(self._source, headers=headers) as response:
            if have and response.status == 416:
                return False
            if response.status == 206 and before is not None:
                if not continues(response, have, before):
                    return False
                await asyncio.to_thread(self._hash_before, have)
            elif response.status == 200:
                os.ftruncate(self._fd, 0)
                self._hash, self.written = hashlib.sha256(), 0
            else:
                raise BadStatus(response.status, _retry_after(response.headers.get("Retry-After")))
            await self._receive(response, before if response.status == 206 else None)
        return True

    async def _receive(self, response: MediaHead, before: PartHead | None) -> None:
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise NotCacheable("the CDN sent an encoded body")
        head = before or PartHead.of(response, response.content_length, self.name)
        kind = head.content_type.partition(";")[0].strip().lower()
        if kind == "text/html":  # as proxies and portals send for errors
            raise NotCacheable("the CDN sent a page of HTML", retry=True)
        if kind in MANIFESTS:
            raise NotCacheable("what a playlist names lies beside it, not beside a copy")
        if head.length is not None and head.length > self._limits.max_file_bytes:
            raise TooLarge(f"{head.length} bytes exceed media.max_file_bytes")
        more = (head.length or 0) - self.written
        if not self._files.has_room(more):
            await asyncio.to_thread(self._files.make_room, more)
        self._files.promise(self.id, more)
        head.save(self._files.head(self.id))
        self.head = head
        self._progress()
        while chunk := await response.content.readany():
            self._write(chunk)
            await asyncio.sleep(0)  # readers first: they have waited longer than the hash
            self._hash.update(chunk)
            if not self.wanted:
                await self._limits.throttle.spend(len(chunk))
        if head.length is not None and self.written != head.length:
            raise Broken(f"{self.written} of {head.length} bytes arrived")

    def _write(self, chunk: bytes) -> None:
        if self.written + len(chunk) > self._limits.max_file_bytes:
            raise TooLarge("the file exceeds media.max_file_bytes")
        before = self.written
        os.pwrite(self._fd, chunk, before)
        self.written += len(chunk)
        if self.head is not None and self.head.length is not None:
            self._files.promise(self.id, max(0, self.head.length - self.written))
        if before // ROOM_STEP != self.written // ROOM_STEP and self._files.full():
            raise DiskFull(errno.ENOSPC, "others filled the disk on the way")
        self._progress()

    def _hash_before(self, have: int) -> None:
        at = 0
        while at < have:
            chunk = os.pread(self._fd, min(READ, have - at), at)
            self._hash.update(chunk)
            at += len(chunk)
        self.written = have

    def _keep(self) -> Copy:
        """Sync, and move into place. The ETag was checked where bytes of two answers were joined; it is no checksum."""
        assert self.head is not None
        os.fsync(self._fd)
        copy = Copy(
            self.id, self._hash.hexdigest(), self.written, self.head.content_type, secrets.token_hex(8), time.time(),
            self.name, self.head.etag, self.head.last_modified,
        )  # fmt: skip
        if self._limits.objects is not None:
            try:
                copy = self._limits.objects.save(copy, self._files.part(self.id))
            except Exception as e:
                text = _URL.sub("…", str(e))  # an object's name opens it
                log.warning("copy not put into the object store", file=self.id, error=text[:500])
                raise StoreFailed(f"{type(e).__name__}; see the gateway's log") from e
            self._files.note_remote(self.key, copy, self._files.part(self.id))
        else:
            self._files.adopt(self.key, copy, self._files.part(self.id), self._fd)
        self._files.head(self.id).unlink(missing_ok=True)
        return copy

    @property
    def name(self) -> str:
        """The last segment of the file's path."""
        return self.key.partition(" ")[2].partition("?")[0].rsplit("/", 1)[-1]

    @property
    def _fd(self) -> int:
        assert self._file is not None
        return self._file.fileno()

    def _progress(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _close(self) -> None:
        """Drop the lock. A part that cannot be resumed is of no use; one for which there is no room stands in the way."""
        self._files.promise(self.id, 0)
        if self._file is None:
            return
        resumable = self.head and self.head.validator() and self.head.length and not isinstance(self.error, DiskFull)
        if self.copy is None and not resumable:
            self._files.part(self.id).unlink(missing_ok=True)
            self._files.head(self.id).unlink(missing_ok=True)
        self._file.close()
        self._file = None


class Transfers:
    """All fetches of this process: one per file however many ask."""

    def __init__(self, files: FileStore, client: CdnClient, limits: Limits) -> None:
        self._files = files
        self._client = client
        self._limits = limits
        self._running: dict[str, tuple[Transfer, asyncio.Task[None]]] = {}

    @property
    def trouble(self) -> str | None:
        """Why copies cannot be kept at the moment."""
        return self._limits.trouble.text

    def start(self, key: str, source: Source) -> Transfer:
        """The transfer of that file: the one in progress, or a new one."""
        found = self._running.get(key)
        if found is not None:
            return found[0]
        transfer = Transfer(key, source, self._files, self._client, self._limits)
        task = asyncio.create_task(transfer.run(), name=f"media {transfer.id}")
        self._running[key] = transfer, task
        task.add_done_callback(lambda _: self._running.pop(key, None))
        return transfer

    async def finished(self, transfer: Transfer) -> Copy:
        """Wait for the end of a transfer. Raises what ended it."""
        while not transfer.done:
            await transfer.changed()
        if transfer.copy is None:
            assert transfer.error is not None
            raise transfer.error
        return transfer.copy

    async def close(self) -> None:
        """Stop all; parts stay for resuming."""
        tasks = [task for _, task in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _retry_after(text: str | None) -> float | None:
    return float(text) if text and text.isdigit() else None
