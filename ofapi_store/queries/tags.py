"""Tags of links: one namespace per team, compared without case, shown in the case of their first use (contract 6.12)."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, Table, bindparam, delete, exists, select, update

from ofapi_store.errors import BadValue
from ofapi_store.models.links import Link, LinkTag, Tag
from ofapi_store.models.smart_links import SmartLinkTag
from ofapi_store.models.teams import Account
from ofapi_store.queries.upsert import insert_missing
from ofapi_store.types import now_utc

TAGS: Table = Tag.__table__  # type: ignore[assignment]
LINK_TAGS: Table = LinkTag.__table__  # type: ignore[assignment]
SMART_TAGS: Table = SmartLinkTag.__table__  # type: ignore[assignment]
MAX_LENGTH = 50


def clean(name: str) -> str:
    """Trimmed. Raises BadValue for an empty tag, one over 50 characters, or one with control characters."""
    name = unicodedata.normalize("NFC", name.strip())
    if not name or len(name) > MAX_LENGTH or any(unicodedata.category(char) in ("Cc", "Cs") for char in name):
        raise BadValue(f"a tag has 1 to {MAX_LENGTH} characters, none of them control characters", name)
    return name


def fold(name: str) -> str:
    """The form in which tags are compared."""
    return unicodedata.normalize("NFC", name.strip()).casefold()


def of_link(conn: Connection, link_pk: int) -> list[str]:
    """Sorted without regard to case."""
    return of_links(conn, [link_pk])[link_pk]


def of_links(conn: Connection, link_pks: Iterable[int]) -> dict[int, list[str]]:
    """Tags by link, an empty list for a link without, in one query."""
    pks = sorted(set(link_pks))
    found: dict[int, list[str]] = defaultdict(list, {pk: [] for pk in pks})
    query = (
        select(LINK_TAGS.c.link_pk, TAGS.c.name)
        .join(TAGS, TAGS.c.id == LINK_TAGS.c.tag_id)
        .where(LINK_TAGS.c.link_pk.in_(pks))
    )
    for link_pk, name in sorted(conn.execute(query), key=lambda row: fold(row[1])):  # databases sort text differently
        found[link_pk].append(name)
    return found


def add(
    conn: Connection, team_id: str, link_pk: int, names: Sequence[str], *, now: datetime | None = None
) -> list[str]:
    """Adds tags to those that the link has; all of them then. Raises BadValue and then adds none."""
    ids = ensure(conn, team_id, names, now=now)
    insert_missing(conn, LINK_TAGS, [{"link_pk": link_pk, "tag_id": tag} for tag in ids], "link_pk", "tag_id")
    return of_link(conn, link_pk)


def remove(conn: Connection, team_id: str, link_pk: int, names: Sequence[str]) -> list[str]:
    """Takes tags off the link, whatever their case; those that are left. Unknown ones are ignored."""
    ids = select(TAGS.c.id).where(TAGS.c.team_id == team_id, TAGS.c.folded.in_([fold(name) for name in names]))
    conn.execute(delete(LINK_TAGS).where(LINK_TAGS.c.link_pk == link_pk, LINK_TAGS.c.tag_id.in_(ids)))
    return of_link(conn, link_pk)


def ensure(conn: Connection, team_id: str, names: Sequence[str], *, now: datetime | None = None) -> list[int]:
    """Ids of the team's tags of these names, made where missing. Raises BadValue and then makes none."""
    wanted: dict[str, str] = {}
    for name in names:
        wanted.setdefault(fold(name), clean(name))
    created = now or now_utc()
    rows = [
        {"team_id": team_id, "name": name, "folded": folded, "created_at": created}
        for folded, name in sorted(wanted.items())
    ]
    insert_missing(conn, TAGS, rows, "team_id", "folded")
    _respell(conn, team_id, wanted)
    query = select(TAGS.c.id).where(TAGS.c.team_id == team_id, TAGS.c.folded.in_(list(wanted)))
    return sorted(conn.execute(query).scalars())


def _respell(conn: Connection, team_id: str, wanted: Mapping[str, str]) -> None:
    """A tag that no link has (any more) takes the case of its new first use."""
    unused = [~exists().where(table.c.tag_id == TAGS.c.id) for table in (LINK_TAGS, SMART_TAGS)]
    this = (TAGS.c.team_id == team_id, TAGS.c.folded == bindparam("key"), TAGS.c.name != bindparam("spelling"))
    statement = update(TAGS).where(*this, *unused).values(name=bindparam("spelling"))
    if wanted:
        conn.execute(statement, [{"key": key, "spelling": name} for key, name in sorted(wanted.items())])


def of_team(conn: Connection, team_id: str, kinds: Iterable[str]) -> list[str]:
    """Tags in use on the live accounts' links of these kinds (`tracking`, `shared_tracking`, …), sorted."""
    query = (
        select(TAGS.c.name)
        .join(LINK_TAGS, LINK_TAGS.c.tag_id == TAGS.c.id)
        .join(Link, Link.id == LINK_TAGS.c.link_pk)
        .join(Account, Account.id == Link.account_id)
        .where(TAGS.c.team_id == team_id, Link.kind.in_(sorted(kinds)), Account.disconnected_at.is_(None))
        .distinct()
    )
    return sorted(conn.execute(query).scalars(), key=fold)
