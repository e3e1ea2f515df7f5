"""The index of cached files: diskcache over one SQLite file, shared by all processes of a machine.

Keys are key texts (`identity.MediaKey.text`), values are JSON of a `Copy`; nothing is pickled. diskcache keeps the
total size and the order of use; which file goes when is decided here (`evict`), because a file that is being sent
must stay. Files are content-addressed: several keys may share one.
"""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import orjson
import structlog
from diskcache import Cache, Disk

log = structlog.get_logger(__name__)

MODE_RAW = 1  # diskcache's word for "the value column holds it"
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
UNWRITABLE = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)


class Copy(NamedTuple):
    """A whole file that was saved. `id` names it in links, `salt` makes links of an earlier copy worthless.

    `last_modified` and `saved_at` are Unix seconds; `etag` is upstream's, as sent. `object`: name in the object store,
    where one holds the bytes instead of this machine.
    """

    id: str
    sha256: str
    size: int
    content_type: str
    salt: str
    saved_at: float
    name: str = ""
    etag: str | None = None
    last_modified: float | None = None
    object: str | None = None

    @property
    def blob(self) -> str:
        """Path of the bytes below the media folder."""
        return blob_path(self.sha256)

    def to_json(self) -> str:
        return orjson.dumps(self[:]).decode()

    @classmethod
    def from_json(cls, text: str) -> Copy:
        values = orjson.loads(text)
        if len(values) == len(cls._fields):  # half the time of a call with arguments, and a body may have hundreds
            return tuple.__new__(cls, values)
        return cls(*values)


def blob_path(sha256: str) -> str:
    return f"blobs/{sha256[:2]}/{sha256}"


class TextDisk(Disk):  # type: ignore[misc]
    """diskcache's serialiser without pickle: text keys, JSON values, the size of the file that the value names."""

    def put(self, key: Any) -> tuple[str, bool]:
        if not isinstance(key, str):
            raise TypeError(f"keys of the media index are text, not {type(key).__name__}")
        return key, True

    def get(self, key: Any, raw: bool) -> Any:
        return key

    def store(self, value: Any, read: bool, key: Any = None) -> tuple[int, int, str, str]:
        if not isinstance(value, Copy):
            raise TypeError(f"values of the media index are copies, not {type(value).__name__}")
        return value.size, MODE_RAW, value.sha256, value.to_json()

    def remove(self, file_path: str) -> None:
        """Nothing: `MediaIndex` removes files, for several rows may share one."""

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> Copy:
        if mode != MODE_RAW or not isinstance(value, str):
            raise ValueError("the media index holds a row that this program did not write; remove its folder")
        return Copy.from_json(value)


class MediaIndex:
    """What is cached. Methods block on SQLite (well under 1 ms for one key); safe from several threads and processes.

    A damaged index is begun anew when it is opened; one that cannot be opened, on a full disk, is empty and stays so.
    One that goes bad later holds nothing, as far as readers can tell: answers go out with upstream's URLs. `problem`
    says so then.
    """

    def __init__(self, folder: Path) -> None:
        self.problem: str | None = None
        self._folder = folder
        self._stand_in: TemporaryDirectory[str] | None = None
        try:
            self._cache = _open(folder)
        except sqlite3.DatabaseError as e:
            if e.sqlite_errorcode & 0xFF in DAMAGED:
                log.warning("the media index is damaged and begins anew; files are fetched again", error=str(e))
                shutil.rmtree(folder)
                self._cache = _open(folder)
            elif e.sqlite_errorcode & 0xFF in UNWRITABLE:
                self.problem = f"the index cannot be opened ({e}); make room on its disk and restart"
                log.error("the media index cannot be opened; nothing is cached", folder=str(folder), error=str(e))
                self._stand_in = TemporaryDirectory(prefix="ofapi-media-index-")
                self._cache = _open(Path(self._stand_in.name))
            else:
                raise

    def get_many(self, keys: Sequence[str]) -> dict[str, Copy]:
        """The copies of those keys that have one: one query for all."""
        try:
            found = self._cache.get_many(keys)
        except sqlite3.Error as e:
            self._failed(e)
            return {}
        if self._stand_in is None:
            self.problem = None
        return found

    def get(self, key: str) -> Copy | None:
        return self.get_many([key]).get(key)

    def by_id(self, file_id: str) -> tuple[str, Copy] | None:
        """Key and copy of the file with that id (`links.file_id`)."""
        try:
            return self._cache.by_tag(file_id)
        except sqlite3.Error as e:
            self._failed(e)
            return None

    def _failed(self, error: sqlite3.Error) -> None:
        if self.problem is None:
            log.error("the media index cannot be read", error=str(error))
        self.problem = f"the index cannot be read ({error}); stop, remove {self._folder}, and start again"

    def put(self, key: str, copy: Copy, place: Callable[[], None]) -> None:
        """Record a copy; `place` moves its file into place under the lock that also guards removal."""
        if self._stand_in is not None:
            raise OSError(errno.ENOSPC, str(self.problem))
        with self._cache.transact(retry=True):
            place()
            self._cache.set(key, copy, tag=copy.id, retry=True)

    def holds(self, sha256: str) -> bool:
        """Whether some key's copy has these bytes."""
        return self._cache.shares("", sha256)

    def remove(self, key: str, unlink: Callable[[Copy], bool]) -> bool:
        """Forget a copy. `unlink` removes the file; it is called when no other key shares it, False keeps the row."""
        with self._cache.transact(retry=True):
            copy = self.get(key)
            if copy is None:
                return False
            if not self._cache.shares(key, copy.sha256) and not unlink(copy):
                return False
            return bool(self._cache.delete(key, retry=True))

    def touch_many(self, uses: Mapping[str, float]) -> None:
        """Note when files were used, in Unix seconds by key."""
        self._cache.touch_many(uses)

    def oldest(self, limit: int, after: float = 0.0) -> list[tuple[str, Copy, float]]:
        """(key, copy, time of last use), least recently used first, from `after` on."""
        return self._cache.oldest(limit, after)

    def total_bytes(self) -> int:
        """Bytes of all copies; files that two keys share count twice."""
        return int(self._cache.reset("size"))

    def __len__(self) -> int:
        return len(self._cache)

    def entries(self) -> Iterator[tuple[str, Copy]]:
        """All (key, copy), in order of insertion, read in portions."""
        yield from self._cache.entries()

    def close(self) -> None:
        self._cache.close()
        if self._stand_in is not None:
            self._stand_in.cleanup()


def _open(folder: Path) -> _Cache:
    # cull_limit 0: diskcache never evicts by itself. Least-recently-used keeps an index over the time of use.
    cache = _Cache(
        str(folder), timeout=30, disk=TextDisk, cull_limit=0, eviction_policy="least-recently-used", tag_index=True
    )
    cache.index_files()
    return cache


class _Cache(Cache):  # type: ignore[misc]
    """diskcache with the queries it has no calls for. Table and columns are those of its 5.x file format."""

    def index_files(self) -> None:
        self._sql_retry("CREATE INDEX IF NOT EXISTS Cache_filename ON Cache (filename)")

    def get_many(self, keys: Sequence[str]) -> dict[str, Copy]:
        among = "SELECT key, value FROM Cache WHERE raw = 1 AND key IN (SELECT value FROM json_each(?))"
        rows = self._sql(among, (orjson.dumps(keys).decode(),)).fetchall()
        return {key: Copy.from_json(value) for key, value in rows}

    def by_tag(self, tag: str) -> tuple[str, Copy] | None:
        row = self._sql("SELECT key, value FROM Cache WHERE tag = ?", (tag,)).fetchone()
        return None if row is None else (row[0], Copy.from_json(row[1]))

    def shares(self, key: str, sha256: str) -> bool:
        found = self._sql("SELECT 1 FROM Cache WHERE filename = ? AND key <> ? LIMIT 1", (sha256, key)).fetchone()
        return found is not None

    def touch_many(self, uses: Mapping[str, float]) -> None:
        later = "UPDATE Cache SET access_time = ? WHERE raw = 1 AND key = ? AND access_time < ?"
        with self.transact(retry=True):
            self._con.executemany(later, [(at, key, at) for key, at in uses.items()])

    def oldest(self, limit: int, after: float) -> list[tuple[str, Copy, float]]:
        rows = self._sql(
            "SELECT key, value, access_time FROM Cache WHERE access_time >= ? ORDER BY access_time LIMIT ?",
            (after, limit),
        )
        return [(key, Copy.from_json(value), used) for key, value, used in rows.fetchall()]

    def entries(self) -> Iterator[tuple[str, Copy]]:
        last = 0
        while rows := self._sql(
            "SELECT rowid, key, value FROM Cache WHERE rowid > ? ORDER BY rowid LIMIT 500", (last,)
        ).fetchall():
            for rowid, key, value in rows:
                last = rowid
                yield key, Copy.from_json(value)
