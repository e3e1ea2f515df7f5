"""Sends files: conditions, ranges, sendfile."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from typing import BinaryIO

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from addons.media.index import Copy

SMALL = 1 << 16
_RANGE = re.compile(r"bytes=([0-9]*)-([0-9]*)")
_BEYOND = 10**18


class FileBody(web.FileResponse):
    """Part of an open file as the body: by sendfile, so a file of any size takes no memory. Closes the file."""

    def __init__(self, file: BinaryIO, status: int, headers: dict[str, str], start: int, count: int) -> None:
        super().__init__(str(file.name), status=status, headers=headers)
        self._opened = file
        self._span = start, count

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        start, count = self._span
        try:
            self.content_length = count
            if request.method == "HEAD" or not count:
                return await web.StreamResponse.prepare(self, request)
            return await self._sendfile(request, self._opened, start, count)
        finally:
            self._opened.close()


@dataclass(frozen=True, slots=True)
class Version:
    """Which bytes a file has now: `etag` as in the header, `modified` in Unix seconds."""

    size: int
    etag: str
    modified: int

    def headers(self) -> dict[str, str]:
        return {"ETag": self.etag, "Last-Modified": formatdate(self.modified, usegmt=True), "Accept-Ranges": "bytes"}


def respond(request: web.BaseRequest, copy: Copy, file: BinaryIO, cache_control: str) -> web.StreamResponse:
    """The answer for a cached file. Takes over `file`."""
    version = Version(copy.size, f'"{copy.sha256}"', _modified(copy))
    return answer(request, file, version, file_headers(copy, cache_control))


def answer(
    request: web.BaseRequest, file: BinaryIO, version: Version, headers: Mapping[str, str]
) -> web.StreamResponse:
    """The answer for a whole file, a range of it, or 304. Takes over `file`."""
    headers = {**headers, **version.headers()}
    if not_modified(request, version):
        file.close()
        del headers["Content-Type"]
        return web.Response(status=304, headers=headers)
    span = wanted_range(request, version)
    if span is None:
        return _body(request, file, 200, headers, start=0, count=version.size)
    start, end = span
    if start >= end:
        file.close()
        return web.Response(status=416, headers={**headers, "Content-Range": f"bytes */{version.size}"})
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{version.size}"
    return _body(request, file, 206, headers, start=start, count=end - start)


def file_headers(copy: Copy, cache_control: str) -> dict[str, str]:
    """Headers of a cached file. A file from elsewhere must not act as a page of ours: no sniffing, no scripts."""
    return {
        "Content-Type": copy.content_type,
        "Cache-Control": cache_control,
        "Access-Control-Allow-Origin": "*",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }


def not_modified(request: web.BaseRequest, version: Version) -> bool:
    """If-None-Match first, If-Modified-Since only without it (RFC 9110, 13.2.2)."""
    tags = request.headers.get("If-None-Match")
    if tags is not None:
        return tags.strip() == "*" or any(t.strip().removeprefix("W/") == version.etag for t in tags.split(","))
    since = _time(request.headers.get("If-Modified-Since"))
    return since is not None and version.modified <= since


def wanted_range(request: web.BaseRequest, version: Version) -> tuple[int, int] | None:
    """(start, end) of the range to send, end exclusive; start ≥ end: not satisfiable (416). None: the whole file.

    Several ranges at once are answered with the whole file, as RFC 9110 allows.
    """
    text = request.headers.get("Range")
    if text is None or request.method not in ("GET", "HEAD") or not _if_range(request, version):
        return None
    found = _RANGE.fullmatch(text.strip().lower().replace(" ", ""))
    if found is None or found.group() == "bytes=-":
        return None
    first, last = found.groups()
    if not first:
        return version.size - min(version.size, _number(last)), version.size
    if last and _number(last) < _number(first):
        return None  # malformed: as if it were not there
    return _number(first), min(version.size, _number(last) + 1 if last else version.size)


def _number(digits: str) -> int:
    """Beyond the end of any file where it has more digits than that takes."""
    return int(digits) if len(digits) <= len(str(_BEYOND)) else _BEYOND


def _if_range(request: web.BaseRequest, version: Version) -> bool:
    value = request.headers.get("If-Range")
    if value is None:
        return True
    if '"' in value:
        return value.strip() == version.etag
    return _time(value) == float(version.modified)


def _body(
    request: web.BaseRequest, file: BinaryIO, status: int, headers: dict[str, str], *, start: int, count: int
) -> web.StreamResponse:
    if count > SMALL or request.method == "HEAD":
        return FileBody(file, status, headers, start, count)
    with file:
        file.seek(start)
        return web.Response(status=status, headers=headers, body=file.read(count))


def _modified(copy: Copy) -> int:
    return int(copy.last_modified or copy.saved_at)


def _time(text: str | None) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except ValueError:
        return None
