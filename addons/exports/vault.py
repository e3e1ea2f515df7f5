"""The zip of a media vault: each file from the cache, or fetched into it, one after the other."""

from __future__ import annotations

import asyncio
import zipfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

import aiohttp
import structlog

from addons.exports.build import Progress
from addons.exports.writers import unique_name, whole_file
from addons.media.fetch import BadStatus, FetchFailed, Source
from addons.media.files import TooLarge
from addons.media.part import Busy
from addons.media.transfer import Broken, NotCacheable

if TYPE_CHECKING:
    from addons.media.index import Copy
    from addons.media.service import MediaService

log = structlog.get_logger(__name__)

CHUNK = 1 << 20
AHEAD = 4
BUSY_TRIES, BUSY_WAIT_S = 60, 0.5
_LOST = (BadStatus, FetchFailed, Broken, Busy, NotCacheable, TooLarge, FileNotFoundError, aiohttp.ClientError)


class NothingFetched(Exception):
    """Not one file of a vault could be had."""


async def write_vault(
    final: Path,
    media: MediaService,
    files: Sequence[tuple[str, Mapping[str, Any]]],
    progress: Progress,
    tell: Callable[[int], Awaitable[None]],
) -> int:
    """Gives how many files could not be had. `files`: (account id, row of the vault). Raises NothingFetched, OSError."""
    failed, used = 0, set[str]()
    with whole_file(final) as path:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for at in range(0, len(files), AHEAD):
                group = files[at : at + AHEAD]
                copies = await asyncio.gather(*(_copy(media, account, row) for account, row in group))
                for (account, row), copy in zip(group, copies, strict=True):
                    name = unique_name(f"{account}_{row.get('type')}_{row.get('media_id')}{_suffix(copy)}", used)
                    if copy is None or not await _add(archive, name, media, copy, progress):
                        failed += 1
                    progress.rows += 1
                await tell(progress.rows)
        if files and failed == len(files):
            raise NothingFetched(f"none of the {len(files)} files of the vault could be downloaded")
    return failed


async def _copy(media: MediaService, account_id: str, row: Mapping[str, Any]) -> Copy | None:
    key = media.identity.key(str(row.get("url") or ""))
    if key is None:
        return None
    try:
        for _ in range(BUSY_TRIES):
            found = media.files.index.get(key.text)
            if found is not None:
                return found
            try:
                return await media.transfers.finished(media.transfers.start(key.text, Source(key.url, account_id)))
            except Busy:  # another process fetches it
                await asyncio.sleep(BUSY_WAIT_S)
    except _LOST as e:
        log.info("file of a vault not fetched", media=row.get("media_id"), error=type(e).__name__)
    return None


async def _add(archive: zipfile.ZipFile, name: str, media: MediaService, copy: Copy, progress: Progress) -> bool:
    try:
        source = await _open(media, copy, Path(archive.filename or "").parent)
    except _LOST as e:
        log.info("file of a vault not readable", file=copy.id, error=type(e).__name__)
        return False
    task = asyncio.ensure_future(asyncio.to_thread(_write, archive, name, source, progress))
    try:
        await asyncio.shield(task)
    finally:
        if not task.done():  # cancelled: the thread must let go of the archive first
            progress.stop.set()
            await asyncio.wait({task})
            task.exception()
    return True


async def _open(media: MediaService, copy: Copy, folder: Path) -> BinaryIO:
    """The bytes, from this machine or from the object store."""
    if copy.object is None or media.objects is None:
        return media.files.open(copy)
    temporary = folder / f"{copy.id}.remote"
    async with aiohttp.ClientSession() as session, session.get(media.objects.link(copy, seconds=3600)) as answer:
        answer.raise_for_status()
        with temporary.open("wb") as out:
            async for chunk in answer.content.iter_chunked(CHUNK):
                out.write(chunk)
    opened = temporary.open("rb")
    temporary.unlink()
    return opened


def _write(archive: zipfile.ZipFile, name: str, source: BinaryIO, progress: Progress) -> None:
    """Stored as it is: media does not shrink."""
    entry = zipfile.ZipInfo(name, datetime.now(UTC).timetuple()[:6])
    with source, archive.open(entry, "w", force_zip64=True) as target:
        while chunk := source.read(CHUNK):
            progress.check()
            target.write(chunk)


def _suffix(copy: Copy | None) -> str:
    suffix = PurePosixPath(copy.name).suffix if copy is not None else ""
    return suffix if len(suffix) <= 8 else ""
