"""The store as rules see it: names of tables and columns, and rows by keys in one query per table."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Dialect,
    Select,
    any_,
    bindparam,
    func,
    select,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.sqlite import pysqlite
from sqlalchemy.types import TypeEngine

from ofapi_store.catalog_tables import TABLES, CatalogTable
from ofapi_store.coerce import to_int, to_str
from ofapi_store.errors import BadValue, UnknownName
from ofapi_store.queries.tags import of_links
from ofapi_store.types import UtcTime, from_micros, now_utc, to_json, to_micros

__all__ = [
    "Row",
    "Scope",
    "fetch",
    "lookup_columns",
    "lookup_keys",
    "normalise",
    "observe_columns",
    "render",
    "table",
]

_EXTRA = "extra."
Reader = Callable[[Mapping[str, Any]], Any]
Convert = Callable[[Any], Any]
Cells = tuple[tuple[str, int, Convert | None], ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose rows: tables of an account are read for `account_id`, tables of a team for `team_id`."""

    team_id: str | None
    account_id: str | None


class Row(msgspec.Struct, frozen=True, gc=False):
    """`values` by catalog column (plain Python: aware datetime, Decimal for money). `age_s`: since its last update."""

    row_id: str
    values: Mapping[str, Any]
    age_s: float | None = None


def table(name: str) -> CatalogTable:
    """Raises UnknownName with the nearest names."""
    found = TABLES.get(name)
    if found is None:
        near = get_close_matches(name, TABLES, 3) or sorted(TABLES)
        raise UnknownName(f"the store has no table {name!r} for rules; there is {', '.join(near)}")
    return found


def lookup_columns() -> dict[str, frozenset[str]]:
    """Table → columns that steps can read; `extra` among them stands for any `extra.<name>`."""
    return {name: frozenset(_readable(t)) for name, t in TABLES.items() if t.keys}


def lookup_keys() -> dict[str, frozenset[str]]:
    """Table → columns that rows can be found by."""
    return {name: frozenset(t.keys) for name, t in TABLES.items() if t.keys}


def observe_columns() -> dict[str, frozenset[str]]:
    """Table → columns that `observe` can fill; `extra` among them stands for any `extra.<name>`."""
    extra = {True: ["extra"], False: []}
    return {
        name: frozenset([c.name for c in t.columns.values() if c.writable] + extra[t.has_extra])
        for name, t in TABLES.items()
    }


def normalise(table_name: str, key_column: str, value: Any) -> int | str | None:
    """A key as the store compares it (`"123"` and 123 are one fan); None for what cannot be a key."""
    column = table(table_name).columns[key_column]
    try:
        return to_int(value) if column.kind == "int" else to_str(value)
    except BadValue:
        return None


def render(value: Any) -> bytes:
    """A row's value as JSON: times as OnlyFans shows them, money as an exact number."""
    return to_json(value).encode()


def fetch(  # noqa: PLR0917 (a query, spelled out)
    conn: Connection,
    table_name: str,
    scope: Scope,
    key_column: str,
    keys: Iterable[Any],
    columns: Iterable[str],
    *,
    now: datetime | None = None,
) -> dict[Any, Row]:
    """Rows by the keys as given (found ones only), in one query, and one more where `tags` are wanted.

    Raises UnknownName for a table, key or column that `lookup_columns` does not have.
    """
    t = table(table_name)
    wanted = tuple(sorted(columns))
    scope_id = scope.account_id if t.scope == "account" else scope.team_id
    given = _normalised(t, key_column, keys)
    if scope_id is None or not given:
        return {}
    query = _query(table_name, key_column, wanted, conn.dialect.name)
    unique = list(set(given.values()))
    keyed: Any = msgspec.json.encode(unique).decode() if query.sql is not None else unique
    found = _run(conn, query, scope_id, keyed)
    at = to_micros(now or now_utc())
    if query.cells is not None:
        by_key = _plain_rows(found, query, query.cells, at)
    else:
        raws = [_as_dict(raw, query) for raw in found]
        if "tags" in wanted:
            _add_tags(conn, raws)
        readers = [(name, _reader(t, name)) for name in wanted]
        by_key = {raw["_key"]: _row(raw, readers, query, at) for raw in raws}
    return {key: by_key[normalised] for key, normalised in given.items() if normalised in by_key}


def _normalised(t: CatalogTable, key_column: str, keys: Iterable[Any]) -> dict[Any, int | str]:
    """Keys as given → as the store compares them, without those that cannot be keys. Raises UnknownName."""
    if key_column not in t.keys:
        raise UnknownName(f"rows of {t.name} are found by {' or '.join(t.keys) or 'nothing'}, not by {key_column!r}")
    convert = to_int if t.columns[key_column].kind == "int" else to_str
    found: dict[Any, int | str] = {}
    for key in keys:
        try:
            found[key] = convert(key)
        except BadValue:
            continue
    return found


def _readable(t: CatalogTable) -> list[str]:
    extra = ["extra"] if t.has_extra else []
    return [column.name for column in t.columns.values() if column.read is not None] + extra


def _among(key: Any, dialect: str) -> Any:
    """`key IN (…)` with all keys in one parameter: a statement that grows with its keys is compiled at each run."""
    if dialect == "postgresql":
        return key == any_(bindparam("keys", type_=ARRAY(key.type)))
    return key.in_(select(func.json_each(bindparam("keys")).table_valued("value").c.value))


@dataclass(frozen=True, slots=True)
class _Query:
    """What `fetch` runs. Built once: building costs more than running it.

    `names`: what is selected, the key first, the time of the last update last. `sql`: the same statement as SQLite's
    driver takes it, None for other databases; `parameters` are its parameters, and `converts` makes of its values what
    SQLAlchemy would, and is not asked for NULL. `cells`: catalog column → place in the row, None where a column needs more than its value.
    """

    names: tuple[str, ...]
    statement: Select[Any]
    row_key: tuple[int, ...]
    sql: str | None
    parameters: tuple[tuple[str, Any], ...]
    converts: tuple[Convert | None, ...]
    cells: Cells | None


@lru_cache(maxsize=512)
def _query(table_name: str, key_column: str, wanted: tuple[str, ...], dialect: str) -> _Query:
    t = table(table_name)
    db = _selected(t, key_column, wanted)
    statement = _statement(t, db, dialect)
    names = tuple(db)
    row_key = tuple(names.index(t.columns[part].db[0] if part in t.columns else part) for part in t.row_key)
    sql: str | None = None
    parameters: tuple[tuple[str, Any], ...] = ()
    converts: tuple[Convert | None, ...] = (None,) * len(names)
    if dialect == "sqlite":
        sql, parameters, converts = _for_driver(statement)
    cells = None
    if all(name in t.columns and t.columns[name].plain for name in wanted):
        places = [(name, names.index(t.columns[name].db[0])) for name in wanted]
        cells = tuple((name, place, converts[place]) for name, place in places)
    return _Query(names, statement, row_key, sql, parameters, converts, cells)


def _for_driver(statement: Select[Any]) -> tuple[str, tuple[tuple[str, Any], ...], tuple[Convert | None, ...]]:
    """SQL text, parameters as (name, value) in its order, and one converter (or None) per column of the result."""
    dialect = pysqlite.dialect()
    compiled = statement.compile(dialect=dialect)
    parameters = tuple((name, compiled.params[name]) for name in compiled.positiontup or ())
    return str(compiled), parameters, tuple(_convert(column.type, dialect) for column in statement.selected_columns)


def _convert(kind: TypeEngine[Any], dialect: Dialect) -> Convert | None:
    if isinstance(kind, UtcTime):
        return from_micros  # what SQLAlchemy would get to by two calls more
    return kind.dialect_impl(dialect).result_processor(dialect, None)


def _run(conn: Connection, query: _Query, scope_id: str, keys: Any) -> Sequence[Sequence[Any]]:
    """SQLite's driver is asked without SQLAlchemy in between, which takes longer than the query itself."""
    given = {"scope": scope_id, "keys": keys}
    driver = conn.connection.driver_connection if query.sql is not None else None
    if driver is not None:
        with contextlib.suppress(sqlite3.Error):  # SQLAlchemy meets the same error, and names it
            parameters = [given.get(name, value) for name, value in query.parameters]
            rows: Sequence[Sequence[Any]] = driver.execute(query.sql, parameters).fetchall()
            return rows
    return conn.execute(query.statement, given).fetchall()


def _selected(t: CatalogTable, key_column: str, wanted: tuple[str, ...]) -> dict[str, ColumnElement[Any]]:
    db: dict[str, Any] = {"_key": t.table.c[t.columns[key_column].db[0]]}
    for part in t.row_key:
        source = t.columns[part].db[0] if part in t.columns else part
        db[source] = t.table.c[source]
    for name in wanted:
        _check_column(t, name)
        sources = ("extra",) if name.startswith(_EXTRA) or name == "extra" else t.columns[name].db
        db.update({source: t.table.c[source] for source in sources})
    if "tags" in wanted:
        db["id"] = t.table.c.id
    return db | {"_updated": type_coerce(t.table.c.updated_at, BigInteger)}


def _statement(t: CatalogTable, db: Mapping[str, ColumnElement[Any]], dialect: str) -> Select[Any]:
    scope = t.table.c.account_id if t.scope == "account" else t.table.c.team_id
    query = select(*(column.label(f"c{at}") for at, column in enumerate(db.values()))).where(
        scope == bindparam("scope"), _among(db["_key"], dialect)
    )
    for name, value in t.fixed.items():
        query = query.where(t.table.c[name] == value)
    if "disconnected_at" in t.table.c:
        query = query.where(t.table.c.disconnected_at.is_(None))
    return query.order_by(t.table.c.updated_at)  # where a key is not unique, the newest row is taken


def _check_column(t: CatalogTable, name: str) -> None:
    if name in t.columns and t.columns[name].read is not None:
        return
    if t.has_extra and (name == "extra" or (name.startswith(_EXTRA) and name != _EXTRA)):
        return
    near = get_close_matches(name, _readable(t), 3) or sorted(_readable(t))
    raise UnknownName(f"table {t.name} has no column {name!r} to read; there is {', '.join(near)}")


def _plain_rows(found: Iterable[Sequence[Any]], query: _Query, cells: Cells, now_us: int) -> dict[Any, Row]:
    first, *more = query.row_key
    rows = {}
    for raw in found:
        row_id = str(raw[first])
        if more:
            row_id = "/".join([row_id, *[str(raw[part]) for part in more]])
        values = {
            name: value if (value := raw[at]) is None or convert is None else convert(value)
            for name, at, convert in cells
        }
        age_us = now_us - raw[-1]
        rows[raw[0]] = Row(row_id, values, age_us / 1_000_000 if age_us > 0 else 0.0)
    return rows


def _as_dict(raw: Sequence[Any], query: _Query) -> dict[str, Any]:
    cells = zip(query.names, raw, query.converts, strict=True)
    return {name: value if convert is None or value is None else convert(value) for name, value, convert in cells}


def _row(raw: Mapping[str, Any], readers: list[tuple[str, Reader]], query: _Query, now_us: int) -> Row:
    row_id = "/".join([str(raw[query.names[at]]) for at in query.row_key])
    age = max(0, now_us - raw["_updated"]) / 1_000_000
    return Row(row_id, {name: read(raw) for name, read in readers}, age)


def _reader(t: CatalogTable, name: str) -> Reader:
    """From what is selected of a row to the value of a catalog column."""
    if name == "extra":
        return lambda raw: raw["extra"]
    if name.startswith(_EXTRA):
        key = name.removeprefix(_EXTRA)
        return lambda raw: (raw["extra"] or {}).get(key)
    read = t.columns[name].read
    assert read is not None
    return read


def _add_tags(conn: Connection, raws: list[dict[str, Any]]) -> None:
    tags = of_links(conn, [raw["id"] for raw in raws])
    for raw in raws:
        raw["tags"] = tags[raw["id"]]
