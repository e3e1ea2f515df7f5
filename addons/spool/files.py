"""Files in which acknowledged lines wait to be stored: each is written before its answer goes out.

A line that was written survives the process (`kill -9`): the system keeps the page. Each process appends to files of its
own and holds a lock on them while it lives; files whose lock is free belong to a dead process and are stored by any other
one on the machine. How far a file is stored stands in the store and moves in the transaction of its lines, so a line is
stored exactly once.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ulid import ULID

ROTATE_BYTES = 32_000_000
READ_BYTES = 512_000


@dataclass(frozen=True, slots=True)
class Lines:
    """Whole lines of a spool file from byte `start` to `end`."""

    name: str
    start: int
    end: int
    lines: list[bytes]


class SpoolFile:
    """One file, locked while it is open."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self.position = 0
        self.size = os.fstat(fd).st_size
        self._fd = fd

    @property
    def name(self) -> str:
        return self.path.name

    def append(self, line: bytes) -> None:
        """Raises OSError; a line of which a part was written is cut off again."""
        done = os.write(self._fd, line)
        if done != len(line):
            os.ftruncate(self._fd, self.size)
            raise OSError(f"spool {self.name}: {done} of {len(line)} bytes were written")
        self.size += done

    def read(self) -> Lines:
        """The next whole lines; none at the end. A line that was never finished was never answered: it is left out."""
        data = os.pread(self._fd, READ_BYTES, self.position)
        end = data.rfind(b"\n") + 1
        return Lines(self.name, self.position, self.position + end, data[:end].splitlines())

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        os.close(self._fd)


def create(folder: Path, suffix: str) -> SpoolFile:
    """A new file of this process. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        path = folder / f"{ULID()}{suffix}"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink:
            return SpoolFile(path, fd)
        os.close(fd)  # another process was faster with the lock, took it for a dead one's and removed it


@contextmanager
def adopted(path: Path) -> Iterator[SpoolFile | None]:
    """The file of a dead process, locked; None where its process lives or another one has taken it."""
    try:
        fd = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        yield None
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        yield None
        return
    file = SpoolFile(path, fd)
    try:
        yield file if os.fstat(fd).st_nlink else None  # its adopter may have removed it before we got the lock
    finally:
        file.close()


def found(folder: Path, suffix: str) -> list[Path]:
    """All spool files, oldest first."""
    return sorted(folder.glob(f"*{suffix}")) if folder.is_dir() else []
