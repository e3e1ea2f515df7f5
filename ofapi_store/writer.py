"""The one writer of an SQLite store in this process: waiting writes share a commit.

SQLite has one writer at a time, and a commit costs far more than a statement. So writes queue for one thread, which
takes all that wait, runs each in a savepoint of its own, commits once, and only then resolves their futures.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine

from ofapi_store.errors import StoreClosed, StoreError
from ofapi_store.faults import translated

MAX_GROUP = 256


@dataclass(slots=True)
class _Write:
    fn: Callable[..., Any]
    args: tuple[Any, ...]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None


class GroupWriter:
    """Owns the write connection. `submit` queues a write; `transaction` is the same connection for synchronous code."""

    def __init__(self, engine: Engine, where: str) -> None:
        self._where = where
        self._connection = engine.connect()
        self._lock = threading.Lock()
        self._owner: int | None = None
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._closed = False
        self._submit_lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> asyncio.Future[Any]:
        """A future of `fn(conn, *args)` that resolves after the commit. Call it on the event loop."""
        loop = asyncio.get_running_loop()
        write = _Write(fn, args, loop, loop.create_future())
        with self._submit_lock:
            if self._closed:
                raise StoreClosed
            self._queue.put(write)
        return write.future

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction on the calling thread; waits for the group that is being written."""
        if self._owner == threading.get_ident():
            raise StoreError("a write inside a write of the same thread: pass the connection on instead")
        with self._lock:
            if self._connection.closed:
                raise StoreClosed
            self._owner = threading.get_ident()
            try:
                with translated(self._where), self._connection.begin():
                    yield self._connection
            finally:
                self._owner = None

    def close(self) -> None:
        """Writes what was submitted, then ends."""
        with self._submit_lock:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        with self._lock:
            self._connection.close()

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            group = [first]
            last = False
            while len(group) < MAX_GROUP and not last:
                try:
                    waiting = self._queue.get_nowait()
                except queue.Empty:
                    break
                if waiting is None:
                    last = True
                else:
                    group.append(waiting)
            self._commit([write for write in group if not write.future.cancelled()])
            if last:
                return

    def _commit(self, group: list[_Write]) -> None:
        try:
            with self.transaction() as conn:
                for write in group:
                    _run_in_savepoint(conn, write)
        except BaseException as error:
            for write in group:
                write.error = write.error or error
        _resolve(group)


def _run_in_savepoint(conn: Connection, write: _Write) -> None:
    savepoint = conn.begin_nested()
    try:
        with translated(str(conn.engine.url.database)):
            write.result = write.fn(conn, *write.args)
    except BaseException as error:
        savepoint.rollback()
        write.error = error
    else:
        savepoint.commit()


def _resolve(group: list[_Write]) -> None:
    loops: dict[asyncio.AbstractEventLoop, list[_Write]] = defaultdict(list)
    for write in group:
        loops[write.loop].append(write)
    for loop, writes in loops.items():
        try:
            loop.call_soon_threadsafe(_set_results, writes)
        except RuntimeError:  # that loop is closed: nobody waits any more
            continue


def _set_results(writes: list[_Write]) -> None:
    for write in writes:
        if write.future.done():
            continue
        if write.error is not None:
            write.future.set_exception(write.error)
        else:
            write.future.set_result(write.result)
