"""The request log: JSON lines in a file and the last records in memory."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from typing import IO, Any

import orjson
from aiohttp import web


class RequestLog:
    """One record per request that reached the API, the CDN or the storage: method, path, headers, status, bytes, host, kind, time."""

    def __init__(self, path: Path | None, keep: int) -> None:
        self.records: deque[dict[str, Any]] = deque(maxlen=keep)
        self._file: IO[bytes] | None = path.open("ab", buffering=0) if path else None

    def add(self, request: web.BaseRequest, kind: str, status: int, size: int, started: float) -> None:
        """`status` 0: the connection was closed without an answer."""
        record = {
            "time": time.time(),
            "kind": kind,
            "method": request.method,
            "path": request.raw_path,
            "host": request.headers.get("Host", ""),
            "headers": {name.lower(): value for name, value in request.headers.items()},
            "status": status,
            "bytes": size,
            "ms": round((time.perf_counter() - started) * 1000, 2),
        }
        self.records.append(record)
        if self._file:
            self._file.write(orjson.dumps(record) + b"\n")

    def close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None
