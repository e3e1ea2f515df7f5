"""A file while it is fetched: its bytes so far, under a lock, and beside them what upstream said about it."""

from __future__ import annotations

import fcntl
import json
import mimetypes
import os
import re
import secrets
from dataclasses import asdict, dataclass
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from addons.media.fetch import MediaHead

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_SAYS_NOTHING = ("", "application/octet-stream", "binary/octet-stream")


class Busy(Exception):
    """Another process fetches this file."""


@dataclass(frozen=True, slots=True)
class PartHead:
    """What upstream said about a file. `length` None: it did not say. `last_modified`: Unix seconds."""

    length: int | None
    content_type: str
    etag: str | None
    last_modified: float | None
    boot: str = ""

    @classmethod
    def of(cls, response: MediaHead, length: int | None, name: str) -> PartHead:
        modified = _http_time(response.headers.get("Last-Modified"))
        return cls(length, content_type(response, name), response.headers.get("ETag"), modified, _boot_id())

    @classmethod
    def load(cls, path: Path) -> PartHead | None:
        try:
            return cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def save(self, path: Path) -> None:
        tmp = path.with_suffix(f".{os.getpid()}.tmp")
        tmp.write_text(json.dumps(asdict(self)))
        tmp.replace(path)

    def validator(self) -> str | None:
        """What a resumed download needs: a strong ETag, and that the machine ran since (a part is not synced)."""
        return self.etag if is_strong(self.etag) and self.boot == _boot_id() else None

    def if_range(self) -> str | None:
        """What the rest of the file is asked for with, while its transfer runs: a strong ETag, else the date."""
        if is_strong(self.etag):
            return self.etag
        return None if self.last_modified is None else formatdate(self.last_modified, usegmt=True)


def lock_part(path: Path) -> BinaryIO:
    """The part file, open and locked. Raises Busy."""
    while True:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.fstat(file.fileno()).st_ino == path.stat().st_ino:
                return file
        except BlockingIOError:
            file.close()
            raise Busy from None
        except FileNotFoundError:
            pass
        file.close()


def content_type(response: MediaHead, name: str) -> str:
    """Upstream's, or by the file's name where that says nothing."""
    given = response.headers.get("Content-Type", "")
    if given.partition(";")[0].strip().lower() not in _SAYS_NOTHING:
        return given
    return mimetypes.guess_type(name)[0] or given or "application/octet-stream"


def is_strong(etag: str | None) -> bool:
    return etag is not None and not etag.startswith("W/")


def continues(response: MediaHead, have: int, before: PartHead) -> bool:
    """Whether a 206 goes on where a part of `have` bytes ends."""
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    same = response.headers.get("ETag") in (None, before.etag)
    return found is not None and int(found[1]) == have and int(found[3]) == before.length and same


def _http_time(text: str | None) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except ValueError:
        return None


@lru_cache(maxsize=1)
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return secrets.token_hex(8)
