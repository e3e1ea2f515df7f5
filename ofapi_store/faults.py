"""Database drivers' errors as `StoreError`s that say what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ofapi_store.errors import SchemaOutdated, StoreCorrupt, StoreError, StoreUnavailable

_SQLITE: tuple[tuple[str, type[StoreError], str], ...] = (
    (
        "is locked",
        StoreUnavailable,
        "is locked by another process; end what holds it (a copy, a sqlite3 shell) and try again",
    ),
    (
        "unable to open",
        StoreUnavailable,
        "cannot be opened; check that its folder exists and that this user may write there",
    ),
    ("readonly", StoreUnavailable, "is read-only; check the owner and mode of the file and its folder"),
    ("disk is full", StoreUnavailable, "cannot grow: the disk is full; free some space"),
    (
        "disk i/o error",
        StoreUnavailable,
        "could not be read or written (disk I/O error); check the disk and the system log",
    ),
    (
        "not a database",
        StoreCorrupt,
        "is not an SQLite file; restore it from a backup, or point store.url to another file",
    ),
    (
        "malformed",
        StoreCorrupt,
        "is damaged; restore it from a backup, or save what is left with `sqlite3 FILE .recover`",
    ),
    ("no such table", SchemaOutdated, "lacks tables of this version; run `ofapi db upgrade`"),
    ("no such column", SchemaOutdated, "lacks columns of this version; run `ofapi db upgrade`"),
    ("has no column", SchemaOutdated, "lacks columns of this version; run `ofapi db upgrade`"),
)
_PG_OUTDATED = frozenset({"42P01", "42703"})  # undefined table, undefined column
_PG_RETRY = frozenset({"40001", "40P01"})  # serialization failure, deadlock
_PG_CLASSES = {
    "53": "is out of resources (connections, memory or disk); see its log",
    "57": "stopped the query or is shutting down; try again when it is up",
    "55": "has locked what this call needs; try again",
    "28": "refused the login; check the user and password in store.url",
    "3D": "has no database of that name; create it, or correct store.url",
}


def is_retryable(error: BaseException) -> bool:
    """Would the same transaction, run again, probably succeed? (PostgreSQL deadlock or serialization failure.)"""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _PG_RETRY


def translate(error: DBAPIError | PoolTimeout, where: str) -> StoreError | None:
    """The StoreError for a driver's error, or None where the error is the statement's own (constraints, bad SQL)."""
    if isinstance(error, PoolTimeout):
        return StoreUnavailable(f"store {where}: all its connections are busy; fewer calls at once, or a larger pool")
    if isinstance(error, IntegrityError):
        return None
    if isinstance(error.orig, sqlite3.Error):
        return _from_sqlite(str(error.orig), where)
    return _from_postgresql(error, where)


def _from_sqlite(text: str, where: str) -> StoreError | None:
    low = text.lower()
    for needle, kind, advice in _SQLITE:
        if needle in low:
            return kind(f"store {where} {advice} ({text})")
    return None


def _from_postgresql(error: DBAPIError, where: str) -> StoreError | None:
    state = getattr(error.orig, "sqlstate", None) or ""
    first_line = (str(error.orig).strip().splitlines() or ["no details"])[0]
    if state in _PG_OUTDATED:
        return SchemaOutdated(f"store {where} lacks tables of this version; run `ofapi db upgrade` ({first_line})")
    if state in _PG_RETRY:
        return StoreUnavailable(f"store {where} had conflicting writes; try again ({first_line})")
    if state[:2] in _PG_CLASSES:
        return StoreUnavailable(f"store {where} {_PG_CLASSES[state[:2]]} ({first_line})")
    if error.connection_invalidated or not state:
        return StoreUnavailable(
            f"store {where} cannot be reached; check that PostgreSQL runs there and that store.url is right ({first_line})"
        )
    return None


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Driver errors inside leave as StoreErrors; IntegrityError and mistakes in SQL leave as they are."""
    try:
        yield
    except (DBAPIError, PoolTimeout) as error:
        known = translate(error, where)
        if known is None:
            raise
        raise known from error
