"""The store: reads and writes on SQLite or PostgreSQL. See docs/architecture.md, "Store"."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

from ofapi_store.dialects import POOL_SIZE, DialectName, Engines, check_version, open_engines
from ofapi_store.errors import StoreClosed
from ofapi_store.faults import is_retryable, translated
from ofapi_store.writer import GroupWriter

P = ParamSpec("P")
T = TypeVar("T")

_SLOW_THREADS = 4
_CONFLICT_RETRIES = 3


class _ThreadConnection:
    """One reading connection, closed with the thread that owns it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._finalizer = weakref.finalize(self, connection.close)

    def close(self) -> None:
        self._finalizer()


class Store:
    """An open store. Reads see what is committed; writes are whole or not at all.

    Functions given to `aread`, `aread_slow` and `awrite` are `fn(conn, *args)`, return plain data (no open results), and
    may run again when PostgreSQL reports a conflict.
    """

    def __init__(self, engines: Engines) -> None:
        self.dialect: DialectName = engines.dialect
        self.where = engines.where
        self._engines = engines
        self._closed = False
        self._local = threading.local()
        self._connections: weakref.WeakSet[_ThreadConnection] = weakref.WeakSet()
        with translated(self.where), engines.writer.connect() as conn:
            check_version(conn)
        sqlite = engines.dialect == "sqlite"
        self._writer = GroupWriter(engines.writer, self.where) if sqlite else None
        self._threads = ThreadPoolExecutor(_SLOW_THREADS if sqlite else POOL_SIZE, thread_name_prefix="store")

    @classmethod
    def open(cls, url: str) -> Store:
        """Connects. Raises StoreUrlInvalid, StoreUnavailable or StoreCorrupt. Missing tables are not an error here."""
        engines = open_engines(url)
        try:
            return cls(engines)
        except BaseException:
            engines.writer.dispose()
            raise

    @property
    def reads_inline(self) -> bool:
        """Whether `aread` runs on the event loop."""
        return self._writer is not None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A Core connection in autocommit mode. On SQLite it is the calling thread's own, kept open."""
        if self._closed:
            raise StoreClosed
        with translated(self.where):
            if self._writer is not None:
                yield self._thread_connection()
                return
            with self._engines.reader.connect() as conn:
                yield conn

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction, committed at the end of the block, rolled back if the block raises."""
        if self._closed:
            raise StoreClosed
        if self._writer is not None:
            with self._writer.transaction() as conn:
                yield conn
            return
        with translated(self.where), self._engines.writer.begin() as conn:
            yield conn

    async def aread(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A hot read (under 1 ms): inline on SQLite, in a thread on PostgreSQL."""
        if self._writer is not None:
            return self._call_read(fn, *args, **kwargs)
        return await self.aread_slow(fn, *args, **kwargs)

    async def aread_slow(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A report or list: always in a thread."""
        if self._closed:
            raise StoreClosed
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: self._call_read(fn, *args, **kwargs)
        )

    async def awrite(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs `fn` in a transaction off the event loop and returns once it is committed.

        SQLite groups writes that wait into one commit; a write that raises undoes only itself.
        """
        if self._closed:
            raise StoreClosed
        if self._writer is not None:
            call = (lambda conn: fn(conn, *args, **kwargs)) if kwargs else fn
            result: T = await self._writer.submit(call, () if kwargs else args)
            return result
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: self._call_write(fn, *args, **kwargs)
        )

    def close(self) -> None:
        """Finishes the writes that were submitted and closes every connection. May be called twice."""
        if self._closed:
            return
        self._closed = True
        self._threads.shutdown(wait=True)
        if self._writer is not None:
            self._writer.close()
        for connection in list(self._connections):
            connection.close()
        self._engines.reader.dispose()
        self._engines.writer.dispose()

    def _thread_connection(self) -> Connection:
        held: _ThreadConnection | None = getattr(self._local, "held", None)
        if held is None:
            held = _ThreadConnection(self._engines.reader.connect())
            self._local.held = held
            self._connections.add(held)
        return held.connection

    def _call_read(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._writer is None or self._closed:
            with self.read() as conn:
                return fn(conn, *args, **kwargs)
        try:
            return fn(self._thread_connection(), *args, **kwargs)
        except Exception:
            with translated(self.where):  # only where there is something to translate: this is every hot read
                raise

    def _call_write(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        with translated(self.where):
            for attempt in range(_CONFLICT_RETRIES + 1):
                try:
                    with self._engines.writer.begin() as conn:
                        return fn(conn, *args, **kwargs)
                except Exception as error:
                    if attempt == _CONFLICT_RETRIES or not is_retryable(error):
                        raise
        raise AssertionError("unreachable")
