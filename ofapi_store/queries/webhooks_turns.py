"""Which due deliveries of a webhook go next: its accounts (lanes) take turns, so that none waits behind another's backlog.

Lanes stand in a ring. From the one after `after`, the first row of each lane is taken, then the second of each, and so
on. Each step is one probe of an index: what is read is what is given and one row for each lane looked at, however much
waits in them.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    Connection,
    Select,
    String,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
    type_coerce,
)

from ofapi_store.queries.events import DELIVERIES
from ofapi_store.queries.webhooks import FRESH, RETRIES

_D = DELIVERIES.c
_LANE = String(110)
_MINE = _D.webhook_id == bindparam("webhook", type_=String(40))
_ZERO = cast(literal(0), BigInteger)
_AFTER: Any = bindparam("after", type_=_LANE)
_NOW: Any = bindparam("now", type_=_D.next_at.type)


def fresh(conn: Connection, webhook_id: str, *, after: str, skip: Collection[str], limit: int) -> list[int]:
    """Deliveries not tried yet: in each lane in order of their events. `skip`: lanes that are left alone."""
    return _ids(conn, _fresh(conn.dialect.name), {"webhook": webhook_id, "after": after}, skip, limit)


def retries(
    conn: Connection, webhook_id: str, *, after: str, skip: Collection[str], limit: int, now: datetime
) -> list[int]:
    """Deliveries whose next try is due: in each lane the longest due first."""
    return _ids(conn, _retries(conn.dialect.name), {"webhook": webhook_id, "after": after, "now": now}, skip, limit)


def _ids(conn: Connection, query: Any, values: dict[str, Any], skip: Collection[str], limit: int) -> list[int]:
    if limit <= 0:
        return []
    most = limit + len(skip) + 2  # lanes to look at; the ring has two ends
    found = conn.execute(query, {**values, "skip": sorted(skip), "most": most, "room": limit})
    return [row.id for row in found]


@cache
def _fresh(dialect: str) -> Select[Any]:
    turns = _seeds(_ring(FRESH)).add_columns(_ZERO.label("id")).cte("turns", recursive=True)
    step = select(turns.c.lane, _next(dialect, turns, FRESH, (_D.id,), due=true(), given=_D.id))
    return _rows(turns.union_all(step.where(turns.c.id.is_not(None))))


@cache
def _retries(dialect: str) -> Select[Any]:
    seeds = _seeds(_ring(RETRIES)).add_columns(_ZERO.label("id"), _ZERO.label("next_at"))
    turns = seeds.cte("turns", recursive=True)
    given = (_D.id, type_coerce(_D.next_at, BigInteger))
    found = [
        _next(dialect, turns, RETRIES, (_D.next_at, _D.id), due=_D.next_at <= _NOW, given=column) for column in given
    ]
    return _rows(turns.union_all(select(turns.c.lane, *found).where(turns.c.id.is_not(None))))


def _next(dialect: str, turns: CTE, waiting: Any, order: tuple[Any, ...], *, due: Any, given: Any) -> Any:
    """`given` of the row after a turn's, in its lane, in `order`; NULL where there is none or it is not `due`.

    PostgreSQL is asked for an order that begins with the lane: only the wanted index has it, while the table's key would
    do for an order by id, and look as good to its planner. SQLite compares tuples without the index.
    """
    lane, at = turns.c.lane, [type_coerce(turns.c[column.name], column.type) for column in order]
    if dialect == "postgresql":
        later = [tuple_(_D.lane, *order) > tuple_(lane, *at)]
    elif len(order) == 1:
        later = [_D.lane == lane, order[0] > at[0]]
    else:
        later = [_D.lane == lane, order[0] >= at[0], or_(order[0] > at[0], order[1] > at[1])]
    row = select(case((and_(_D.lane == lane, due), given))).where(_MINE, waiting, *later)
    return row.order_by(_D.lane, *order).limit(1).correlate(turns).scalar_subquery()


def _ring(waiting: Any) -> CTE:
    """Lanes that have rows: those after `after`, then, in lap 1, those up to it. `n` bounds how many are looked at."""

    def next_lane(before: Any) -> Any:
        row = select(_D.lane).where(_MINE, waiting, _D.lane > before).order_by(_D.lane)
        return row.limit(1).scalar_subquery()

    first = select(next_lane(_AFTER).label("lane"), literal(0).label("lap"), literal(1).label("n"))
    ring = first.cte("ring", recursive=True)
    lap = case((ring.c.lane.is_(None), 1), else_=ring.c.lap)
    more = or_(ring.c.lap == 0, and_(ring.c.lane.is_not(None), ring.c.lane <= _AFTER))
    step = select(next_lane(func.coalesce(ring.c.lane, "")), lap, ring.c.n + 1)
    return ring.union_all(step.where(more, ring.c.n < bindparam("most", type_=BigInteger)))


def _seeds(ring: CTE) -> Select[Any]:
    wanted = or_(ring.c.lap == 0, ring.c.lane <= _AFTER)
    skipped = bindparam("skip", type_=_LANE, expanding=True)
    return select(ring.c.lane).where(ring.c.lane.is_not(None), wanted, ring.c.lane.not_in(skipped))


def _rows(turns: CTE) -> Select[Any]:
    return select(turns.c.id).where(turns.c.id > 0).limit(bindparam("room", type_=BigInteger))
