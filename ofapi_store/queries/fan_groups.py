"""Fans of a link by groups that are alike: what any filter of fans adds up to, without reading every fan.

Amounts and numbers of messages are cut into steps. Groups whole steps above a filter's thresholds count as they are;
only fans in the step that a threshold cuts are read. Kept up by `link_revenue.store`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, case, delete, func, literal, select

from ofapi_store.models.link_revenue import LinkFan, LinkFanGroup
from ofapi_store.queries.upsert import add_up

FANS: Table = LinkFan.__table__  # type: ignore[assignment]
GROUPS: Table = LinkFanGroup.__table__  # type: ignore[assignment]
KEYS = ("ref", "came_before", "is_trial", "messages_from", "net_from", "tips_from")
_LEAST = -(2**62)
_FINE = (*range(10, 20), *range(20, 40, 2), *range(40, 100, 5))
_COARSE = (10, 20, 50)


def _steps(within: Sequence[int], decades: range) -> tuple[int, ...]:
    return tuple(n * 10**decade // 10 for decade in decades for n in within)


NET_STEPS = (_LEAST, 0, 1, *_steps(_FINE, range(2, 8)))
TIPS_STEPS = (_LEAST, 0, 1, *_steps(_COARSE, range(2, 8)))
MESSAGE_STEPS = (_LEAST, *range(10), *_steps(_COARSE, range(1, 6)))

GroupKey = tuple[str, bool, bool, int, int, int]


@dataclass(frozen=True, slots=True)
class FanFilter:
    """What the report of fans may be narrowed by; None is anything. Amounts in cents, least values."""

    has_messages: bool | None = None
    messages: int | None = None
    net: int | None = None
    tips: int | None = None
    previously: bool | None = None
    promo: bool | None = None

    @property
    def is_open(self) -> bool:
        return all(getattr(self, name) is None for name in self.__slots__)

    @property
    def least_messages(self) -> int | None:
        """`has_messages` and `messages` in one."""
        return max(1, self.messages or 1) if self.has_messages else self.messages


@dataclass(frozen=True, slots=True)
class Sums:
    """Over some fans; cents."""

    fans: int = 0
    net: int = 0
    tips_net: int = 0
    fans_1: int = 0
    fans_3: int = 0

    def __add__(self, other: Sums) -> Sums:
        return Sums(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


def group_of(ref: str, row: Mapping[str, Any]) -> GroupKey:
    """The group of a row of `link_fans`, in order of `KEYS`."""
    return (
        ref,
        bool(row["came_before"]),
        bool(row["is_trial"]),
        _step(MESSAGE_STEPS, row["messages"]),
        _step(NET_STEPS, row["net_all"]),
        _step(TIPS_STEPS, row["tips_net"]),
    )


def move(conn: Connection, account_id: str, moved: Mapping[GroupKey, Sequence[int]]) -> None:
    """Adds (fans, net, tips) to the groups; those that are left without fans go."""
    rows = [
        {**dict(zip(KEYS, key, strict=True)), "account_id": account_id, "fans": fans, "net": net, "tips_net": tips}
        for key, (fans, net, tips) in sorted(moved.items())
        if fans or net or tips
    ]
    add_up(conn, GROUPS, rows, *KEYS, constant=("account_id",))
    for key, (fans, _, _) in sorted(moved.items()):
        if fans < 0:
            same = [GROUPS.c[name] == value for name, value in zip(KEYS, key, strict=True)]
            conn.execute(delete(GROUPS).where(*same, GROUPS.c.fans == 0))


def everything(conn: Connection, ref: str) -> Sums:
    """Over all groups of the link."""
    return _of_groups(conn, [GROUPS.c.ref == ref])


def sums(conn: Connection, ref: str, wanted: FanFilter) -> Sums:
    """Over the fans that the filter lets through: whole groups, and the fans in steps that a threshold cuts."""
    g = GROUPS.c
    whole: list[ColumnElement[bool]] = [g.ref == ref, *_flags(GROUPS, wanted)]
    if wanted.has_messages is False:
        whole.append(g.messages_from == 0)
    found, above = Sums(), list[ColumnElement[bool]]()
    for column, group, steps, least in _thresholds(wanted):
        up = bisect_left(steps, least)
        if up == len(steps) or steps[up] != least:  # disjoint: earlier thresholds are passed by a whole step
            cut = [column >= least] if up == len(steps) else [column >= least, column < steps[up]]
            found += _of_fans(conn, [FANS.c.ref == ref, *cut, *above, *narrowed(wanted, but=column)])
        if up == len(steps):
            return found
        above.append(column + 0 >= steps[up])
        whole.append(group >= steps[up])
    return found + _of_groups(conn, whole)


def of_rows(conn: Connection, ref: str, wanted: FanFilter) -> Sums:
    """The same from every fan of the link."""
    return _of_fans(conn, [FANS.c.ref == ref, *narrowed(wanted)])


def sizes(conn: Connection, ref: str, wanted: FanFilter) -> dict[str, int]:
    """How many fans the condition on each column that has an index lets through by itself, at most."""
    g = GROUPS.c
    conditions: dict[str, ColumnElement[bool]] = {
        column.name: group >= _step(steps, least) for column, group, steps, least in _thresholds(wanted)
    }
    if wanted.has_messages is False:
        conditions["messages"] = g.messages_from == 0
    if wanted.previously:
        conditions["came_before"] = g.came_before.is_(True)
    if not conditions:
        return {}
    counts = [func.coalesce(func.sum(case((condition, g.fans), else_=0)), 0) for condition in conditions.values()]
    row = conn.execute(select(*counts).where(g.ref == ref)).one()
    return {name: int(count) for name, count in zip(conditions, row, strict=True)}


def narrowed(
    wanted: FanFilter, *, by: str | None = None, but: ColumnElement[Any] | None = None
) -> list[ColumnElement[bool]]:
    """Conditions on `link_fans`. Only the one on column `by` may use an index; `but`: the column to say nothing of."""
    where = _flags(FANS, wanted) if by != "came_before" else [FANS.c.came_before, *_flags(FANS, wanted)]
    if wanted.has_messages is False:
        messages = FANS.c.messages
        where.append((messages if by == "messages" else messages + 0) == 0)
    where += [
        (column if column.name == by else column + 0) >= least
        for column, _, _, least in _thresholds(wanted)
        if column is not but
    ]
    return where


def _thresholds(
    wanted: FanFilter,
) -> list[tuple[ColumnElement[int], ColumnElement[int], tuple[int, ...], int]]:
    c, g = FANS.c, GROUPS.c
    each = (
        (c.messages, g.messages_from, MESSAGE_STEPS, wanted.least_messages),
        (c.net_all, g.net_from, NET_STEPS, wanted.net),
        (c.tips_net, g.tips_from, TIPS_STEPS, wanted.tips),
    )
    return [(column, group, steps, max(_LEAST, n)) for column, group, steps, n in each if n is not None]


def _flags(table: Table, wanted: FanFilter) -> list[ColumnElement[bool]]:
    pairs = ((table.c.is_trial, wanted.promo), (table.c.came_before, wanted.previously))
    return [column.is_(value) for column, value in pairs if value is not None]


def _of_groups(conn: Connection, where: Sequence[ColumnElement[bool]]) -> Sums:
    g = GROUPS.c
    wrote = [case((g.messages_from >= least, g.fans), else_=0) for least in (1, 3)]
    return _added(conn, [g.fans, g.net, g.tips_net, *wrote], where)


def _of_fans(conn: Connection, where: Sequence[ColumnElement[bool]]) -> Sums:
    c = FANS.c
    wrote = [case((c.messages >= least, 1), else_=0) for least in (1, 3)]
    return _added(conn, [literal(1), c.net_all, c.tips_net, *wrote], where)


def _added(conn: Connection, columns: Sequence[ColumnElement[Any]], where: Sequence[ColumnElement[bool]]) -> Sums:
    row = conn.execute(select(*(func.coalesce(func.sum(column), 0) for column in columns)).where(*where)).one()
    return Sums(*(int(value) for value in row))


def _step(steps: Sequence[int], value: int) -> int:
    return steps[bisect_right(steps, value) - 1]
