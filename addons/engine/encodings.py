"""Content-Encoding: what a client accepts, and decoding in bounded memory.

mitmproxy's own decoder keeps one global cache that threads can mix up, and has no bound; this one has no state.
"""

from __future__ import annotations

import io
import zlib
from typing import Protocol

import brotli
import zstandard

_CHUNK = 16_384
_ALIASES = {"x-gzip": "gzip", "x-deflate": "deflate"}


class BrokenEncoding(Exception):
    """Bytes that are not what their Content-Encoding says, an unknown coding, or more than the limit once decoded."""


class _Decoder(Protocol):
    def feed(self, data: bytes) -> bytes: ...

    def finish(self) -> bytes: ...


class _Zlib:
    """gzip (several members too) and deflate, with zlib's header or without it."""

    def __init__(self, coding: str) -> None:
        self._gzip = coding == "gzip"
        self._inflate: zlib._Decompress | None = None
        self._head = b""

    def _start(self, data: bytes) -> zlib._Decompress:
        if self._gzip:
            return zlib.decompressobj(31)
        wrapped = len(data) > 1 and data[0] & 0x0F == 8 and (data[0] * 256 + data[1]) % 31 == 0
        return zlib.decompressobj(15 if wrapped else -15)

    def feed(self, data: bytes) -> bytes:
        if self._inflate is None:
            data = self._head + data
            self._head = b""
            if len(data) < 2:
                self._head = data
                return b""
            self._inflate = self._start(data)
        out = self._inflate.decompress(data)
        while self._gzip and self._inflate.eof and self._inflate.unused_data:
            rest = self._inflate.unused_data
            self._inflate = zlib.decompressobj(31)
            out += self._inflate.decompress(rest)
        return out

    def finish(self) -> bytes:
        if self._inflate is None:
            if self._head:
                raise BrokenEncoding("the compressed body is cut off")
            return b""
        out = self._inflate.flush()
        if not self._inflate.eof:
            raise BrokenEncoding("the compressed body is cut off")
        return out


class _Brotli:
    def __init__(self) -> None:
        self._inner = brotli.Decompressor()
        self._fed = False

    def feed(self, data: bytes) -> bytes:
        self._fed = self._fed or bool(data)
        return bytes(self._inner.process(data))

    def finish(self) -> bytes:
        if self._fed and not self._inner.is_finished():
            raise BrokenEncoding("the compressed body is cut off")
        return b""


class _Zstd:
    def __init__(self) -> None:
        self._inner = zstandard.ZstdDecompressor().decompressobj(read_across_frames=True)
        self._fed = False

    def feed(self, data: bytes) -> bytes:
        self._fed = self._fed or bool(data)
        return self._inner.decompress(data)

    def finish(self) -> bytes:
        return b""


class StreamDecoder:
    """Decodes chunk by chunk; chunk `b""` ends the body. Raises BrokenEncoding."""

    def __init__(self, coding: str) -> None:
        self._inner = _decoder(coding)

    def __call__(self, data: bytes) -> bytes:
        try:
            return self._inner.feed(data) if data else self._inner.finish()
        except (zlib.error, brotli.error, zstandard.ZstdError) as e:
            raise BrokenEncoding(str(e)) from e


def decoder_for(header: str) -> StreamDecoder | None:
    """A decoder for a Content-Encoding of one known coding, else None."""
    names = codings(header)
    try:
        return StreamDecoder(names[0]) if len(names) == 1 else None
    except BrokenEncoding:
        return None


def _decoder(coding: str) -> _Decoder:
    if coding in ("gzip", "deflate"):
        return _Zlib(coding)
    if coding == "br":
        return _Brotli()
    if coding == "zstd":
        return _Zstd()
    raise BrokenEncoding(f"unknown content coding {coding!r}")


def codings(header: str | None) -> list[str]:
    """The codings in a Content-Encoding header, outermost last; `identity` is left out."""
    names = [part.strip().lower() for part in (header or "").split(",")]
    return [_ALIASES.get(n, n) for n in names if n and n != "identity"]


def decode(raw: bytes, header: str | None, limit: int) -> bytes:
    """The body without its codings. Raises BrokenEncoding where it cannot be had in `limit` bytes."""
    body = raw
    names = codings(header)
    if len(names) > 2:
        raise BrokenEncoding("more than two content codings")
    for name in reversed(names):
        body = _decode_one(body, name, limit)
    return body


def _decode_one(raw: bytes, coding: str, limit: int) -> bytes:
    if coding == "zstd":
        return _decode_zstd(raw, limit)
    decoder = StreamDecoder(coding)
    out = io.BytesIO()
    for at in range(0, len(raw), _CHUNK):
        out.write(decoder(raw[at : at + _CHUNK]))
        if out.tell() > limit:
            raise BrokenEncoding(f"more than {limit} bytes once decoded")
    out.write(decoder(b""))
    return out.getvalue()


def _decode_zstd(raw: bytes, limit: int) -> bytes:
    try:
        reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
        out = reader.read(limit + 1)
    except zstandard.ZstdError as e:
        raise BrokenEncoding(str(e)) from e
    if len(out) > limit:
        raise BrokenEncoding(f"more than {limit} bytes once decoded")
    if raw and not out and not _is_empty_frame(raw):
        raise BrokenEncoding("the compressed body is cut off")
    return out


def _is_empty_frame(raw: bytes) -> bool:
    try:
        return zstandard.frame_content_size(raw) == 0
    except zstandard.ZstdError:
        return False


def accepts(accept_encoding: str, coding: str) -> bool:
    """Whether a client with that Accept-Encoding takes `coding`. A client that names none is taken to want none."""
    star = False
    for part in accept_encoding.lower().split(","):
        name, _, params = part.strip().partition(";")
        name = _ALIASES.get(name.strip(), name.strip())
        refused = params.replace(" ", "") in ("q=0", "q=0.0", "q=0.00", "q=0.000")
        if name == coding:
            return not refused
        star = star or (name == "*" and not refused)
    return star


def accepts_all(accept_encoding: str, header: str | None) -> bool:
    return all(accepts(accept_encoding, name) for name in codings(header))
