"""Files of the media cache on disk: content-addressed, whole or absent.

blobs/ab/abcdef…     whole files, named by their SHA-256, never written in place
parts/<id>.part      what a transfer has fetched so far; its writer holds an exclusive lock (flock)
parts/<id>.json      head of that transfer, for resuming and for readers in other processes
spool/               uploads on their way to upstream
index/               `index.MediaIndex`
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from addons.media.index import Copy, MediaIndex

INDEX_ROOM = 1 << 20
FULL_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT})
STALE_PART_S = 7 * 86_400.0


class DiskFull(OSError):
    """No room for another copy: the disk has less than `media.min_free_bytes` left, or a write failed for it."""


class TooLarge(Exception):
    """The file exceeds `media.max_file_bytes`, or all of `media.max_cache_bytes`."""


@dataclass(frozen=True, slots=True)
class Stats:
    """What `ofapi media stats` and health show; sizes in bytes."""

    files: int
    bytes: int
    free_bytes: int
    partial_files: int
    full: bool


class FileStore:
    """The folder `media.dir`.

    Args:
        root: created when missing, readable by the owner alone.
        max_bytes: size of all copies above which the least recently used go.
        min_free_bytes: free space on the disk below which no copy is made; a little is always left for the index.
    """

    def __init__(self, root: Path, *, max_bytes: int, min_free_bytes: int) -> None:
        self.root = root
        for name in ("blobs", "parts", "spool", "index"):
            (root / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        self.index = MediaIndex(root / "index")
        self.max_bytes = max_bytes
        self.min_free_bytes = max(min_free_bytes, INDEX_ROOM)
        self._promised: dict[str, int] = {}
        self._uses: dict[str, float] = {}

    def part(self, file_id: str) -> Path:
        return self.root / "parts" / f"{file_id}.part"

    def head(self, file_id: str) -> Path:
        return self.root / "parts" / f"{file_id}.json"

    def spool(self, name: str) -> Path:
        return self.root / "spool" / name

    def path(self, copy: Copy) -> Path:
        return self.root / copy.blob

    def free_bytes(self) -> int:
        return shutil.disk_usage(self.root).free

    def full(self) -> bool:
        """Whether filling pauses because the disk has no room. Eviction does not help: others use the disk too."""
        return self.free_bytes() < self.min_free_bytes

    def promise(self, file_id: str, size: int) -> None:
        """Keep room for what a transfer of this process has yet to write; 0 when it ends."""
        if size:
            self._promised[file_id] = size
        else:
            self._promised.pop(file_id, None)

    def has_room(self, size: int) -> bool:
        """Whether `size` more bytes fit as things are."""
        return self.index.total_bytes() + size <= self.max_bytes and self._fits(size)

    def make_room(self, size: int) -> None:
        """Evict until `size` more bytes fit below `max_bytes`. Raises TooLarge, and DiskFull where the disk has no room."""
        if size > self.max_bytes:
            raise TooLarge(f"{size} bytes exceed media.max_cache_bytes ({self.max_bytes})")
        excess = self.index.total_bytes() + size - self.max_bytes
        if excess > 0:
            self.evict(excess)
        if not self._fits(size):
            raise DiskFull(errno.ENOSPC, f"less than media.min_free_bytes ({self.min_free_bytes}) would stay free")

    def _fits(self, size: int) -> bool:
        return self.free_bytes() - sum(self._promised.values()) - size >= self.min_free_bytes

    def used(self, keys: Iterable[str]) -> None:
        """Note that copies were of use now; what goes first depends on it. `write_uses` tells other processes."""
        self._uses.update(dict.fromkeys(keys, time.time()))

    def write_uses(self) -> None:
        uses, self._uses = self._uses, {}
        if uses:
            self.index.touch_many(uses.copy())

    def evict(self, wanted: int) -> int:
        """Remove least recently used copies until `wanted` bytes are gone, but none that is being sent. Bytes removed."""
        self.write_uses()
        gone, after = 0, 0.0
        while gone < wanted:
            rows = self.index.oldest(100, after)
            before = gone
            for key, copy, _used in rows:
                if gone >= wanted:
                    break
                if self.index.remove(key, self._unlink_unused):
                    gone += copy.size
            if gone > before:
                continue
            if len(rows) < 100 or rows[-1][2] <= after:
                break
            after = rows[-1][2]  # all of these are being sent
        return gone

    def note_remote(self, key: str, copy: Copy, part: Path | None = None) -> None:
        """Record a copy whose bytes the object store holds; `part` is not needed any more."""
        self.index.put(key, copy, lambda: part.unlink(missing_ok=True) if part is not None else None)

    def adopt(self, key: str, copy: Copy, part: Path, fd: int | None = None) -> None:
        """Make a finished part the copy of `key`: it is durable and complete before anyone can see it.

        `fd`: the part as its writer has it open. Those who follow the writer share its lock: from here on it is a
        reader's, so that others may read, and eviction passes by.
        """
        target = self.path(copy)
        target.parent.mkdir(exist_ok=True, mode=0o700)
        before = self.index.get(key)

        def place() -> None:
            if target.exists() and target.stat().st_size == copy.size:
                part.unlink()
            else:
                part.replace(target)
                _sync_folder(target.parent)
                if fd is not None:
                    fcntl.flock(fd, fcntl.LOCK_SH)

        try:
            self.index.put(key, copy, place)
        except BaseException:
            if not self.index.holds(copy.sha256):  # a file that no row names only takes room
                target.unlink(missing_ok=True)
            raise
        if before is not None and before.sha256 != copy.sha256 and not self.index.holds(before.sha256):
            self.path(before).unlink(missing_ok=True)
        if (excess := self.index.total_bytes() - self.max_bytes) > 0:  # others arrived since `make_room`
            self.evict(excess)

    def remove(self, key: str) -> bool:
        """Forget one copy, even while it is being sent (the bytes go with the last reader)."""
        return self.index.remove(key, self._unlink)

    def lost(self, key: str, copy: Copy) -> bool:
        """Whether the bytes of a copy are gone, which nobody of us did; then it is forgotten, to be fetched again."""
        if copy.object is not None or self.path(copy).exists():
            return False
        self.index.remove(key, lambda _: True)
        return True

    def open(self, copy: Copy) -> BinaryIO:
        """The file for sending: locked so that eviction passes it by. Raises FileNotFoundError."""
        file = self.path(copy).open("rb")
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:  # being evicted this moment
            file.close()
            raise FileNotFoundError(str(self.path(copy))) from None
        return file

    def verify(self, bad: Callable[[str, Copy, str], None], remote: Callable[[Copy], bool] = lambda copy: True) -> int:
        """Read every copy again and drop those that are missing or altered; `bad(key, copy, reason)`. Files checked.

        `remote`: whether the object store still holds a copy that is there.
        """
        checked = 0
        for key, copy in self.index.entries():
            checked += 1
            if copy.object is not None:
                reason = "" if remote(copy) else "the object is missing"
            else:
                reason = self._problem(copy)
            if reason and self.index.get(key) == copy:  # else it was evicted or replaced while we read
                bad(key, copy, reason)
                self.index.remove(key, self._unlink)
        return checked

    def sweep(self) -> int:
        """Remove blobs that no row names and parts that nobody has written to for a week. Files removed."""
        removed = 0
        for blob in self.root.glob("blobs/??/*"):
            if time.time() - blob.stat().st_mtime > 3600 and not self.index.holds(blob.name):
                blob.unlink(missing_ok=True)
                removed += 1
        for part in (self.root / "parts").iterdir():
            if time.time() - part.stat().st_mtime > STALE_PART_S:
                part.unlink(missing_ok=True)
                removed += 1
        return removed

    def stats(self) -> Stats:
        parts = sum(1 for _ in (self.root / "parts").glob("*.part"))
        return Stats(len(self.index), self.index.total_bytes(), self.free_bytes(), parts, self.full())

    def _problem(self, copy: Copy) -> str:
        try:
            with self.path(copy).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return "the file is missing"
        return "" if digest == copy.sha256 else "the bytes have changed"

    def _unlink(self, copy: Copy) -> bool:
        self.path(copy).unlink(missing_ok=True)
        return True

    def _unlink_unused(self, copy: Copy) -> bool:
        """Unlink unless someone is sending it."""
        try:
            with self.path(copy).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.path(copy).unlink(missing_ok=True)
        except FileNotFoundError:
            return True
        except BlockingIOError:
            return False
        return True


def is_full(error: OSError | sqlite3.OperationalError) -> bool:
    """Whether a write, of a file or of the index, failed for lack of room."""
    if isinstance(error, sqlite3.OperationalError):
        return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL
    return isinstance(error, DiskFull) or error.errno in FULL_ERRORS


def sync_file(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
