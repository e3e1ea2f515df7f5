"""Faults on demand: which requests they hit, and what they do to the answer.

Kinds and their parameters (defaults in brackets):
before the answer: `latency` seconds[0.2]; `rate_limit` retry_after[2]; `dead_session`; `forbidden`; `not_found`; `server_error` status[500] (HTML);
`raw` body or body_b64, content_type, status[200], headers; `redirect` location, status[302]; `reset`; `close_on_reuse` (only a connection that
served before is dropped); `empty`; `html` (200, not JSON).
on the real answer: `truncate` keep[0.5]; `encoding` name[gzip] gzip|br|zstd|deflate; `chunked`; `huge_numbers`; `duplicate_keys`; `invalid_utf8`;
`invalid_json`; `lying_length` delta[100]; `slow` bytes_per_s[1000000].
"""

from __future__ import annotations

import gzip
import itertools
import re
import threading
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import brotli
import zstandard

KINDS = frozenset(
    [
        "latency",
        "rate_limit",
        "dead_session",
        "forbidden",
        "not_found",
        "server_error",
        "raw",
        "redirect",
        "reset",
        "close_on_reuse",
        "empty",
        "html",
        "truncate",
        "encoding",
        "chunked",
        "huge_numbers",
        "duplicate_keys",
        "invalid_utf8",
        "invalid_json",
        "lying_length",
        "slow",
    ]
)
CODECS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 6, mtime=0),
    "deflate": lambda data: zlib.compress(data, 6),
    "br": lambda data: brotli.compress(data, quality=4),
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
}
HUGE = b'"hugeNumber":' + b"9" * 80 + b',"exactPrice":1.10,"tinyNumber":1e-7,"negativeZero":-0.0'
NUMBER = re.compile(rb'("price":)(\d+)(?=[,}])')


@dataclass
class Fault:
    """`path` is a regular expression searched in the path with query; `host` is api, cdn or storage (empty: any).

    `count` requests are hit (0: all), after the first `skip` that match. `account` limits it to one creator's OnlyFans id.
    """

    kind: str
    method: str = ""
    path: str = ""
    host: str = ""
    count: int = 1
    skip: int = 0
    account: int = 0
    params: dict[str, Any] = field(default_factory=dict)
    id: int = 0
    hits: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown fault kind {self.kind!r}; known: {', '.join(sorted(KINDS))}")
        try:
            self._path = re.compile(self.path)
        except re.error as problem:
            raise ValueError(f"path {self.path!r} is no regular expression: {problem}") from problem

    def fits(self, method: str, path: str, host: str, account: int) -> bool:
        return (
            self.method in {"", "*", method}
            and self.host in {"", host}
            and (not self.account or self.account == account)
            and self._path.search(path) is not None
        )

    def view(self) -> dict[str, Any]:
        return asdict(self)


class Faults:
    """The faults in force, oldest first; safe to change from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._active: list[Fault] = []

    def add(self, kind: str, **options: Any) -> Fault:
        """Add a fault; options that are not fields of `Fault` become its parameters."""
        names = Fault.__dataclass_fields__
        params = {**options.pop("params", {}), **{key: options.pop(key) for key in list(options) if key not in names}}
        fault = Fault(kind, params=params, **options)
        with self._lock:
            fault.id = next(self._ids)
            self._active.append(fault)
        return fault

    def clear(self, fault_id: int | None = None) -> int:
        """Remove one or all; returns how many went."""
        with self._lock:
            kept = [fault for fault in self._active if fault_id is not None and fault.id != fault_id]
            gone = len(self._active) - len(kept)
            self._active = kept
        return gone

    def active(self) -> list[Fault]:
        return list(self._active)

    def take(self, method: str, path: str, host: str, account: int, *, reused: bool) -> list[Fault]:
        """The faults that hit this request; each is counted, used-up ones are removed."""
        if not self._active:
            return []
        hit = []
        with self._lock:
            for fault in list(self._active):
                if not fault.fits(method, path, host, account) or (fault.kind == "close_on_reuse" and not reused):
                    continue
                if fault.skip:
                    fault.skip -= 1
                    continue
                fault.hits += 1
                hit.append(fault)
                if fault.count and fault.hits >= fault.count:
                    self._active.remove(fault)
        return hit


def spoil(kind: str, body: bytes) -> bytes:
    """The odd bodies: still this answer, but with what makes parsers stumble."""
    if kind == "huge_numbers":
        body = NUMBER.sub(rb"\g<1>\g<2>.10", body)
        return body[:1] + HUGE + (b"," if body[1:2] != b"}" else b"") + body[1:] if body[:1] == b"{" else body
    if kind == "duplicate_keys":
        return (
            body[:1] + b'"dup":1,"dup":2' + (b"," if body[1:2] != b"}" else b"") + body[1:]
            if body[:1] == b"{"
            else body
        )
    if kind == "invalid_utf8":
        return (
            body.replace(b'"name":"', b'"name":"\xff\xfe', 1)
            if b'"name":"' in body
            else body[:1] + b'"bad":"\xc3\x28"' + b"," + body[1:]
        )
    if kind == "invalid_json":
        return body[:-1] + b",]"
    return body
