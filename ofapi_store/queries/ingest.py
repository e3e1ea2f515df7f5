"""Observed rows into the store: in batches, idempotent, whatever the order in which they come.

Of two observations of a row the newer one wins, so that a late old one changes nothing. Columns that an observation does
not have keep their value. `fans.last_reply_at` only ever moves forward.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Table, func, or_, select, tuple_, update

from ofapi_store import catalog
from ofapi_store.catalog_tables import CatalogTable
from ofapi_store.coerce import CONVERT, to_bool, to_int
from ofapi_store.errors import BadValue
from ofapi_store.models.links import Link
from ofapi_store.models.observed import Fan
from ofapi_store.models.teams import Account
from ofapi_store.queries.upsert import insert_for, insert_missing
from ofapi_store.types import EPOCH, now_utc

MAX_PROBLEMS = 20
_CHUNK = 500
_FANS: Table = Fan.__table__  # type: ignore[assignment]
_LINKS: Table = Link.__table__  # type: ignore[assignment]
_ACCOUNTS: Table = Account.__table__  # type: ignore[assignment]
_CLAIM_KEYS = ("link_pk", "fan_id", "claimed_at")
_MONEY = {
    "transactions": ("fan_id", "type", "amount", "net", "status", "created_at"),
    "chargebacks": ("fan_id", "transaction_id"),
}
"""What links earn depends on these columns: seen again with the same values, a row costs no work."""


@dataclass(slots=True)
class Observed:
    """`stored`: rows taken. `inserted`: keys that were not there before. `problems`: what was refused, the first 20.

    `payers`: fans about whose money something is new: rows of `_MONEY` and claims that were not there, or said otherwise.
    """

    stored: int = 0
    inserted: list[Any] = field(default_factory=list)
    payers: set[int] = field(default_factory=set)
    refused: int = 0
    problems: list[str] = field(default_factory=list)

    def problem(self, text: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(text)


@dataclass(frozen=True, slots=True)
class _Batch:
    conn: Connection
    table: CatalogTable
    account_id: str
    observed_at: datetime
    now: datetime
    keep_text: bool
    result: Observed


def observe(
    conn: Connection,
    table_name: str,
    account_id: str,
    rows: Iterable[Mapping[str, Any]],
    *,
    observed_at: datetime,
    keep_message_text: bool = False,
    now: datetime | None = None,
) -> Observed:
    """Stores rows whose keys are columns of `catalog.observe_columns()` or `extra.<name>`, with JSON values.

    `observed_at`: when upstream answered. A row without a required column is refused; an optional column with a value
    that it cannot hold exactly is left out, money that would need rounding refuses the row.
    """
    batch = _Batch(
        conn, catalog.table(table_name), account_id, observed_at, now or now_utc(), keep_message_text, Observed()
    )
    good = []
    own_id = _own_id(conn, account_id) if table_name == "messages" else None
    for row in rows:
        try:
            values = _convert(batch, _message(row, own_id) if table_name == "messages" else row)
        except BadValue as error:
            batch.result.refused += 1
            batch.result.problem(f"{table_name}: {error}")
        else:
            good.append(values)
    if good:
        _store(batch, good)
    return batch.result


def _store(batch: _Batch, rows: list[dict[str, Any]]) -> None:
    if batch.table.name == "accounts":
        _update_account(batch, rows[-1])
    elif batch.table.name.endswith("_claims"):
        _upsert_claims(batch, rows)
    else:
        _upsert(batch, rows)
        if batch.table.name == "messages":
            _move_last_reply(batch, rows)
    batch.result.stored += len(rows)


def _convert(batch: _Batch, row: Mapping[str, Any]) -> dict[str, Any]:
    """Catalog columns and JSON values → database columns and values. Raises BadValue."""
    t = batch.table
    values: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in row.items():
        if name.startswith("extra.") and t.has_extra:
            extra[name.removeprefix("extra.")] = value
            continue
        column = t.columns[name]
        target = column.db[0] if column.db else name
        if value is None:
            if target not in t.table.c or t.table.c[target].nullable:
                values[target] = None
            continue
        try:
            values[target] = _fit(t.table, target, CONVERT[column.kind](value))
        except BadValue as error:
            if column.required or column.kind == "money":
                raise BadValue(f"{name}: {str(error).split(', got')[0]}", value) from None
            batch.result.problem(f"{t.name}.{name}: {error}")
    for column in t.columns.values():
        if column.required and values.get(column.db[0]) is None:
            raise BadValue(f"{column.name} is missing", dict(row))
    if extra:
        values["extra"] = extra
    if t.name == "messages" and not batch.keep_text:
        values.pop("text", None)
    return values


def _fit(table: Table, column: str, value: Any) -> Any:
    limit = getattr(table.c[column].type, "length", None) if column in table.c else None
    if limit is not None and isinstance(value, str) and len(value) > limit:
        raise BadValue(f"expected at most {limit} characters", value)
    return value


def _message(row: Mapping[str, Any], own_id: int | None) -> dict[str, Any]:
    """Works out `fan_id` and `from_fan` from who sent it. Raises BadValue where that cannot be told."""
    values = dict(row)
    sender, sent_by_me = values.pop("from_user_id", None), values.pop("is_sent_by_me", None)
    sender = None if sender is None else to_int(sender)
    fan_id = None if values.get("fan_id") is None else to_int(values["fan_id"])
    if values.get("from_fan") is None:
        if fan_id is not None and sender is not None:
            values["from_fan"] = sender == fan_id
        elif sent_by_me is not None:
            values["from_fan"] = not to_bool(sent_by_me)
        elif sender is not None and own_id is not None:
            values["from_fan"] = sender != own_id
        else:
            raise BadValue("a message needs from_user_id, is_sent_by_me or from_fan", sender)
    if fan_id is None and values["from_fan"] and sender is not None:
        values["fan_id"] = sender
    return values


def _own_id(conn: Connection, account_id: str) -> int | None:
    found = conn.execute(select(_ACCOUNTS.c.onlyfans_id).where(_ACCOUNTS.c.id == account_id)).scalar()
    return int(found) if found is not None and found.isdigit() else None


def _upsert(batch: _Batch, rows: list[dict[str, Any]]) -> None:
    key_column = batch.table.columns[batch.table.keys[0]].db[0]
    known = _known(batch, key_column, rows)
    _merge_extra(rows, key_column, known)
    _note_payers(batch, key_column, rows, known)
    seen = set(known)
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row[key_column] not in seen:
            seen.add(row[key_column])
            batch.result.inserted.append(row[key_column])
        groups[tuple(sorted(row))].append(row)
    common = {
        **batch.table.fixed,
        "account_id": batch.account_id,
        "observed_at": batch.observed_at,
        "updated_at": batch.now,
        "first_seen_at": batch.now,
    }
    keys = ("account_id", *batch.table.fixed, key_column)
    for columns, group in sorted(groups.items()):
        # in order of key, so that two writers on PostgreSQL do not wait for each other in a circle
        ordered = sorted(group, key=lambda row: row[key_column])
        statement = _upsert_statement(batch.conn.dialect.name, batch.table.table, keys, columns)
        batch.conn.execute(statement, [{**row, **common} for row in ordered])


def _known(batch: _Batch, key_column: str, rows: list[dict[str, Any]]) -> dict[Any, Mapping[str, Any]]:
    """Key → `extra` and money columns of the rows that are there already, locked where `extra` will be merged."""
    t = batch.table.table
    names = ("extra", *_MONEY.get(batch.table.name, ()))
    found: dict[Any, Mapping[str, Any]] = {}
    keys = sorted({row[key_column] for row in rows})
    merges = any("extra" in row for row in rows)
    for at in range(0, len(keys), _CHUNK):
        query = select(t.c[key_column], *(t.c[name] for name in names)).where(
            t.c.account_id == batch.account_id, t.c[key_column].in_(keys[at : at + _CHUNK])
        )
        for name, value in batch.table.fixed.items():
            query = query.where(t.c[name] == value)
        if merges:
            query = query.order_by(t.c[key_column]).with_for_update()
        found.update({row[0]: dict(zip(names, row[1:], strict=True)) for row in batch.conn.execute(query)})
    return found


def _note_payers(
    batch: _Batch, key_column: str, rows: list[dict[str, Any]], known: Mapping[Any, Mapping[str, Any]]
) -> None:
    columns = _MONEY.get(batch.table.name)
    if columns is None:
        return
    for row in rows:
        old = known.get(row[key_column])
        if old is None or any(name in row and row[name] != old[name] for name in columns):
            both = (row.get("fan_id"), old["fan_id"] if old else None)
            batch.result.payers.update(fan for fan in both if fan is not None)


def _merge_extra(rows: list[dict[str, Any]], key_column: str, known: Mapping[Any, Mapping[str, Any]]) -> None:
    merged: dict[Any, Any] = {key: row["extra"] for key, row in known.items()}
    for row in rows:
        if "extra" in row:
            merged[row[key_column]] = row["extra"] = {**(merged.get(row[key_column]) or {}), **row["extra"]}


@lru_cache(maxsize=256)
def _upsert_statement(dialect: str, table: Table, keys: tuple[str, ...], columns: tuple[str, ...]) -> Any:
    from sqlalchemy.dialects import postgresql, sqlite  # the statement is cached, so there is no connection to ask

    statement = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    changed = {name: statement.excluded[name] for name in (*columns, "observed_at", "updated_at") if name not in keys}
    return statement.on_conflict_do_update(
        index_elements=list(keys),
        set_=changed,
        where=or_(table.c.observed_at.is_(None), table.c.observed_at <= statement.excluded.observed_at),
    )


def _move_last_reply(batch: _Batch, rows: list[dict[str, Any]]) -> None:
    newest: dict[int, datetime] = {}
    for row in rows:
        if row["from_fan"]:
            newest[row["fan_id"]] = max(row["created_at"], newest.get(row["fan_id"], row["created_at"]))
    if not newest:
        return
    statement = insert_for(batch.conn, _FANS)
    statement = statement.on_conflict_do_update(
        index_elements=["account_id", "fan_id"],
        set_={"last_reply_at": statement.excluded.last_reply_at, "updated_at": statement.excluded.updated_at},
        where=or_(_FANS.c.last_reply_at.is_(None), _FANS.c.last_reply_at < statement.excluded.last_reply_at),
    )
    times = {"account_id": batch.account_id, "first_seen_at": batch.now, "updated_at": batch.now}
    batch.conn.execute(
        statement, [{**times, "fan_id": fan_id, "last_reply_at": at} for fan_id, at in sorted(newest.items())]
    )


def _update_account(batch: _Batch, row: dict[str, Any]) -> None:
    """What upstream says of the account itself; never who it is."""
    values = {name: value for name, value in row.items() if name != "onlyfans_id" and value is not None}
    batch.conn.execute(
        update(_ACCOUNTS)
        .where(
            _ACCOUNTS.c.id == batch.account_id,
            _ACCOUNTS.c.onlyfans_id == row["onlyfans_id"],
            _ACCOUNTS.c.disconnected_at.is_(None),
        )
        .values(**values, updated_at=batch.now)
    )


def _upsert_claims(batch: _Batch, rows: list[dict[str, Any]]) -> None:
    pks = _link_pks(batch, sorted({row["link_id"] for row in rows}))
    claims = batch.table.table
    found = [
        {
            "link_pk": pks[row["link_id"]],
            "account_id": batch.account_id,
            "fan_id": row["fan_id"],
            "claimed_at": row["claimed_at"],
            "ended_at": row.get("ended_at"),
            "source": "observe",
            "observed_at": batch.observed_at,
        }
        for row in rows
    ]
    keys = [tuple(row[name] for name in _CLAIM_KEYS) for row in found]
    columns = tuple_(*(claims.c[name] for name in _CLAIM_KEYS))
    known: dict[Any, datetime | None] = {}
    for at in range(0, len(keys), _CHUNK):
        query = select(*(claims.c[name] for name in (*_CLAIM_KEYS, "ended_at"))).where(
            columns.in_(keys[at : at + _CHUNK])
        )
        known.update({tuple(row[:-1]): row[-1] for row in batch.conn.execute(query)})
    batch.result.inserted.extend(key for key in dict.fromkeys(keys) if key not in known)
    for key, row in zip(keys, found, strict=True):
        if key not in known or row["ended_at"] not in (None, known[key]):
            batch.result.payers.add(row["fan_id"])
    statement = insert_for(batch.conn, claims)
    statement = statement.on_conflict_do_update(
        index_elements=list(_CLAIM_KEYS),
        set_={
            "ended_at": func.coalesce(statement.excluded.ended_at, claims.c.ended_at),
            "observed_at": statement.excluded.observed_at,
        },
        where=claims.c.observed_at <= statement.excluded.observed_at,
    )
    batch.conn.execute(statement, sorted(found, key=lambda row: tuple(row[name] for name in _CLAIM_KEYS)))


def _link_pks(batch: _Batch, link_ids: list[int]) -> dict[int, int]:
    """Upstream's link ids → ours; a link that was never seen gets a row for its first sight to fill."""
    kind = batch.table.fixed["kind"]
    stub = {
        "account_id": batch.account_id,
        "kind": kind,
        "first_seen_at": batch.now,
        "observed_at": EPOCH,  # any observation of the link itself is newer
        "updated_at": batch.now,
    }
    stubs = [{**stub, "link_id": link_id} for link_id in link_ids]
    insert_missing(batch.conn, _LINKS, stubs, "account_id", "kind", "link_id")
    where = (_LINKS.c.account_id == batch.account_id, _LINKS.c.kind == kind, _LINKS.c.link_id.in_(link_ids))
    return {row.link_id: row.id for row in batch.conn.execute(select(_LINKS.c.link_id, _LINKS.c.id).where(*where))}
