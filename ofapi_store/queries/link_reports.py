"""Reports on links, smart or real: sums by day and cohort, fans in any order. `ref` as in the model of revenue."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from sqlalchemy import BigInteger, ColumnElement, Connection, Table, func, or_, select, type_coerce

from ofapi_store.models.link_revenue import SUMS, LinkCount
from ofapi_store.models.links import Link, LinkClaim
from ofapi_store.models.smart_links import PoolLink
from ofapi_store.queries import fan_groups
from ofapi_store.queries.among import among
from ofapi_store.queries.fan_groups import FanFilter
from ofapi_store.queries.link_revenue import COHORTS, DAYS, FANS, TOTALS
from ofapi_store.types import to_micros

_CLAIMS: Table = LinkClaim.__table__  # type: ignore[assignment]
_LINKS: Table = Link.__table__  # type: ignore[assignment]
_POOL: Table = PoolLink.__table__  # type: ignore[assignment]
_COUNTS: Table = LinkCount.__table__  # type: ignore[assignment]
_GATHERING = 2  # reading and sorting a row out of order, beside reading one in order
CLAIM_SLACK = 60_000_000  # a subscription a minute or less before the claim is the claim's own
SORTS = {"revenue_net": "net_all", "tips_net": "tips_net", "messages_sent_by_fan": "messages", "converted_at": "since"}


@dataclass(frozen=True, slots=True)
class DayRow:
    """Increments of one UTC day, number since 1970; `net` in cents."""

    day: int
    subs: int
    net: int
    spenders: int


@dataclass(frozen=True, slots=True)
class Totals:
    """Over all time; cents."""

    subs: int = 0
    spenders: int = 0
    net: int = 0
    tips_net: int = 0
    chargebacks: int = 0
    fans_1: int = 0
    fans_3: int = 0


@dataclass(frozen=True, slots=True)
class FanRow:
    """A fan of a link; cents."""

    fan_id: int
    since: datetime
    click_id: str | None
    is_trial: bool
    net_all: int
    tips_net: int
    chargebacks: int
    messages: int
    calculated_at: datetime


_FAN_SELECT = select(*(FANS.c[name] for name in FanRow.__slots__))


def days(conn: Connection, ref: str, first: int | None = None, last: int | None = None) -> list[DayRow]:
    """Oldest first."""
    c = DAYS.c
    query = select(c.day, c.subs, c.net, c.spenders).where(c.ref == ref, *_between(c.day, first, last))
    return [DayRow(*row) for row in conn.execute(query.order_by(c.day)).all()]


def totals(conn: Connection, ref: str) -> Totals:
    query = select(*(TOTALS.c[name] for name in Totals.__slots__)).where(TOTALS.c.ref == ref)
    row = conn.execute(query).first()
    return Totals(*row) if row is not None else Totals()


def cohort(conn: Connection, ref: str, first: int | None, last: int | None) -> tuple[int, dict[str, int]]:
    """(subscribers, sums by column) of the fans who came on these days."""
    c = COHORTS.c
    names = ("subs", *SUMS)
    query = select(*(func.coalesce(func.sum(c[name]), 0) for name in names))
    row = conn.execute(query.where(c.ref == ref, *_between(c.day, first, last))).one()
    found = {name: int(value) for name, value in zip(names, row, strict=True)}
    return found.pop("subs"), found


def cohort_days(conn: Connection, ref: str) -> list[dict[str, int]]:
    """All cohorts by day, oldest first."""
    names = ("day", "subs", *SUMS)
    query = select(*(COHORTS.c[name] for name in names)).where(COHORTS.c.ref == ref).order_by(COHORTS.c.day)
    return [dict(zip(names, row, strict=True)) for row in conn.execute(query)]


def click_days(conn: Connection, link_pk: int) -> list[tuple[int, int]]:
    """(day, clicks) of a real link: by how much upstream's own count grew since it was first seen."""
    c = _COUNTS.c
    rows = conn.execute(select(c.day, c.clicks).where(c.link_pk == link_pk).order_by(c.day)).all()
    grown = [(int(b.day), int(b.clicks - a.clicks)) for a, b in pairwise(rows)]
    return [(day, n) for day, n in grown if n > 0]


def pool_subscribers(conn: Connection, smart_link_id: str) -> int:
    """How many subscribers upstream counts for the links of a pool."""
    query = select(func.coalesce(func.sum(_LINKS.c.subscribers_count), 0)).join(_POOL, _POOL.c.link_pk == _LINKS.c.id)
    return int(conn.execute(query.where(_POOL.c.smart_link_id == smart_link_id)).scalar_one())


def fans(
    conn: Connection, ref: str, wanted: FanFilter, *, sort: str, limit: int, offset: int, found: int | None = None
) -> list[FanRow]:
    """A page in an order of `SORTS`, with `-` descending. `found`: how many fans the filter lets through, where known."""
    if found is not None and offset >= found:
        return []
    column = FANS.c[SORTS[sort.removeprefix("-")]]
    by = column.name if found is None else _by(conn, ref, wanted, column.name, found, offset + limit)
    plain = type_coerce(column, BigInteger()) + 0  # an order that no index gives: it is not to choose the index
    order, anew = (
        [c.desc() if sort.startswith("-") else c for c in (key, FANS.c.fan_id)]
        for key in (column if by == column.name else plain, plain)
    )
    query = select(FANS.c.fan_id).where(FANS.c.ref == ref, *fan_groups.narrowed(wanted, by=by)).order_by(*order)
    ids = query.limit(limit).offset(offset)  # of the index alone, so that rows before the page are never fetched
    rows = conn.execute(_FAN_SELECT.where(FANS.c.ref == ref, FANS.c.fan_id.in_(ids)).order_by(*anew)).all()
    return [FanRow(*row) for row in rows]


def _by(  # noqa: PLR0917 (a query, spelled out)
    conn: Connection, ref: str, wanted: FanFilter, sorted_by: str, found: int, until: int
) -> str:
    """The column whose index gives the page with the fewest rows read: in order until enough fit, or all of a condition."""
    sizes = fan_groups.sizes(conn, ref, wanted)
    everyone = sizes.pop(sorted_by, None) or totals(conn, ref).subs
    best = min(sizes, key=sizes.__getitem__, default=sorted_by)
    in_order = everyone * min(until, found) / found
    return best if best in sizes and _GATHERING * sizes[best] < in_order else sorted_by


def fan_totals(conn: Connection, ref: str, wanted: FanFilter) -> Totals:
    """Sums over the fans that a filter lets through; without one they are kept ready.

    A process of an older release may have stored fans without their groups: then the fans themselves are added up.
    """
    total = totals(conn, ref)
    if wanted.is_open:
        return total
    whole = fan_groups.everything(conn, ref)
    kept_up = (whole.fans, whole.net, whole.tips_net) == (total.subs, total.net, total.tips_net)
    found = (fan_groups.sums if kept_up else fan_groups.of_rows)(conn, ref, wanted)
    return Totals(subs=found.fans, net=found.net, tips_net=found.tips_net, fans_1=found.fans_1, fans_3=found.fans_3)


def spenders(conn: Connection, ref: str, *, at_least: int, limit: int, offset: int) -> list[FanRow]:
    """Fans with positive net revenue of at least that many cents, the largest first."""
    wanted = FanFilter(net=max(1, at_least))
    return fans(conn, ref, wanted, sort="-revenue_net", limit=limit, offset=offset)


def subscribed_through_pool(
    conn: Connection, account_id: str, smart_link_id: str, fan_ids: Iterable[int], *, now: datetime
) -> set[int]:
    """Those of the fans whose subscription through a link of the pool goes on."""
    pool = set(conn.execute(select(_POOL.c.link_pk).where(_POOL.c.smart_link_id == smart_link_id)).scalars())
    c = _CLAIMS.c
    claims = select(c.fan_id, c.link_pk).where(  # by fan: by link it would be each fan in each link of the pool
        c.account_id == account_id, among(conn, c.fan_id, fan_ids), or_(c.ended_at.is_(None), c.ended_at > now)
    )
    return {fan for fan, link in conn.execute(claims).all() if link in pool}


def is_previous(subscribed_at: datetime | None, since: datetime) -> bool:
    """Whether a fan had subscribed before coming through the link."""
    return subscribed_at is not None and to_micros(subscribed_at) < to_micros(since) - CLAIM_SLACK


def _between(day: ColumnElement[int], first: int | None, last: int | None) -> list[ColumnElement[bool]]:
    where = [] if first is None else [day >= first]
    return where if last is None else [*where, day <= last]
