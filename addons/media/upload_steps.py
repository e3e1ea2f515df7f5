"""Upstream's upload steps (onlyfans-upstream.md, "Vault and media upload"), for a file in the spool folder.

1. de-duplication probe (vault only: what is in the vault already needs no upload)
2. storage slot   3. PUT of the bytes, streamed   4. registration at convert.onlyfans.com
5. vault only: the registered object is put into the vault
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import aiohttp
import orjson

from addons.media.fetch import CdnClient, FetchFailed, failure

if TYPE_CHECKING:
    from addons.jobs.upstream_client import UpstreamClient
    from ofapi_store.queries.uploads import UploadRow

API = "/api2/v2"
CONVERT = "https://convert.onlyfans.com/file/upload"
CHUNK = 1 << 18


class StepFailed(Exception):
    """A step of the upload gave no result. `retry`: whether doing it again may help."""

    def __init__(self, message: str, *, retry: bool) -> None:
        super().__init__(message)
        self.retry = retry


async def run(row: UploadRow, path: Path, upstream: UpstreamClient, client: CdnClient) -> dict[str, Any]:
    """The upload object, or for the vault its media. Raises StepFailed, FetchFailed and UpstreamProblem."""
    if row.target == "vault" and (known := await _known(row, upstream)) is not None:
        return known
    key = f"upload/{uuid.uuid4()}/{quote(row.file_name, safe='.-_')}"
    wanted = {"key": key, "parts": 1, "contentType": row.content_type, "secure": True}
    slot = _object((await upstream.ask("POST", f"{API}/upload/signed/create", body=wanted)).json(), "putUrl", "getUrl")
    etag = await _put(row, path, str(slot["putUrl"]), client, upstream.account.id)
    me = (await upstream.ask("GET", f"{API}/users/me")).json()
    form = registration(row, key, str(slot["getUrl"]), etag, _geo(me))
    uploaded = await _register(form, client, upstream.account.id)
    if row.target != "vault":
        return uploaded
    kept = await upstream.ask("POST", f"{API}/vault/media", body={"mediaFiles": [uploaded]})
    return _object(kept.json(), "id")


async def _known(row: UploadRow, upstream: UpstreamClient) -> dict[str, Any] | None:
    from addons.jobs.upstream_client import Refused

    try:
        found = await upstream.ask("GET", f"{API}/vault/media/hash?h={row.md5}&size={row.size}")
    except Refused as e:
        if e.status == 404:
            return None
        raise
    value = found.json()
    return value if isinstance(value, dict) and value.get("id") else None


async def _put(row: UploadRow, path: Path, url: str, client: CdnClient, account_id: str) -> str:
    headers = {"Content-Type": row.content_type, "Content-Length": str(row.size)}
    async with client.send("PUT", url, account_id, headers=headers, data=_read(path)) as answer:
        if answer.status >= 300:
            raise StepFailed(
                f"the storage answered {answer.status}", retry=answer.status >= 500 or answer.status == 403
            )
        return answer.headers.get("ETag", "")


async def _read(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def registration(row: UploadRow, key: str, location: str, etag: str, geo: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The fields of step 4, from upstream's own `upload.geoUploadArgs`."""
    host = urlsplit(location).hostname or ""
    file = {"ETag": etag, "Location": location, "Key": key, "Bucket": host.partition(".")[0], "name": row.file_name}
    fields = [(f"file[{name}]", value) for name, value in file.items()]
    fields.append(("file[secure]", "true"))
    for name, value in geo.items():
        if isinstance(value, Mapping):
            fields += [(f"{name}[{inner}]", _text(v)) for inner, v in value.items()]
        elif value is not None:
            fields.append((name, _text(value)))
    return fields


async def _register(fields: list[tuple[str, str]], client: CdnClient, account_id: str) -> dict[str, Any]:
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields:
        form.add_field(name, value)
    async with client.send("POST", CONVERT, account_id, data=form, ours=True) as answer:
        try:
            body = await answer.content.read(1 << 20)
        except (aiohttp.ClientError, TimeoutError) as e:
            raise failure(e) from e
        if answer.status >= 300:
            raise StepFailed(f"upstream's converter answered {answer.status}", retry=answer.status >= 500)
    try:
        return _object(orjson.loads(body), "processId")
    except orjson.JSONDecodeError:
        raise StepFailed("upstream's converter answered with something that is no JSON", retry=True) from None


def _geo(me: Any) -> Mapping[str, Any]:
    try:
        found = me["upload"]["geoUploadArgs"]
    except (KeyError, TypeError):
        found = None
    if not isinstance(found, Mapping):
        raise StepFailed("upstream's `users/me` names no upload.geoUploadArgs", retry=True)
    return found


def _object(value: Any, *needed: str) -> dict[str, Any]:
    if not isinstance(value, dict) or any(name not in value for name in needed):
        raise StepFailed(f"upstream's answer lacks {' and '.join(needed)}", retry=True)
    return value


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


async def spool_stream(chunks: AsyncIterator[bytes], path: Path, limit: int) -> tuple[int, str]:
    """Write a stream to the spool: (size, MD5 in hex, which is upstream's probe). Raises OverflowError above `limit`."""
    size, digest = 0, hashlib.md5(usedforsecurity=False)
    with path.open("wb") as file:
        async for chunk in chunks:
            size += len(chunk)
            if size > limit:
                raise OverflowError(limit)
            digest.update(chunk)
            file.write(chunk)
    return size, digest.hexdigest()


__all__ = ["CONVERT", "FetchFailed", "StepFailed", "registration", "run", "spool_stream"]
