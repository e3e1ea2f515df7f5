"""Readers of files that are being fetched, by this process or another one."""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator

from addons.media.files import FileStore
from addons.media.links import file_id
from addons.media.part import PartHead
from addons.media.transfer import READ, Broken, Transfer

POLL_S = 0.01
ADOPT_S = 2.0  # a part that was moved into place is in the index this soon


async def follow(transfer: Transfer, fd: int) -> AsyncIterator[bytes]:
    """The bytes of a transfer as they arrive; `fd` is its `reader()`, closed at the end. Raises Broken."""
    at = 0
    try:
        while True:
            while at < transfer.written:
                chunk = os.pread(fd, min(READ, transfer.written - at), at)
                at += len(chunk)
                yield chunk
            if transfer.done:
                break
            await transfer.changed()
        if not transfer.received:
            raise Broken(str(transfer.error)) from transfer.error
    finally:
        os.close(fd)


async def follow_foreign(files: FileStore, key: str, head: PartHead, fd: int) -> AsyncIterator[bytes]:
    """As `follow`, for a file that another process fetches; `fd` is its part, closed at the end."""
    at, ends = 0, None
    try:
        while head.length is None or at < head.length:
            chunk = os.pread(fd, READ, at)
            if chunk:
                at += len(chunk)
                yield chunk
                continue
            if is_writer_gone(fd):
                copy = files.index.get(key)
                if copy is not None and copy.size == at:
                    return
                ends = ends or time.monotonic() + ADOPT_S
                adopting = not files.part(file_id(key)).exists() and time.monotonic() < ends
                if not adopting and os.fstat(fd).st_size <= at:
                    raise Broken("the process that fetched the file stopped")
            await asyncio.sleep(POLL_S)
    finally:
        os.close(fd)


async def join_foreign(files: FileStore, key: str, wait_s: float) -> tuple[PartHead, int] | None:
    """Head and part of a file that another process fetches, once it knows the head; None when it does not any more."""
    ends = time.monotonic() + wait_s
    while time.monotonic() < ends:
        try:
            fd = os.open(files.part(file_id(key)), os.O_RDONLY)
        except FileNotFoundError:
            return None
        head = PartHead.load(files.head(file_id(key)))
        if is_writer_gone(fd):
            os.close(fd)
            return None
        if head is not None and os.fstat(fd).st_size:
            return head, fd
        os.close(fd)
        await asyncio.sleep(POLL_S)
    return None


def is_writer_gone(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(fd, fcntl.LOCK_UN)
    return True
