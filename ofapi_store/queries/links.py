"""Tracking and trial links, own and shared, as last seen (contract 6.11)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    Connection,
    Select,
    Table,
    and_,
    delete,
    exists,
    func,
    or_,
    select,
    type_coerce,
    update,
)

from ofapi_store.models.links import Link, LinkClaim, LinkTag, Tag
from ofapi_store.models.observed import Transaction
from ofapi_store.queries.tags import fold
from ofapi_store.queries.upsert import insert_missing
from ofapi_store.types import now_utc

LINKS: Table = Link.__table__  # type: ignore[assignment]
CLAIMS: Table = LinkClaim.__table__  # type: ignore[assignment]
TRANSACTIONS: Table = Transaction.__table__  # type: ignore[assignment]
RENEWED_WITHIN_US = 31 * 86_400_000_000
Kind = Literal["tracking", "trial", "shared_tracking", "shared_trial"]


@dataclass(frozen=True, slots=True)
class LinkRow:
    """`id` is ours, `link_id` upstream's. Amounts are cents; revenue is None until calculated."""

    id: int
    account_id: str
    kind: str
    link_id: int
    name: str | None
    code: str | None
    url: str | None
    clicks_count: int | None
    subscribers_count: int | None
    subscribe_days: int | None
    subscribe_counts: int | None
    owner: dict[str, Any] | None
    is_deleted: bool
    is_finished: bool | None
    is_smart: bool
    created_at: datetime | None
    ended_at: datetime | None
    payload: dict[str, Any] | None
    cost: dict[str, Any] | None
    revenue_total: int | None
    spenders_count: int | None
    chargebacks: int | None
    revenue_calculated_at: datetime | None
    revenue_stale: bool
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """A fan's subscription span that began through a link; `ended_at` None: still subscribed, as far as known."""

    link_pk: int
    fan_id: int
    claimed_at: datetime
    ended_at: datetime | None


_COLUMNS = tuple(LINKS.c[name] for name in LinkRow.__slots__)
_SEEN = or_(LINKS.c.payload.is_not(None), LINKS.c.created_at.is_not(None))  # not only tagged ahead of being seen
_CLAIM_COLUMNS = tuple(CLAIMS.c[name] for name in ClaimRow.__slots__)


def get(conn: Connection, account_id: str, kind: Kind, link_id: int) -> LinkRow | None:
    query = select(*_COLUMNS).where(LINKS.c.account_id == account_id, LINKS.c.kind == kind, LINKS.c.link_id == link_id)
    row = conn.execute(query).first()
    return LinkRow(*row) if row is not None else None


def ensure(conn: Connection, account_id: str, kind: Kind, link_id: int, *, now: datetime | None = None) -> int:
    """Our id of a link; a row is made for one that was not seen yet, and lists leave it out until it is."""
    at = now or now_utc()
    row = {"account_id": account_id, "kind": kind, "link_id": link_id}
    insert_missing(
        conn,
        LINKS,
        [{**row, "first_seen_at": at, "observed_at": at, "updated_at": at}],
        "account_id",
        "kind",
        "link_id",
    )
    where = and_(LINKS.c.account_id == account_id, LINKS.c.kind == kind, LINKS.c.link_id == link_id)
    pk: int = conn.execute(select(LINKS.c.id).where(where)).scalar_one()
    return pk


def by_pks(conn: Connection, pks: Iterable[int]) -> dict[int, LinkRow]:
    rows = conn.execute(select(*_COLUMNS).where(LINKS.c.id.in_(sorted(set(pks)))))
    return {row.id: row for row in (LinkRow(*found) for found in rows)}


def page(
    conn: Connection,
    account_id: str,
    kind: Kind,
    *,
    limit: int = 10,
    offset: int = 0,
    search: str | None = None,
    tags: Sequence[str] = (),
    include_smart: bool = False,
    include_deleted: bool = False,
) -> list[LinkRow]:
    """Newest first. `search`: part of name, code or URL, in any case. `tags`: links that have one of them."""
    query = select(*_COLUMNS).where(LINKS.c.account_id == account_id, LINKS.c.kind == kind, _SEEN)
    if not include_smart:
        query = query.where(LINKS.c.is_smart.is_(False))
    if not include_deleted:
        query = query.where(LINKS.c.is_deleted.is_(False))
    if search:
        found = [
            func.lower(LINKS.c[name]).contains(search.lower(), autoescape=True) for name in ("name", "code", "url")
        ]
        query = query.where(or_(*found))
    if tags:
        query = _tagged(query, tags)
    query = query.order_by(LINKS.c.created_at.desc().nulls_last(), LINKS.c.link_id.desc()).limit(limit).offset(offset)
    return [LinkRow(*row) for row in conn.execute(query)]


def forget(conn: Connection, account_id: str, kind: Kind, link_id: int) -> bool:
    """Deletes the stored link with its tags and claims: its access was revoked upstream. False: not stored."""
    gone = delete(LINKS).where(LINKS.c.account_id == account_id, LINKS.c.kind == kind, LINKS.c.link_id == link_id)
    return bool(conn.execute(gone).rowcount)


def mark_deleted(conn: Connection, account_id: str, kind: Kind, link_id: int, *, now: datetime | None = None) -> bool:
    """Deleted upstream; the row stays for its figures. False: not stored."""
    where = and_(LINKS.c.account_id == account_id, LINKS.c.kind == kind, LINKS.c.link_id == link_id)
    return bool(conn.execute(update(LINKS).where(where).values(is_deleted=True, updated_at=now or now_utc())).rowcount)


def mark_stale(conn: Connection, pks: Iterable[int]) -> None:
    """Their revenue is due for calculation: `revenue_is_loading` shows true until it is stored."""
    conn.execute(update(LINKS).where(LINKS.c.id.in_(sorted(set(pks)))).values(revenue_stale=True))


def mark_smart(conn: Connection, pk: int, **values: Any) -> None:
    """A pool member of a smart link; `values`: what is known of it before it is first observed."""
    conn.execute(update(LINKS).where(LINKS.c.id == pk).values(is_smart=True, **values))


def store_revenue(
    conn: Connection, pk: int, *, total: int, spenders: int, chargebacks: int, now: datetime | None = None
) -> None:
    """What was calculated for a link, in cents."""
    at = now or now_utc()
    conn.execute(
        update(LINKS)
        .where(LINKS.c.id == pk)
        .values(
            revenue_total=total,
            spenders_count=spenders,
            chargebacks=chargebacks,
            revenue_calculated_at=at,
            revenue_stale=False,
            updated_at=at,
        )
    )


def claims(conn: Connection, pk: int) -> list[ClaimRow]:
    """All spans of a link, oldest first."""
    query = select(*_CLAIM_COLUMNS).where(CLAIMS.c.link_pk == pk)
    return [ClaimRow(*row) for row in conn.execute(query.order_by(CLAIMS.c.claimed_at, CLAIMS.c.fan_id))]


def claims_of_fans(conn: Connection, account_id: str, fan_ids: Iterable[int]) -> list[ClaimRow]:
    """All spans of these fans over all links of the account, oldest first."""
    query = select(*_CLAIM_COLUMNS).where(CLAIMS.c.account_id == account_id, CLAIMS.c.fan_id.in_(sorted(set(fan_ids))))
    return [ClaimRow(*row) for row in conn.execute(query.order_by(CLAIMS.c.claimed_at, CLAIMS.c.link_pk))]


def outlived(conn: Connection, account_id: str, *, since: datetime) -> set[int]:
    """Our ids of links with a fan whose payment, first seen since then, came after the fan's last known span there.

    The fan was renewed, perhaps: the claimers of the link know. Who pays long after such a span has come back without it.
    """
    t, c, other = TRANSACTIONS.c, CLAIMS.c, CLAIMS.alias()
    covered = exists().where(
        other.c.link_pk == c.link_pk,
        other.c.fan_id == c.fan_id,
        other.c.claimed_at <= t.created_at,
        or_(other.c.ended_at.is_(None), other.c.ended_at > t.created_at),
    )
    paid = and_(c.account_id == t.account_id, c.fan_id == t.fan_id, c.ended_at <= t.created_at)
    soon = type_coerce(t.created_at, BigInteger()) - type_coerce(c.ended_at, BigInteger()) < RENEWED_WITHIN_US
    query = select(c.link_pk).select_from(TRANSACTIONS).join(CLAIMS, paid)
    new = (
        t.account_id == account_id,
        t.updated_at >= since,
        t.first_seen_at >= since,
    )  # the index is over `updated_at`
    return set(conn.execute(query.where(*new, soon, ~covered).distinct()).scalars())


def _tagged(query: Select[Any], names: Sequence[str]) -> Select[Any]:
    folded = [fold(name) for name in names]
    tagged = select(LinkTag.link_pk).join(Tag, Tag.id == LinkTag.tag_id)
    return query.where(exists(tagged.where(LinkTag.link_pk == LINKS.c.id, Tag.folded.in_(folded))))
