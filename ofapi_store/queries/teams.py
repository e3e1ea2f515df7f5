"""Teams."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Table, bindparam, insert, select, update

from ofapi_store.errors import BadValue
from ofapi_store.ids import new_id
from ofapi_store.models.teams import Team
from ofapi_store.types import now_utc

TEAMS: Table = Team.__table__  # type: ignore[assignment]
_BY_ID = select(TEAMS).where(TEAMS.c.id == bindparam("id"))
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class TeamRow:
    """`credit_balance` is as of the read: debits that are still to be written are not in it.

    `requests_per_minute` 0: the team has no limit of its own, the config's counts.
    """

    id: str
    slug: str
    name: str
    requests_per_minute: int
    credit_balance: int
    created_at: datetime


def create(
    conn: Connection,
    *,
    slug: str,
    name: str | None = None,
    requests_per_minute: int = 0,
    now: datetime | None = None,
) -> TeamRow:
    """A team with no credits (see `credits.grant`). Raises BadValue for a slug that is malformed or taken."""
    if not _SLUG.fullmatch(slug) or len(slug) > 80:
        raise BadValue("a team's slug is lower-case letters, digits and single dashes, up to 80", slug)
    if by_slug(conn, slug) is not None:
        raise BadValue("this team slug is taken", slug)
    row = TeamRow(new_id("team"), slug, name or slug, requests_per_minute, 0, now or now_utc())
    conn.execute(insert(TEAMS), _values(row))
    return row


def by_id(conn: Connection, team_id: str) -> TeamRow | None:
    return _row(conn.execute(_BY_ID, {"id": team_id}).first())


def by_slug(conn: Connection, slug: str) -> TeamRow | None:
    return _row(conn.execute(select(TEAMS).where(TEAMS.c.slug == slug)).first())


def list_all(conn: Connection) -> list[TeamRow]:
    return [TeamRow(*row) for row in conn.execute(select(TEAMS).order_by(TEAMS.c.slug))]


def set_requests_per_minute(conn: Connection, team_id: str, limit: int) -> bool:
    """0: the config's. False: no such team."""
    done = conn.execute(update(TEAMS).where(TEAMS.c.id == team_id).values(requests_per_minute=limit))
    return bool(done.rowcount)


def _row(row: Row[*tuple[Any, ...]] | None) -> TeamRow | None:
    return TeamRow(*row) if row is not None else None


def _values(row: TeamRow) -> dict[str, Any]:
    return {column: getattr(row, column) for column in TeamRow.__slots__}
