"""Smart links of a team, with their figures from the sums that are kept up with every write (contract 6.1)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, Table, delete, exists, func, select, update

from ofapi_store.models.clicks import ClickDay
from ofapi_store.models.link_revenue import LinkTotal
from ofapi_store.models.links import Tag
from ofapi_store.models.smart_links import SmartLink, SmartLinkTag
from ofapi_store.models.teams import Account
from ofapi_store.queries import tags
from ofapi_store.queries.among import among
from ofapi_store.queries.upsert import insert_missing

SMART: Table = SmartLink.__table__  # type: ignore[assignment]
SMART_TAGS: Table = SmartLinkTag.__table__  # type: ignore[assignment]
_ACCOUNTS: Table = Account.__table__  # type: ignore[assignment]
_TAGS: Table = Tag.__table__  # type: ignore[assignment]
_TOTALS: Table = LinkTotal.__table__  # type: ignore[assignment]
_CLICKS: Table = ClickDay.__table__  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class SmartRow:
    """`state`: active | deleted. The account's names are those of now."""

    id: str
    team_id: str
    account_id: str
    name: str
    link_type: str
    free_trial_days: int | None
    state: str
    pool_problem: str | None
    created_at: datetime
    updated_at: datetime
    display_name: str
    username: str | None


@dataclass(frozen=True, slots=True)
class Figures:
    """Revenue in cents, net. `clicks`: every answered click."""

    clicks: int = 0
    conversions: int = 0
    subs: int = 0
    spenders: int = 0
    net: int = 0
    tips_net: int = 0
    chargebacks: int = 0
    fans_1: int = 0
    fans_3: int = 0


_OWN = tuple(SMART.c[name] for name in SmartRow.__slots__[:10])
_SELECT: Select[Any] = select(*_OWN, _ACCOUNTS.c.display_name, _ACCOUNTS.c.username).join(
    _ACCOUNTS, _ACCOUNTS.c.id == SMART.c.account_id
)


def create(conn: Connection, row: SmartRow) -> None:
    """Stores it; the account's names in `row` are not stored."""
    values = {name: getattr(row, name) for name in SmartRow.__slots__[:10]}
    conn.execute(SMART.insert(), values)


def get(conn: Connection, smart_link_id: str) -> SmartRow | None:
    """Whatever its team and state: for the redirect and jobs, never for a client's request."""
    row = conn.execute(_SELECT.where(SMART.c.id == smart_link_id)).first()
    return SmartRow(*row) if row is not None else None


def for_team(
    conn: Connection, team_id: str, smart_link_id: str, *, only: Iterable[str] | None = None
) -> SmartRow | None:
    """The team's own that is not deleted. `only`: accounts that the key is restricted to."""
    query = _SELECT.where(SMART.c.id == smart_link_id, SMART.c.team_id == team_id, SMART.c.state == "active")
    if only is not None:
        query = query.where(SMART.c.account_id.in_(sorted(only)))
    row = conn.execute(query).first()
    return SmartRow(*row) if row is not None else None


def among_team(conn: Connection, team_id: str, ids: Iterable[str], *, only: Iterable[str] | None = None) -> set[str]:
    """Those of the ids that `for_team` would find."""
    c = SMART.c
    query = select(c.id).where(c.team_id == team_id, c.state == "active", among(conn, c.id, ids))
    if only is not None:
        query = query.where(c.account_id.in_(sorted(only)))
    return set(conn.execute(query).scalars())


def page(
    conn: Connection,
    team_id: str,
    *,
    limit: int,
    offset: int,
    name: str | None = None,
    accounts: Iterable[str] | None = None,
    tagged: Sequence[str] = (),
) -> list[SmartRow]:
    """Newest first. `name`: part of it in any case. `accounts`: only these. `tagged`: those with one of these tags."""
    query: Select[Any] = _SELECT.where(SMART.c.team_id == team_id, SMART.c.state == "active")
    if name:
        query = query.where(func.lower(SMART.c.name).contains(name.lower(), autoescape=True))
    if accounts is not None:
        query = query.where(SMART.c.account_id.in_(sorted(set(accounts))))
    if tagged:
        has = select(SMART_TAGS.c.smart_link_id).join(_TAGS, _TAGS.c.id == SMART_TAGS.c.tag_id)
        folded = [tags.fold(tag) for tag in tagged]
        query = query.where(exists(has.where(SMART_TAGS.c.smart_link_id == SMART.c.id, _TAGS.c.folded.in_(folded))))
    return [SmartRow(*row) for row in conn.execute(query.order_by(SMART.c.id.desc()).limit(limit).offset(offset))]


def figures(conn: Connection, ids: Iterable[str]) -> dict[str, Figures]:
    """By smart link; zeros where nothing happened."""
    wanted = sorted(set(ids))
    names = [name for name in Figures.__slots__ if name != "clicks"]
    totals = select(_TOTALS.c.ref, *(_TOTALS.c[name] for name in names)).where(_TOTALS.c.ref.in_(wanted))
    found = {row[0]: dict(zip(names, row[1:], strict=True)) for row in conn.execute(totals)}
    c = _CLICKS.c
    counted = select(c.smart_link_id, func.sum(c.clicks)).where(c.smart_link_id.in_(wanted)).group_by(c.smart_link_id)
    clicks = {row[0]: int(row[1]) for row in conn.execute(counted)}
    return {ref: Figures(clicks=clicks.get(ref, 0), **found.get(ref, {})) for ref in wanted}


def mark_deleted(conn: Connection, smart_link_id: str, *, now: datetime) -> None:
    conn.execute(
        update(SMART).where(SMART.c.id == smart_link_id).values(state="deleted", deleted_at=now, updated_at=now)
    )


def note_problem(conn: Connection, smart_link_id: str, problem: str | None) -> None:
    """Why the pool cannot be made, None once it can."""
    conn.execute(update(SMART).where(SMART.c.id == smart_link_id).values(pool_problem=problem))


def tags_of(conn: Connection, smart_link_id: str) -> list[str]:
    """Sorted without regard to case."""
    query = select(_TAGS.c.name).join(SMART_TAGS, SMART_TAGS.c.tag_id == _TAGS.c.id)
    found = conn.execute(query.where(SMART_TAGS.c.smart_link_id == smart_link_id)).scalars()
    return sorted(found, key=tags.fold)


def add_tags(conn: Connection, team_id: str, smart_link_id: str, names: Sequence[str]) -> list[str]:
    """All tags then. Raises BadValue and then adds none."""
    rows = [{"smart_link_id": smart_link_id, "tag_id": tag} for tag in tags.ensure(conn, team_id, names)]
    insert_missing(conn, SMART_TAGS, rows, "smart_link_id", "tag_id")
    return tags_of(conn, smart_link_id)


def remove_tags(conn: Connection, team_id: str, smart_link_id: str, names: Sequence[str]) -> list[str]:
    """Those that are left; unknown names are ignored."""
    ids = select(_TAGS.c.id).where(_TAGS.c.team_id == team_id, _TAGS.c.folded.in_([tags.fold(n) for n in names]))
    conn.execute(delete(SMART_TAGS).where(SMART_TAGS.c.smart_link_id == smart_link_id, SMART_TAGS.c.tag_id.in_(ids)))
    return tags_of(conn, smart_link_id)


def tags_of_team(conn: Connection, team_id: str) -> list[str]:
    """Tags in use on the team's smart links, sorted."""
    query = (
        select(_TAGS.c.name)
        .join(SMART_TAGS, SMART_TAGS.c.tag_id == _TAGS.c.id)
        .join(SMART, SMART.c.id == SMART_TAGS.c.smart_link_id)
        .where(_TAGS.c.team_id == team_id, SMART.c.state == "active")
        .distinct()
    )
    return sorted(conn.execute(query).scalars(), key=tags.fold)
