"""Signed links to cached files: who holds one may open it until it ends, and nobody can make one up.

    <public root>/f/<file id>/<end>.<signature>/<file name>      works until <end>, Unix seconds in hex
    <public root>/f/<file id>/p.<signature>/<file name>          public (scrape with `public: true`): works while the copy lives

The signature covers the file id, the end, and a random number that was drawn when the copy was made: no link outlives
its copy, not even when the same file is cached again. 128 bits of HMAC-SHA256 under a key derived from `secrets.keys`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

STABLE_PARTS = 4
_PATH = re.compile(r"/f/([0-9a-f]{32})/([0-9a-f]{1,12}|p)\.([A-Za-z0-9_-]{22})(?:/[^/]*)?")


@dataclass(frozen=True, slots=True)
class Link:
    """A parsed link: not yet proven. `ends` None is a public one."""

    file_id: str
    ends: int | None
    signature: str


class LinkSigner:
    """Makes and checks links.

    Args:
        secret_keys: as in config, the first one signs, all verify (rotation).
        ttl_s: longest life of a link in seconds. Links made within a quarter of it are identical, so that browsers
            can cache what is behind them; a link lives between three quarters of it and all of it.
        clock: Unix seconds.
    """

    def __init__(self, secret_keys: Sequence[str], ttl_s: float, clock: Callable[[], float]) -> None:
        self._keys = [hmac.digest(k.encode(), b"ofapi media links v1", "sha256") for k in secret_keys]
        self._ttl = max(int(ttl_s), STABLE_PARTS)
        self._clock = clock

    def path(self, file_id: str, salt: str, name: str, *, ends: int | None = None, public: bool = False) -> str:
        """The link's path. `ends`: Unix seconds; default from `ttl_s`."""
        word = "p" if public else f"{self.default_end() if ends is None else ends:x}"
        return _path(self._keys[0], file_id, word, salt, name)

    def default_end(self) -> int:
        step = self._ttl // STABLE_PARTS
        return int(self._clock()) // step * step + self._ttl

    def parse(self, path: str) -> Link | None:
        """The link in a path as `path` made it, or None."""
        found = _PATH.fullmatch(path)
        if found is None:
            return None
        return Link(found[1], None if found[2] == "p" else int(found[2], 16), found[3])

    def genuine(self, link: Link, salt: str) -> bool:
        """Whether we made the link, for the copy with that salt."""
        word = "p" if link.ends is None else f"{link.ends:x}"
        return any(hmac.compare_digest(_sign(k, link.file_id, word, salt), link.signature) for k in self._keys)

    def ended(self, link: Link) -> bool:
        return link.ends is not None and self._clock() >= link.ends


def file_id(key_text: str) -> str:
    """The name of a file in links and on disk: 128 bits, tells nothing of the URL."""
    return hashlib.sha256(key_text.encode()).hexdigest()[:32]


@lru_cache(maxsize=65_536)
def _path(key: bytes, file_id: str, word: str, salt: str, name: str) -> str:
    """Cached: lists that clients poll hold the same files over and over."""
    return f"/f/{file_id}/{word}.{_sign(key, file_id, word, salt)}/{quote(name, safe='')}"


def _sign(key: bytes, file_id: str, word: str, salt: str) -> str:
    digest = hmac.digest(key, f"{file_id}.{word}.{salt}".encode(), "sha256")
    return base64.urlsafe_b64encode(digest[:16]).rstrip(b"=").decode()
