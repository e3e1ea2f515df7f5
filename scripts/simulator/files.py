"""Files of the CDN: deterministic bytes by block, and URLs that are signed and expire."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import itertools
import json
import struct
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from scripts.simulator.world import Options

BLOCK = 64 * 1024
TYPES = {"jpg": "image/jpeg", "png": "image/png", "mp4": "video/mp4", "gif": "image/gif", "mp3": "audio/mpeg"}
JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAP//////////////////////////////////////////////////////////////////////////////"
    "////////wgALCAABAAEBAREA/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAAgBAQABPxA="
)
GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")


def _png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = b"\0" + bytes((90, 140, 220)) * 16
    head = struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(row * 16)) + chunk(b"IEND", b"")


PNG = _png()


@dataclass(frozen=True, slots=True)
class FileSpec:
    """A file by its path: `size` bytes that follow from `seed`, behind the header of its type."""

    size: int
    ext: str
    seed: str
    data: bytes | None = None

    @property
    def content_type(self) -> str:
        return TYPES.get(self.ext, "application/octet-stream")

    @property
    def etag(self) -> str:
        source = self.data if self.data is not None else f"{self.seed}:{self.size}".encode()
        return f'"{hashlib.md5(source).hexdigest()}"'

    @property
    def last_modified(self) -> str:
        return formatdate(1_700_000_000 + zlib.crc32(self.seed.encode()) % 40_000_000, usegmt=True)

    def head(self) -> bytes:
        if self.ext == "mp4":
            return struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"isom", 512, b"isom", b"mp42") + struct.pack(
                ">I4s", max(self.size - 24, 8), b"mdat"
            )
        return {"jpg": JPEG, "png": PNG, "gif": GIF, "mp3": b"ID3\x03\0\0\0\0\0\0"}.get(self.ext, b"")

    def _block(self, index: int) -> bytes:
        block = hashlib.shake_128(f"{self.seed}:{index}".encode()).digest(BLOCK)
        if index == 0:
            head = self.head()
            block = head + block[len(head) :]
        return block

    def chunks(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes [start, end), block by block."""
        end = self.size if end is None else min(end, self.size)
        if self.data is not None:
            yield self.data[start:end]
            return
        position = start
        while position < end:
            index, skip = divmod(position, BLOCK)
            piece = self._block(index)[skip : skip + end - position]
            yield piece
            position += len(piece)

    def body(self) -> bytes:
        return b"".join(self.chunks())


@dataclass
class FileTable:
    """Path on the CDN -> file."""

    specs: dict[str, FileSpec] = field(default_factory=dict)

    def add(self, key: str, name: str, size: int) -> str:
        """Register a file below `/files/`; returns its path."""
        path = f"/files/{key[0]}/{key[:2]}/{key}/{name}"
        self.specs[path] = FileSpec(size, name.rsplit(".", 1)[-1], path)
        return path


def _cf64(data: bytes) -> str:
    """Base64 with CloudFront's replacements for URL use."""
    return base64.b64encode(data).decode().translate(str.maketrans("+=/", "-_~"))


def _un64(text: str) -> bytes:
    return base64.b64decode(text.translate(str.maketrans("-_~", "+=/")), validate=True)


class Signer:
    """Makes and checks CDN URLs. Host number, Tag, Policy, Signature and Key-Pair-Id differ on each call."""

    def __init__(self, options: Options, seed: int) -> None:
        self._options = options
        self._secret = hashlib.sha256(f"cdn:{seed}".encode()).digest()
        self._count = itertools.count(1)

    def _mac(self, path: str, policy: str, nonce: bytes) -> bytes:
        return hmac.digest(self._secret, f"{path}\n{policy}\n".encode() + nonce, "sha256")

    def url(self, path: str, user: int) -> str:
        """A URL that opens `path` until now + `cdn_ttl_s` seconds."""
        count = next(self._count)
        options = self._options
        host = f"{options.cdn_scheme}://{options.cdn_host.format(n=count % 3 + 1)}"
        expires = int(time.time()) + options.cdn_ttl_s
        statement = {"Resource": f"{host}{path}", "Condition": {"DateLessThan": {"AWS:EpochTime": expires}}}
        policy = _cf64(json.dumps({"Statement": [statement]}, separators=(",", ":")).encode())
        nonce = count.to_bytes(16)
        mac = self._mac(path, policy, nonce)
        signature = _cf64(nonce + mac + hashlib.shake_128(mac).digest(208))
        return (
            f"{host}{path}?Tag={count % 7}&u={user}&Policy={policy}&Signature={signature}"
            f"&Key-Pair-Id=APKA{mac.hex()[:16].upper()}"
        )

    def problem(self, path: str, query: str) -> str | None:
        """Why this request must not be served: unsigned, forged or expired. None: it may."""
        args = dict(parse_qsl(query))
        policy, signature = args.get("Policy"), args.get("Signature")
        if not policy or not signature or "Key-Pair-Id" not in args:
            return "Missing Key-Pair-Id, Policy or Signature"
        try:
            raw = _un64(signature)
            nonce, mac = raw[:16], raw[16:48]
            statement = json.loads(_un64(policy))["Statement"][0]
            expires = int(statement["Condition"]["DateLessThan"]["AWS:EpochTime"])
        except (ValueError, KeyError, TypeError, binascii.Error):
            return "Malformed Policy"
        if not hmac.compare_digest(mac, self._mac(path, policy, nonce)):
            return "Access denied"
        return "Request has expired" if expires < time.time() else None
