"""Conversions of smart links: each fact once, counted by day in the transaction that stores it (contract 6.4)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, case, delete, func, select, update

from ofapi_store.ids import ulid_at
from ofapi_store.models.clicks import Click
from ofapi_store.models.link_revenue import Conversion, ConversionDay
from ofapi_store.queries.among import among
from ofapi_store.queries.link_revenue import TOTALS
from ofapi_store.queries.upsert import add_up
from ofapi_store.types import EPOCH, to_micros

CONVERSIONS: Table = Conversion.__table__  # type: ignore[assignment]
DAYS: Table = ConversionDay.__table__  # type: ignore[assignment]
CLICKS: Table = Click.__table__  # type: ignore[assignment]
TYPES = ("new_subscriber", "new_transaction", "message_received", "fan_sent_1_message", "fan_sent_3_messages")
_DAY = timedelta(days=1)
_TO_DAYS_END = _DAY - timedelta(microseconds=1)  # the last day that can be written has no day after it
_SECOND = timedelta(seconds=1)
_DAY_MICROS = 86_400_000_000

Key = tuple[str, int, str, str]  # (smart link, fan, type, fact)


@dataclass(frozen=True, slots=True)
class NewConversion:
    """What is known of a conversion before it has an id. Amounts in cents."""

    at: datetime
    net: int
    gross: int
    click_id: str
    is_bot: bool
    is_duplicate: bool


@dataclass(frozen=True, slots=True)
class ConversionRow:
    """`id` is ours. Amounts are cents."""

    id: int
    smart_link_id: str
    type: str
    fan_id: int
    fact: str
    click_id: str
    conversion_at: datetime
    gross: int
    net: int
    is_bot: bool
    is_duplicate: bool


_HOLDERS = select(CLICKS.c.id, CLICKS.c.is_bot, CLICKS.c.is_duplicate, CLICKS.c.visitor, CLICKS.c.params)
_MOST_REPEATS = 200
_SELECT: Select[Any] = select(*(CONVERSIONS.c[name] for name in ConversionRow.__slots__))


def replace(
    conn: Connection, account_id: str, fan_ids: Sequence[int], wanted: Mapping[Key, NewConversion]
) -> list[ConversionRow]:
    """`wanted` are all conversions of these fans. Returns those that were not there before, in the order they happened."""
    c = CONVERSIONS.c
    query = _SELECT.where(c.account_id == account_id, c.fan_id.in_(fan_ids))
    old = {(r.smart_link_id, r.fan_id, r.type, r.fact): r for r in (ConversionRow(*row) for row in conn.execute(query))}
    days = _Days()
    for key, row in old.items():
        new = wanted.get(key)
        if new is not None and (new.net, new.gross, new.at) == (row.net, row.gross, row.conversion_at):
            continue
        days.move(row, -1)
        if new is None:
            conn.execute(delete(CONVERSIONS).where(c.id == row.id))
        else:
            conn.execute(
                update(CONVERSIONS).where(c.id == row.id).values(net=new.net, gross=new.gross, conversion_at=new.at)
            )
            days.move(_row(row.id, key, new), 1)
    made = _insert(conn, account_id, sorted(((k, new) for k, new in wanted.items() if k not in old), key=_happened))
    for row in made:
        days.move(row, 1)
    days.write(conn, account_id)
    return made


def _happened(row: tuple[Key, NewConversion]) -> tuple[Any, ...]:
    """By time; of one second a subscription comes before what the fan does then."""
    key, new = row
    return new.at, TYPES.index(key[2]), key


def _insert(conn: Connection, account_id: str, rows: Sequence[tuple[Key, NewConversion]]) -> list[ConversionRow]:
    if not rows:
        return []
    values = [
        {
            "account_id": account_id,
            "smart_link_id": key[0],
            "fan_id": key[1],
            "type": key[2],
            "fact": key[3],
            "click_id": new.click_id,
            "conversion_at": new.at,
            "gross": new.gross,
            "net": new.net,
            "is_bot": new.is_bot,
            "is_duplicate": new.is_duplicate,
        }
        for key, new in rows
    ]
    conn.execute(CONVERSIONS.insert(), values)
    c = CONVERSIONS.c
    smart, fans = {key[0] for key, _ in rows}, {key[1] for key, _ in rows}
    query = select(c.id, c.smart_link_id, c.fan_id, c.type, c.fact).where(
        c.smart_link_id.in_(sorted(smart)), c.fan_id.in_(sorted(fans))
    )
    ids = {tuple(row[1:]): row[0] for row in conn.execute(query)}
    return [_row(ids[key], key, new) for key, new in rows]


def _row(number: int, key: Key, new: NewConversion) -> ConversionRow:
    smart, fan, kind, fact = key
    return ConversionRow(
        number, smart, kind, fan, fact, new.click_id, new.at, new.gross, new.net, new.is_bot, new.is_duplicate
    )


class _Days:
    def __init__(self) -> None:
        self._moved: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0])

    def move(self, row: ConversionRow, sign: int) -> None:
        key = (row.smart_link_id, to_micros(row.conversion_at) // _DAY_MICROS, row.type, row.is_bot, row.is_duplicate)
        self._moved[key][0] += sign
        self._moved[key][1] += sign * row.net

    def write(self, conn: Connection, account_id: str) -> None:
        names = ("smart_link_id", "day", "type", "is_bot", "is_duplicate")
        rows = [
            {**dict(zip(names, key, strict=True)), "conversions": count, "net": net}
            for key, (count, net) in sorted(self._moved.items())
            if count or net
        ]
        add_up(conn, DAYS, rows, *names)
        by_link: dict[str, int] = defaultdict(int)
        for key, (count, _) in self._moved.items():
            by_link[key[0]] += count
        zeros = dict.fromkeys(("subs", "spenders", "net", "tips_net", "chargebacks", "fans_1", "fans_3"), 0)
        totals = [
            {"ref": ref, "account_id": account_id, **zeros, "conversions": count}
            for ref, count in sorted(by_link.items())
            if count
        ]
        add_up(conn, TOTALS, totals, "ref", constant=("account_id",))


@dataclass(frozen=True, slots=True)
class Filter:
    """What reports ask for. Days are numbers since 1970, both ends included; None is open."""

    smart_link_id: str
    first_day: int | None = None
    last_day: int | None = None
    type: str | None = None
    fan_id: int | None = None
    bots: bool = True
    duplicates: bool = True


@dataclass(frozen=True, slots=True)
class DayRow:
    """Conversions of one UTC day, number since 1970; `net` in cents."""

    day: int
    count: int
    subscribers: int
    net: int


def by_day(conn: Connection, wanted: Filter) -> list[DayRow]:
    """Oldest first, days with something: from the daily counts, or for one fan from the fan's own rows."""
    if wanted.fan_id is not None:
        return _by_day_of_fan(conn, wanted)
    c = DAYS.c
    new = case((c.type == "new_subscriber", c.conversions), else_=0)
    query = select(c.day, func.sum(c.conversions), func.sum(new), func.sum(c.net)).where(
        c.smart_link_id == wanted.smart_link_id, *_flags(DAYS, wanted), *_between(c.day, wanted)
    )
    rows = conn.execute(query.group_by(c.day).order_by(c.day)).all()
    return [DayRow(int(day), int(count), int(new), int(net)) for day, count, new, net in rows if count]


def _by_day_of_fan(conn: Connection, wanted: Filter) -> list[DayRow]:
    sums: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
    c = CONVERSIONS.c
    for at, kind, net in conn.execute(select(c.conversion_at, c.type, c.net).where(*_rows(wanted))).all():
        found = sums[to_micros(at) // _DAY_MICROS]
        for i, value in enumerate((1, kind == "new_subscriber", net)):
            found[i] += value
    return [DayRow(day, *found) for day, found in sorted(sums.items())]


def page(
    conn: Connection, wanted: Filter, *, limit: int, offset: int, days: Sequence[tuple[int, int]]
) -> list[ConversionRow]:
    """Newest first. `days`: (day, count) oldest first of the same filter, by which deep pages are found quickly."""
    at, skip = _start(days, offset)
    if at is None:
        return []
    c = CONVERSIONS.c
    order = (c.conversion_at.desc(), c.id.desc())
    ids: Select[Any] = select(c.id).where(*_rows(wanted), c.conversion_at < EPOCH + (at + 1) * _DAY)
    rows = conn.execute(_SELECT.where(c.id.in_(ids.order_by(*order).limit(limit).offset(skip))).order_by(*order))
    return [ConversionRow(*row) for row in rows.all()]


def _start(days: Iterable[tuple[int, int]], offset: int) -> tuple[int | None, int]:
    """The day in which the row number `offset`, counted from the newest, lies; and how many rows of it come before."""
    for day, count in sorted(days, reverse=True):
        if offset < count:
            return day, offset
        offset -= count
    return None, 0


def _rows(wanted: Filter) -> list[ColumnElement[bool]]:
    c = CONVERSIONS.c
    where = [c.smart_link_id == wanted.smart_link_id, *_flags(CONVERSIONS, wanted)]
    if wanted.fan_id is not None:
        where.append(c.fan_id == wanted.fan_id)
    if wanted.first_day is not None:
        where.append(c.conversion_at >= EPOCH + wanted.first_day * _DAY)
    if wanted.last_day is not None:
        where.append(c.conversion_at <= EPOCH + wanted.last_day * _DAY + _TO_DAYS_END)
    return where


def _flags(table: Table, wanted: Filter) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    if wanted.type is not None:
        where.append(table.c.type == wanted.type)
    if not wanted.bots:
        where.append(table.c.is_bot.is_(False))
    if not wanted.duplicates:
        where.append(table.c.is_duplicate.is_(False))
    return where


def _between(day: ColumnElement[int], wanted: Filter) -> list[ColumnElement[bool]]:
    where = [] if wanted.first_day is None else [day >= wanted.first_day]
    return where if wanted.last_day is None else [*where, day <= wanted.last_day]


def of_fans(conn: Connection, smart_link_id: str, fan_ids: Iterable[int]) -> dict[int, int]:
    """The id of each fan's `new_subscriber` conversion."""
    c = CONVERSIONS.c
    query = select(c.fan_id, c.id).where(
        c.smart_link_id == smart_link_id, c.type == "new_subscriber", among(conn, c.fan_id, fan_ids)
    )
    return {row[0]: row[1] for row in conn.execute(query).all()}


def flags_before(
    conn: Connection, account_id: str, fan_ids: Sequence[int]
) -> dict[tuple[str, int], tuple[str, bool, bool]]:
    """(smart link, fan) → click, is_bot, is_duplicate as stored with the `new_subscriber`: clicks are not kept for ever."""
    c = CONVERSIONS.c
    query = select(c.smart_link_id, c.fan_id, c.click_id, c.is_bot, c.is_duplicate).where(
        c.account_id == account_id, c.fan_id.in_(fan_ids), c.type == "new_subscriber"
    )
    return {(row[0], row[1]): (row[2], row[3], row[4]) for row in conn.execute(query)}


def clicks_before(
    conn: Connection,
    claims: Sequence[tuple[int, datetime]],
    *,
    window: timedelta,
    slack: timedelta,
    telling: Sequence[str] = (),
) -> dict[tuple[int, datetime], tuple[str, bool, bool]]:
    """(pool link, time of a claim) → click, is_bot, is_duplicate of the visitor who held the pool link latest.

    `telling`: parameters for the sake of which a later click of the same visit is taken. Latest is who clicked last
    within `window` before. Upstream's times are whole seconds, so a click of the claim's own
    second is one before it. Where there is none, who clicked first within `slack` after it: clocks may differ.
    """
    out: dict[tuple[int, datetime], tuple[str, bool, bool]] = {}
    c = CLICKS.c
    for pool, at in claims:
        now = at.replace(microsecond=0) + _SECOND
        spans = ((at - window, now, c.id.desc()), (now, at + slack, c.id))
        for start, end, order in spans:
            query = _HOLDERS.where(c.pool_id == pool, c.id >= ulid_at(start), c.id < ulid_at(end))
            row = conn.execute(query.order_by(order).limit(1)).first()
            if row is not None:
                best = _of_visit(conn, pool, row, start - window, telling) if row.is_duplicate else row
                out[pool, at] = (best.id, best.is_bot, best.is_duplicate)
                break
    return out


def _of_visit(
    conn: Connection, pool: int, last: Row[*tuple[Any, ...]], since: datetime, telling: Sequence[str]
) -> Row[*tuple[Any, ...]]:
    """The click that stands for a visitor who came again: the first one, unless only a later one has such parameters."""
    c = CLICKS.c
    own = (c.pool_id == pool, c.id >= ulid_at(since), c.id <= last.id, c.visitor == last.visitor)
    visit = []
    for row in conn.execute(_HOLDERS.where(*own).order_by(c.id.desc()).limit(_MOST_REPEATS)):
        visit.append(row)
        if not row.is_duplicate:
            told = (one for one in (row, *visit) if any((one.params or {}).get(name) for name in telling))
            return next(told, row)
    return last  # the first one is forgotten, or went to the profile
