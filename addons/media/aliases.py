"""`ofapi_media_…` in `mediaFiles` and `previews` stands for the object that upstream made of an upload (contract 10.4).

Upstream takes an object once; that is its own rule, so a send that failed may be tried again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import orjson

from addons.pipeline.errors import ValidationFailed
from ofapi_store.queries import uploads

if TYPE_CHECKING:
    from addons.pipeline.exchange import Exchange
    from ofapi_store.engine import Store

PREFIX = b'"ofapi_media_'
# An element of an array, never a member's value: a message may well say such a word.
_ELEMENT = re.compile(rb'([\[,]\s*)"(ofapi_media_[0-9a-f]{32})"(?=\s*[,\]])')


class Aliases:
    """`services.parts["media_aliases"]`: the request body with aliases replaced, the same object where there are none."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def __call__(self, body: bytes, x: Exchange) -> bytes:
        """Raises ValidationFailed for an alias that is unknown, another account's, or not completed."""
        if PREFIX not in body or x.account is None:
            return body
        ids = {found[2].decode() for found in _ELEMENT.finditer(body)}
        if not ids:
            return body
        known = await self._store.aread(uploads.results, x.account.id, ids)
        if missing := sorted(ids - known.keys()):
            text = f"The media {', '.join(missing)} is unknown to this account, or its upload is not completed."
            raise ValidationFailed.of("mediaFiles", text)
        objects = {name: _object(result) for name, result in known.items()}
        return _ELEMENT.sub(lambda found: found[1] + objects[found[2].decode()], body)


def _object(result: object) -> bytes:
    """The upload object verbatim; a vault media is named by its id."""
    if isinstance(result, dict) and "processId" not in result and "id" in result:
        return orjson.dumps(result["id"])
    return orjson.dumps(result)
