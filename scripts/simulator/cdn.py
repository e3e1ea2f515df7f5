"""The CDN and the object storage: signed files with Range, conditional requests and HEAD; PUT of uploads."""

from __future__ import annotations

import asyncio
import hashlib
import re
from urllib.parse import unquote

from aiohttp import BodyPartReader, web

from scripts.simulator.faults import Fault
from scripts.simulator.files import FileSpec
from scripts.simulator.routes.media import register_upload
from scripts.simulator.world import World

RANGE = re.compile(r"^bytes=(\d*)-(\d*)$")
CHUNK_PAUSE_S = 0.01


def error(status: int, code: str, message: str) -> web.Response:
    text = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return web.Response(status=status, text=text, content_type="text/xml")


def byte_range(header: str | None, size: int) -> tuple[int, int] | bool | None:
    """(start, end) of a single range, None for none (or one that is not understood), False when it can not be met."""
    found = RANGE.match(header or "")
    if not found or not (found[1] or found[2]):
        return None
    if not found[1]:
        length = int(found[2])
        return (max(0, size - length), size) if length else False
    start = int(found[1])
    end = min(int(found[2]) + 1, size) if found[2] else size
    return (start, end) if start < size and start < end else False


def _headers(spec: FileSpec) -> dict[str, str]:
    return {
        "Content-Type": spec.content_type,
        "ETag": spec.etag,
        "Last-Modified": spec.last_modified,
        "Accept-Ranges": "bytes",
        "Cache-Control": "max-age=86400",
        "X-Cache": "Hit from cloudfront",
    }


async def serve(request: web.BaseRequest, world: World, faults: list[Fault]) -> tuple[web.StreamResponse, int]:
    """Answer GET or HEAD of a file; returns the response and the body bytes that went out."""
    spec = world.files.specs.get(request.path)
    problem = world.signer.problem(request.path, request.rel_url.raw_query_string)
    if problem:
        return error(403, "AccessDenied", problem), 0
    if spec is None:
        return error(404, "NoSuchKey", "The specified key does not exist."), 0
    headers = _headers(spec)
    if request.headers.get("If-None-Match") == spec.etag or (
        "If-None-Match" not in request.headers and request.headers.get("If-Modified-Since") == spec.last_modified
    ):
        return web.Response(
            status=304, headers={key: headers[key] for key in ("ETag", "Last-Modified", "Cache-Control")}
        ), 0
    wanted = byte_range(request.headers.get("Range"), spec.size)
    if request.headers.get("If-Range", spec.etag) != spec.etag:
        wanted = None
    if wanted is False:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{spec.size}"}), 0
    start, end = wanted if isinstance(wanted, tuple) else (0, spec.size)
    response = web.StreamResponse(status=206 if wanted else 200, headers=headers)
    if wanted:
        response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{spec.size}"
    return await _send(request, response, spec, (start, end), faults)


async def _send(
    request: web.BaseRequest, response: web.StreamResponse, spec: FileSpec, window: tuple[int, int], faults: list[Fault]
) -> tuple[web.StreamResponse, int]:
    kinds = {fault.kind: fault.params for fault in faults}
    start, end = window
    length = end - start
    stop = end
    if "truncate" in kinds:
        stop = start + int(length * float(kinds["truncate"].get("keep", 0.5)))
    if "lying_length" in kinds:
        length += int(kinds["lying_length"].get("delta", 100))
    if "chunked" in kinds:
        response.enable_chunked_encoding()
    else:
        response.content_length = length
    await response.prepare(request)
    sent = 0
    if request.method == "HEAD":
        return response, 0
    rate = float(kinds["slow"].get("bytes_per_s", 1_000_000)) if "slow" in kinds else 0.0
    for chunk in spec.chunks(start, stop):
        step = max(1, int(rate * CHUNK_PAUSE_S)) if rate else len(chunk)
        for position in range(0, len(chunk), step):
            piece = chunk[position : position + step]
            room = length - sent if "chunked" not in kinds else len(piece)
            await response.write(piece[:room])
            sent += len(piece[:room])
            if rate:
                await asyncio.sleep(len(piece) / rate)
    if "truncate" in kinds or (sent < length and "chunked" not in kinds):
        _cut(request)
    return response, sent


def _cut(request: web.BaseRequest) -> None:
    """Close the connection in the middle of a body."""
    if request.transport is not None:
        request.transport.close()


async def storage(request: web.BaseRequest, world: World) -> web.Response:
    """`PUT /upload/KEY` keeps size and hash (bytes only up to 8 MB); `GET` reads small ones back."""
    key = request.path.removeprefix("/upload/")
    if request.method == "PUT":
        digest, size, kept = hashlib.md5(), 0, bytearray()
        async for chunk in request.content.iter_chunked(65536):
            digest.update(chunk)
            size += len(chunk)
            if size <= 8_000_000:
                kept += chunk
        world.stored[key] = {"etag": digest.hexdigest(), "size": size, "body": bytes(kept)}
        return web.Response(headers={"ETag": f'"{digest.hexdigest()}"'})
    if key not in world.stored:
        return error(404, "NoSuchKey", "The specified key does not exist.")
    return web.Response(body=world.stored[key]["body"], headers={"ETag": f'"{world.stored[key]["etag"]}"'})


async def convert(request: web.BaseRequest, world: World) -> web.Response:
    """`POST /file/upload` on convert.onlyfans.com: registers what was PUT before. No cookies; `additional[user]` names the creator."""
    form: dict[str, str] = {}
    async for part in await request.multipart():
        if isinstance(part, BodyPartReader):
            form[str(part.name)] = await part.text()
    stored = world.stored.get(unquote(form.get("file[Key]", "")))
    if stored is None or form.get("file[ETag]", "").strip('"') != stored["etag"]:
        return web.json_response({"error": {"code": 400, "message": "File not found in storage"}}, status=400)
    user = form.get("additional[user]", "")
    if not user.isdigit() or int(user) not in world.by_id:
        return web.json_response({"error": {"code": 400, "message": "Wrong user"}}, status=400)
    name = form.get("file[name]") or form["file[Key]"].rsplit("/", 1)[-1]
    return web.json_response(register_upload(world, int(user), name, stored["size"], stored["etag"]))
