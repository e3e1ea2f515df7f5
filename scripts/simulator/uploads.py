"""Uploads that go to the API itself (`/media/upload`, `/media/vault`): read as a stream, kept as size and hash."""

from __future__ import annotations

import hashlib
from typing import Any

from aiohttp import BodyPartReader, web

from scripts.simulator.model import Creator
from scripts.simulator.render.messages import media_row
from scripts.simulator.routes.base import Fail
from scripts.simulator.routes.media import register_upload
from scripts.simulator.world import World

PATHS = ("/media/upload", "/media/vault", "/vault/media")
CHUNK = 65_536


def is_upload(request: web.BaseRequest, path: str) -> bool:
    return request.method == "POST" and path in PATHS and request.content_type.startswith("multipart/")


async def take(request: web.BaseRequest, world: World, who: Creator) -> dict[str, Any]:
    """The upload object, or for the vault the new media."""
    name, size, digest = None, 0, hashlib.md5()
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader) or part.name != "file":
            continue
        name = part.filename or "file.jpg"
        while chunk := await part.read_chunk(CHUNK):
            digest.update(chunk)
            size += len(chunk)
    if name is None:
        raise Fail(400, "file is required")
    uploaded = register_upload(world, who.id, name, size, digest.hexdigest())
    who.version += 1
    if not request.path.endswith("/vault") and not request.path.endswith("/vault/media"):
        return uploaded
    media = world.processed.pop(uploaded["processId"])[1]
    who.vault[media.id] = media
    return media_row(who, media, world.signer, vault=True)
