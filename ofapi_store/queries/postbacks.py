"""Postbacks of a team, what waits to be sent to them, and how each try went (contract 6.9)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Table, delete, func, insert, select, update

from ofapi_store import outbox
from ofapi_store.models.clicks import Click
from ofapi_store.models.smart_links import Postback, PostbackLink, PostbackResponse, SmartLink
from ofapi_store.models.teams import Account
from ofapi_store.queries.conversions import ConversionRow

POSTBACKS: Table = Postback.__table__  # type: ignore[assignment]
LINKS: Table = PostbackLink.__table__  # type: ignore[assignment]
RESPONSES: Table = PostbackResponse.__table__  # type: ignore[assignment]
_SMART: Table = SmartLink.__table__  # type: ignore[assignment]
_ACCOUNTS: Table = Account.__table__  # type: ignore[assignment]
_CLICKS: Table = Click.__table__  # type: ignore[assignment]
JOB = "links.postback"
GLOBAL = "global"
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class PostbackRow:
    """`headers`: SecretBox token of a JSON list. `scope`: global | campaign_specific."""

    id: int
    team_id: str
    url: str
    http_method: str
    body: str | None
    headers: str | None
    conversion_types: list[str]
    scope: str
    created_at: datetime
    updated_at: datetime

    def __repr__(self) -> str:
        return f"PostbackRow(id={self.id!r}, scope={self.scope!r})"


@dataclass(frozen=True, slots=True)
class LinkName:
    """A smart link that a postback is for."""

    id: str
    name: str
    account_id: str
    display_name: str


@dataclass(frozen=True, slots=True)
class ResponseRow:
    """One try."""

    id: int
    postback_id: int
    conversion_id: int
    conversion_type: str
    status_code: int | None
    succeeded: bool
    error_type: str | None
    error_message: str | None
    postback_url: str
    created_at: datetime


_COLUMNS = tuple(POSTBACKS.c[name] for name in PostbackRow.__slots__)
_RESPONSE = tuple(RESPONSES.c[name] for name in ResponseRow.__slots__)


def list_for_team(conn: Connection, team_id: str) -> list[PostbackRow]:
    """Oldest first."""
    query = select(*_COLUMNS).where(POSTBACKS.c.team_id == team_id).order_by(POSTBACKS.c.id)
    return [PostbackRow(*row) for row in conn.execute(query)]


def for_team(conn: Connection, team_id: str, postback_id: int) -> PostbackRow | None:
    """None where it is unknown or another team's: callers cannot tell which."""
    row = get(conn, postback_id)
    return row if row is not None and row.team_id == team_id else None


def get(conn: Connection, postback_id: int) -> PostbackRow | None:
    """Whatever its team: for jobs, never for a client's request."""
    row = conn.execute(select(*_COLUMNS).where(POSTBACKS.c.id == postback_id)).first()
    return PostbackRow(*row) if row is not None else None


def create(
    conn: Connection, team_id: str, settings: dict[str, Any], links: Sequence[str], *, now: datetime
) -> PostbackRow:
    """`settings`: url, http_method, body, headers (encrypted), conversion_types, scope."""
    values = {"team_id": team_id, **settings, "created_at": now, "updated_at": now}
    new_id = conn.execute(insert(POSTBACKS).values(**values).returning(POSTBACKS.c.id)).scalar_one()
    _set_links(conn, new_id, links)
    made = get(conn, new_id)
    assert made is not None
    return made


def change(
    conn: Connection, team_id: str, postback_id: int, settings: dict[str, Any], links: Sequence[str], *, now: datetime
) -> PostbackRow | None:
    """Replaces what `settings` names, and the links. None: no such postback of this team."""
    where = (POSTBACKS.c.id == postback_id, POSTBACKS.c.team_id == team_id)
    if not conn.execute(update(POSTBACKS).where(*where).values(**settings, updated_at=now)).rowcount:
        return None
    conn.execute(delete(LINKS).where(LINKS.c.postback_id == postback_id))
    _set_links(conn, postback_id, links)
    return get(conn, postback_id)


def _set_links(conn: Connection, postback_id: int, links: Sequence[str]) -> None:
    if links:
        conn.execute(insert(LINKS), [{"postback_id": postback_id, "smart_link_id": link} for link in links])


def remove(conn: Connection, team_id: str, postback_id: int) -> bool:
    """With its log; what waits to be sent is dropped when its turn comes."""
    where = (POSTBACKS.c.id == postback_id, POSTBACKS.c.team_id == team_id)
    return bool(conn.execute(delete(POSTBACKS).where(*where)).rowcount)


def links_of(conn: Connection, postback_ids: Iterable[int]) -> dict[int, list[LinkName]]:
    """The smart links that are not deleted, by postback, oldest first; none for those of all links."""
    query = (
        select(LINKS.c.postback_id, _SMART.c.id, _SMART.c.name, _SMART.c.account_id, _ACCOUNTS.c.display_name)
        .join(_SMART, _SMART.c.id == LINKS.c.smart_link_id)
        .join(_ACCOUNTS, _ACCOUNTS.c.id == _SMART.c.account_id)
        .where(LINKS.c.postback_id.in_(sorted(set(postback_ids))), _SMART.c.state == "active")
        .order_by(_SMART.c.id)
    )
    found: dict[int, list[LinkName]] = defaultdict(list)
    for postback_id, *link in conn.execute(query):
        found[postback_id].append(LinkName(*link))
    return found


def latest_responses(conn: Connection, postback_ids: Iterable[int]) -> dict[int, ResponseRow]:
    """The last try of each postback that was ever tried."""
    newest = (
        select(func.max(RESPONSES.c.id))
        .where(RESPONSES.c.postback_id.in_(sorted(set(postback_ids))))
        .group_by(RESPONSES.c.postback_id)
    )
    rows = (ResponseRow(*row) for row in conn.execute(select(*_RESPONSE).where(RESPONSES.c.id.in_(newest))))
    return {row.postback_id: row for row in rows}


def covers(conn: Connection, postback_id: int, conversion_type: str, smart_link_id: str) -> PostbackRow | None:
    """The postback, if it is still there and still for such conversions of this link."""
    row = get(conn, postback_id)
    if row is None or conversion_type not in row.conversion_types:
        return None
    if row.scope == GLOBAL:
        return row
    chosen = select(LINKS.c.postback_id).where(
        LINKS.c.postback_id == postback_id, LINKS.c.smart_link_id == smart_link_id
    )
    return row if conn.execute(chosen).first() is not None else None


def enqueue(
    conn: Connection,
    conversions: Sequence[ConversionRow],
    *,
    max_attempts: int,
    delay_s: float = 0.0,
    now: datetime,
) -> int:
    """A job per conversion and postback that is for it; call it in the transaction that stores the conversions.

    The job holds what is known at that time, so that every try sends the same. Returns how many jobs were added.
    """
    smart = sorted({row.smart_link_id for row in conversions})
    wanted = _postbacks_of(conn, smart) if smart else {}
    told = [row for row in conversions if row.type != "new_transaction" or row.gross]  # none that went back already
    due = [(row, postback) for row in told for postback in wanted.get((row.smart_link_id, row.type), ())]
    if not due:
        return 0
    params = _click_params(conn, {(row.smart_link_id, row.click_id) for row, _ in due})
    at, added = now + timedelta(seconds=delay_s), 0
    for row, postback in due:
        payload = {
            "postback": postback,
            "conversion": row.id,
            "type": row.type,
            "smart_link": row.smart_link_id,
            "click": row.click_id,
            "at": row.conversion_at.isoformat(),
            "gross": row.gross,
            "net": row.net,
            "params": params.get((row.smart_link_id, row.click_id)) or {},
        }
        key = f"{postback}:{row.id}"
        added += outbox.enqueue(conn, JOB, payload, key=key, at=at, max_attempts=max_attempts, now=now).created
    return added


def _postbacks_of(conn: Connection, smart: Sequence[str]) -> dict[tuple[str, str], list[int]]:
    """(smart link, conversion type) → postbacks."""
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    c = POSTBACKS.c
    teams = select(_SMART.c.id, c.id, c.conversion_types).join(POSTBACKS, c.team_id == _SMART.c.team_id)
    everywhere = teams.where(_SMART.c.id.in_(smart), c.scope == GLOBAL)
    chosen = (
        select(LINKS.c.smart_link_id, c.id, c.conversion_types)
        .join(POSTBACKS, c.id == LINKS.c.postback_id)
        .where(LINKS.c.smart_link_id.in_(smart), c.scope != GLOBAL)
    )
    for query in (everywhere, chosen):
        for link, postback, types in conn.execute(query):
            for name in types:
                found[link, name].append(postback)
    return found


def _click_params(conn: Connection, clicks: set[tuple[str, str]]) -> dict[tuple[str, str], dict[str, Any] | None]:
    ids = sorted({click for _, click in clicks})
    links = sorted({link for link, _ in clicks})
    c = _CLICKS.c
    found: dict[tuple[str, str], dict[str, Any] | None] = {}
    for start in range(0, len(ids), _CHUNK):
        query = select(c.smart_link_id, c.id, c.params).where(
            c.smart_link_id.in_(links), c.id.in_(ids[start : start + _CHUNK])
        )
        found |= {(row[0], row[1]): row[2] for row in conn.execute(query)}
    return found


def record(conn: Connection, postback_id: int, values: dict[str, Any], *, now: datetime) -> None:
    """Notes one try (columns of `ResponseRow`); nothing where the postback was deleted meanwhile."""
    there = select(POSTBACKS.c.id).where(POSTBACKS.c.id == postback_id)
    if conn.dialect.name == "postgresql":
        there = there.with_for_update(read=True)  # a deletion waits for this row, or is seen
    if conn.execute(there).first() is not None:
        conn.execute(insert(RESPONSES), {"postback_id": postback_id, **values, "created_at": now})


def prune(conn: Connection, *, before: datetime, limit: int = 5000) -> int:
    """Deletes up to `limit` tries older than `before`; returns how many."""
    c = RESPONSES.c
    old = select(c.id).where(c.created_at < before).order_by(c.created_at).limit(limit)
    return conn.execute(delete(RESPONSES).where(c.id.in_(old))).rowcount
