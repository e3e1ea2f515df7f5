"""From a URL to engines: the one place that knows how each database is set up."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from ofapi_store.errors import StoreUrlInvalid

DialectName = Literal["sqlite", "postgresql"]

BUSY_TIMEOUT_MS = 10_000
PAGE_CACHE_KIB = 16_384
POOL_SIZE = 10
CONNECT_TIMEOUT_S = 5
MIN_SQLITE = (3, 35)  # RETURNING
MIN_POSTGRESQL = (14,)

_EXPECTED = "expected sqlite:///path/to/file.db or postgresql+psycopg://user:password@host/database"


@dataclass(frozen=True, slots=True)
class Engines:
    """`reader` is in autocommit mode; on SQLite `writer` begins with BEGIN IMMEDIATE. `where` is safe to show."""

    dialect: DialectName
    where: str
    reader: Engine
    writer: Engine


def open_engines(url: str) -> Engines:
    """Raises StoreUrlInvalid. Connects to nothing yet."""
    parsed = _parse(url)
    where = parsed.render_as_string(hide_password=True)
    if parsed.get_backend_name() == "sqlite":
        return Engines("sqlite", where, _sqlite_engine(parsed, writes=False), _sqlite_engine(parsed, writes=True))
    engine = create_engine(
        parsed,
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_pre_ping=True,
        pool_recycle=1800,
        hide_parameters=True,  # parameters may be secrets, and error texts are logged
        connect_args={"connect_timeout": CONNECT_TIMEOUT_S, "application_name": "ofapi"},
    )
    return Engines("postgresql", where, engine.execution_options(isolation_level="AUTOCOMMIT"), engine)


def check_version(conn: Connection) -> None:
    """Raises StoreUrlInvalid for a server or library that is too old."""
    have: tuple[Any, ...] = conn.dialect.server_version_info or ()
    need = MIN_SQLITE if conn.dialect.name == "sqlite" else MIN_POSTGRESQL
    if have < need:
        raise StoreUrlInvalid(
            f"{conn.dialect.name} {_dotted(have)} is too old, {_dotted(need)} or newer is needed; update it"
        )


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StoreUrlInvalid(f"store.url is not a database URL; {_EXPECTED}") from None
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite", "postgresql+psycopg"):
        raise StoreUrlInvalid(
            f"store.url names the database {parsed.drivername!r}, which is not supported; {_EXPECTED}"
        )
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise StoreUrlInvalid(f"store.url names no file, and a store in memory is not supported; {_EXPECTED}")
    return parsed


def _sqlite_engine(url: URL, *, writes: bool) -> Engine:
    Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url,
        poolclass=NullPool,  # the store keeps its own connections: one per reading thread, one for writes
        hide_parameters=True,
        isolation_level="AUTOCOMMIT",
        connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT_MS / 1000},
    )
    event.listen(engine, "connect", _setup_sqlite)
    if writes:
        event.listen(engine, "begin", _begin_immediate)
    return engine


def _setup_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    try:
        cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        _use_wal(cursor)
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute(f"PRAGMA cache_size=-{PAGE_CACHE_KIB}")
        connection.create_function("lower", 1, _lower, deterministic=True)
    finally:
        cursor.close()


def _lower(value: Any) -> Any:
    """SQLite's own knows the letters of ASCII alone."""
    return value.lower() if isinstance(value, str) else value


def _use_wal(cursor: Any) -> None:
    """Once per file. The switch needs the file alone and does not wait for it, so programs that start at once try again."""
    end = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.01)


def _begin_immediate(conn: Connection) -> None:
    conn.exec_driver_sql("BEGIN IMMEDIATE")


def _dotted(version: tuple[Any, ...]) -> str:
    return ".".join(str(part) for part in version)
