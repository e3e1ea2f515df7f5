"""Which fans' shares of links are to be worked out anew: marked in the transaction of what became known about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import BigInteger, Connection, Table, and_, delete, false, func, literal, select, type_coerce, update

from ofapi_store.models.link_revenue import DirtyFan, LinkCount, LinkFan
from ofapi_store.models.links import Link, LinkClaim
from ofapi_store.models.observed import Fan
from ofapi_store.queries.among import among
from ofapi_store.queries.link_reports import CLAIM_SLACK
from ofapi_store.queries.upsert import insert_for
from ofapi_store.types import to_micros

DIRTY: Table = DirtyFan.__table__  # type: ignore[assignment]
_CLAIMS: Table = LinkClaim.__table__  # type: ignore[assignment]
_LINKS: Table = Link.__table__  # type: ignore[assignment]
_FANS: Table = LinkFan.__table__  # type: ignore[assignment]
_PEOPLE: Table = Fan.__table__  # type: ignore[assignment]
_COUNTS: Table = LinkCount.__table__  # type: ignore[assignment]
_DAY_MICROS = 86_400_000_000
_CHUNK = 500


def mark(conn: Connection, account_id: str, fan_ids: Iterable[int]) -> int:
    """Marks those of the fans who came through a link, and says of these links that their revenue is due."""
    marked: list[int] = []
    wanted = sorted(set(fan_ids))
    for at in range(0, len(wanted), _CHUNK):
        ours = and_(_CLAIMS.c.account_id == account_id, _CLAIMS.c.fan_id.in_(wanted[at : at + _CHUNK]))
        found = conn.execute(select(_CLAIMS.c.fan_id).where(ours).distinct()).scalars().all()
        if found:
            conn.execute(
                update(_LINKS)
                .where(_LINKS.c.id.in_(select(_CLAIMS.c.link_pk).where(ours)), _LINKS.c.revenue_stale.is_(False))
                .values(revenue_stale=True)
            )
            marked += found
    _mark(conn, account_id, marked)
    return len(marked)


def mark_smart(conn: Connection, account_id: str, fan_ids: Iterable[int]) -> int:
    """Marks those of the fans who came through a smart link: only there messages count."""
    query = select(_FANS.c.fan_id).where(
        _FANS.c.account_id == account_id, _FANS.c.fan_id.in_(sorted(set(fan_ids))), _FANS.c.click_id.is_not(None)
    )
    found = conn.execute(query.distinct()).scalars().all()
    _mark(conn, account_id, found)
    return len(found)


def mark_returning(conn: Connection, account_id: str, fan_ids: Iterable[int]) -> int:
    """Marks those of the fans for whom what is known of earlier subscriptions has changed."""
    same = and_(_PEOPLE.c.account_id == _FANS.c.account_id, _PEOPLE.c.fan_id == _FANS.c.fan_id)
    first = type_coerce(_PEOPLE.c.subscribed_at, BigInteger())
    earlier = func.coalesce(first < type_coerce(_FANS.c.since, BigInteger()) - CLAIM_SLACK, false())
    query = select(_FANS.c.fan_id).join(_PEOPLE, same)
    query = query.where(_FANS.c.account_id == account_id, among(conn, _FANS.c.fan_id, fan_ids))
    found = conn.execute(query.where(_FANS.c.came_before.is_distinct_from(earlier)).distinct()).scalars().all()
    _mark(conn, account_id, found)
    return len(found)


def mark_all(conn: Connection, account_id: str) -> int:
    """Marks every fan who came through a link: the full recomputation."""
    query = select(_CLAIMS.c.fan_id).where(_CLAIMS.c.account_id == account_id).distinct()
    found = conn.execute(query).scalars().all()
    for at in range(0, len(found), _CHUNK):
        _mark(conn, account_id, found[at : at + _CHUNK])
    return len(found)


def _mark(conn: Connection, account_id: str, fan_ids: Sequence[int]) -> None:
    if not fan_ids:
        return
    statement = insert_for(conn, DIRTY)
    statement = statement.on_conflict_do_update(
        index_elements=["account_id", "fan_id"], set_={"marks": DIRTY.c.marks + literal(1)}
    )
    conn.execute(statement, [{"account_id": account_id, "fan_id": fan, "marks": 1} for fan in sorted(fan_ids)])


def some(conn: Connection, account_id: str, limit: int) -> dict[int, int]:
    """Up to `limit` marked fans with their marks."""
    query = select(DIRTY.c.fan_id, DIRTY.c.marks).where(DIRTY.c.account_id == account_id)
    return {row[0]: row[1] for row in conn.execute(query.order_by(DIRTY.c.fan_id).limit(limit))}


def clear(conn: Connection, account_id: str, done: Mapping[int, int]) -> None:
    """Takes away the marks that were worked out; a fan marked again since keeps the mark."""
    for fan_id, marks in done.items():
        conn.execute(
            delete(DIRTY).where(DIRTY.c.account_id == account_id, DIRTY.c.fan_id == fan_id, DIRTY.c.marks == marks)
        )


def count(conn: Connection, account_id: str) -> int:
    return int(conn.execute(select(func.count()).where(DIRTY.c.account_id == account_id)).scalar_one())


def note_clicks(conn: Connection, account_id: str, kind: str, link_ids: Iterable[int], at: datetime) -> None:
    """Keeps upstream's click counts of the links as those of the day `at`: the growth by day is what reports show."""
    query = select(_LINKS.c.id, _LINKS.c.clicks_count).where(
        _LINKS.c.account_id == account_id,
        _LINKS.c.kind == kind,
        _LINKS.c.link_id.in_(sorted(set(link_ids))),
        _LINKS.c.clicks_count.is_not(None),
    )
    day = to_micros(at) // _DAY_MICROS
    rows = [{"link_pk": pk, "day": day, "clicks": clicks} for pk, clicks in conn.execute(query)]
    if not rows:
        return
    statement = insert_for(conn, _COUNTS)
    statement = statement.on_conflict_do_update(
        index_elements=["link_pk", "day"],
        set_={"clicks": statement.excluded.clicks},
        where=_COUNTS.c.clicks < statement.excluded.clicks,
    )
    conn.execute(statement, sorted(rows, key=lambda row: row["link_pk"]))


def not_calculated(conn: Connection, account_id: str) -> bool:
    """Whether a link of the account waits for its revenue."""
    query = select(_LINKS.c.id).where(
        _LINKS.c.account_id == account_id,
        _LINKS.c.kind.in_(["tracking", "trial"]),
        _LINKS.c.revenue_calculated_at.is_(None) | _LINKS.c.revenue_stale.is_(True),
    )
    return conn.execute(query.limit(1)).first() is not None
