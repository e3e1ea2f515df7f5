"""Copies in an object store, for more than one machine (`media.store: s3://bucket/prefix`).

    <prefix>/f/<unguessable name>     the bytes; equal bytes have one name
    <prefix>/index/<file id>.json     which name a file has: what one machine saved, the others find

Links point at the bucket's own CDN (`media.public_url`), or are presigned for `media.link_ttl_s` where there is none.
How long objects stay is the bucket's lifecycle rule. Access keys and endpoint come from the usual environment
variables (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT`, …).
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import obstore
from cachetools import TTLCache
from obstore.store import from_url

from addons.media.index import Copy

if TYPE_CHECKING:
    from addons.config import Config

LONGEST_PRESIGN_S = 7 * 86_400
STABLE_SHARE = 4
# Longer waiting is the queue's: what is being saved holds a thread.
RETRIES = {"max_retries": 3, "retry_timeout": timedelta(seconds=60)}


def configured(config: Config) -> ObjectStore | None:
    """The bucket that `media.store` names, if it names one."""
    media = config.media
    if media.store is None:
        return None
    return ObjectStore(media.store, media.public_url, config.secret_keys(), media.link_ttl_s)


class ObjectStore:
    """The bucket. Methods that move bytes block: call them in a thread.

    Args:
        url: `s3://bucket/prefix`, or another that obstore knows.
        public_url: root under which the bucket's CDN serves it, or None.
        secret_keys: as in config; object names are made with the first one.
        link_ttl_s: how long presigned links work, at most 7 days.
    """

    def __init__(self, url: str, public_url: str | None, secret_keys: Sequence[str], link_ttl_s: float) -> None:
        options: dict[str, Any] = {} if url.startswith(("file:", "memory:")) else {"retry_config": RETRIES}
        self._store: Any = from_url(url, **options)
        self._public = public_url.rstrip("/") if public_url else None
        self._key = hmac.digest(secret_keys[0].encode(), b"ofapi media objects v1", "sha256")
        self._ttl_s = min(link_ttl_s, LONGEST_PRESIGN_S)
        self._links: TTLCache[str, str] = TTLCache(65_536, self._ttl_s / STABLE_SHARE)

    def save(self, copy: Copy, path: Path) -> Copy:
        """Put the bytes and the pointer to them; the copy with its object's name. Raises obstore's errors."""
        name = "f/" + hmac.digest(self._key, copy.sha256.encode(), "sha256").hex()
        try:
            obstore.head(self._store, name)
        except FileNotFoundError:
            kind = {"Content-Type": copy.content_type, "Cache-Control": "private, max-age=86400"}
            obstore.put(self._store, name, path, attributes=kind)
        kept = copy._replace(object=name)
        obstore.put(self._store, _pointer(copy.id), kept.to_json().encode())
        return kept

    def find(self, file_id: str) -> Copy | None:
        """The copy that some machine saved, or None."""
        try:
            found = obstore.get(self._store, _pointer(file_id)).bytes()
        except FileNotFoundError:
            return None
        return Copy.from_json(bytes(found).decode())

    def holds(self, copy: Copy) -> bool:
        """Whether the bytes are there."""
        try:
            obstore.head(self._store, copy.object or "")
        except FileNotFoundError:
            return False
        return True

    def remove(self, copy: Copy, *, shared: bool) -> None:
        """Remove the pointer, and the bytes unless another file here shares them: links to them end."""
        names = [_pointer(copy.id), *([copy.object] if copy.object and not shared else [])]
        for name in names:
            with suppress(FileNotFoundError):
                obstore.delete(self._store, name)

    def link(self, copy: Copy, *, seconds: float | None = None) -> str:
        """A URL of the copy; without `seconds` it is stable for a quarter of its life."""
        assert copy.object is not None
        if self._public is not None:
            return f"{self._public}/{copy.object}"
        if seconds is not None:
            return self._sign(copy.object, seconds)
        link = self._links.get(copy.object)
        if link is None:
            link = self._links[copy.object] = self._sign(copy.object, self._ttl_s)
        return link

    def _sign(self, name: str, seconds: float) -> str:
        return str(obstore.sign(self._store, "GET", name, timedelta(seconds=max(1, int(seconds)))))


def _pointer(file_id: str) -> str:
    return f"index/{file_id}.json"
