"""The form of an upload: multipart, read as a stream with its file going into the spool, or the fields of JSON."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from aiohttp import BodyPartReader, web

from addons.media.upload_steps import spool_stream
from addons.pipeline.errors import ApiError, PayloadTooLarge, ValidationFailed

if TYPE_CHECKING:
    from addons.media.files import FileStore

KINDS = ("default", "avatar", "header")
FIELD_BYTES = 8192


@dataclass(slots=True)
class Form:
    """The fields of an upload. One of `spool` and `file_url` is set."""

    kind: str = "default"
    in_background: bool = False
    file_url: str | None = None
    file_name: str = ""
    content_type: str = "application/octet-stream"
    spool: str | None = None
    size: int | None = None
    md5: str | None = None

    def drop(self, files: FileStore) -> None:
        """Remove what was spooled."""
        if self.spool:
            files.spool(self.spool).unlink(missing_ok=True)


async def read_form(request: web.Request, files: FileStore, limit: int) -> Form:
    """The form of a multipart body, read as a stream; its file is in the spool. Raises ApiError, and then none is."""
    form = Form()
    try:
        reader = await request.multipart()
    except (ValueError, AssertionError):
        raise ApiError(400, "bad_request", "The body is no multipart/form-data with a boundary.") from None
    try:
        async for part in reader:
            if not isinstance(part, BodyPartReader):
                raise ApiError(400, "bad_request", "Nested multipart bodies are not understood.")
            await _read_part(part, form, files, limit)
    except ValueError as e:
        form.drop(files)
        raise ApiError(400, "bad_request", f"The multipart body is broken: {e}.") from e
    except BaseException:
        form.drop(files)
        raise
    return form


async def _read_part(part: BodyPartReader, form: Form, files: FileStore, limit: int) -> None:
    if part.name == "file":
        if form.spool is not None:
            raise ValidationFailed.of("file", "Send one file at a time.")
        form.file_name = _last_segment(part.filename or "")
        form.content_type = part.headers.get("Content-Type", form.content_type)
        form.spool = spool_name()
        path = files.spool(form.spool)
        try:
            form.size, form.md5 = await spool_stream(_chunks(part), path, limit)
        except OverflowError:
            raise PayloadTooLarge(limit) from None
        await asyncio.to_thread(_sync, path)
        if not form.size:
            raise ValidationFailed.of("file", "The file is empty.")
        return
    set_field(form, part.name or "", await _text(part))


def set_field(form: Form, name: str, value: Any) -> None:
    """A field other than the file, from multipart or JSON. Raises ValidationFailed; unknown fields are ignored."""
    if name == "file_url" and value:
        form.file_url = str(value)
    elif name == "async":
        if str(value).lower() not in ("true", "false", "1", "0", ""):
            raise ValidationFailed.of("async", "The async field must be true or false.")
        form.in_background = str(value).lower() in ("true", "1")
    elif name == "type":
        if value not in KINDS:
            raise ValidationFailed.of("type", f"The type field must be one of {', '.join(KINDS)}.")
        form.kind = str(value)


def file_name_of(url: str) -> str:
    """The last segment of a URL's path, as a file name."""
    return _last_segment(unquote(urlsplit(url).path.rsplit("/", 1)[-1]).replace("/", "_").replace("\\", "_"))


def _last_segment(path: str) -> str:
    name = path.replace("\\", "/").rsplit("/", 1)[-1]
    return "file" if name in ("", ".", "..") else name


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    encoded = "Content-Transfer-Encoding" in part.headers
    while chunk := await part.read_chunk(1 << 17):
        try:
            yield bytes(part.decode(chunk)) if encoded else chunk
        except RuntimeError as e:  # an encoding that there is none of
            raise ValueError(str(e)) from e


async def _text(part: BodyPartReader) -> str:
    """The value of a field other than the file. Raises ValidationFailed."""
    value = bytearray()
    async for chunk in _chunks(part):
        value += chunk
        if len(value) > FIELD_BYTES:
            raise ValidationFailed.of(part.name or "body", f"The {part.name} field is longer than {FIELD_BYTES} bytes.")
    return value.decode("utf-8", "replace")


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def spool_name() -> str:
    """A new name in the spool folder."""
    return secrets.token_hex(16)
