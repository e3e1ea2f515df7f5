"""Tokens that open the hosted page for one login (contract 9.6)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Table, delete, insert, select, update

from ofapi_store.ids import new_id, new_token, token_hash
from ofapi_store.models.auth import ClientSession
from ofapi_store.queries.teams import TEAMS, TeamRow
from ofapi_store.secrets import SecretBox

SESSIONS: Table = ClientSession.__table__  # type: ignore[assignment]
PREFIX = "ofapi_cs_"


@dataclass(frozen=True, slots=True)
class SessionRow:
    """`token` and `proxy_url` are SecretBox tokens or None."""

    id: str
    team_id: str
    token: str | None
    display_name: str
    client_reference_id: str | None
    proxy_url: str | None
    attempt_id: str | None
    created_at: datetime
    expires_at: datetime

    def __repr__(self) -> str:
        return f"SessionRow(id={self.id!r})"


_COLUMNS = [SESSIONS.c[name] for name in SessionRow.__slots__]
_WITH_TEAM = select(*_COLUMNS, *TEAMS.c).join_from(SESSIONS, TEAMS, TEAMS.c.id == SESSIONS.c.team_id)


def create(
    conn: Connection,
    team_id: str,
    *,
    display_name: str,
    now: datetime,
    expires_at: datetime,
    client_reference_id: str | None = None,
    proxy_url: str | None = None,
    shown_with: SecretBox | None = None,
) -> tuple[SessionRow, str]:
    """A session and its token. `shown_with`: encrypts the token, so that it can be shown again."""
    token = new_token(PREFIX)
    session_id = new_id("cs")
    values = {
        "id": session_id,
        "team_id": team_id,
        "token_hash": token_hash(token),
        "token": shown_with.encrypt(token) if shown_with is not None else None,
        "display_name": display_name,
        "client_reference_id": client_reference_id,
        "proxy_url": proxy_url,
        "created_at": now,
        "expires_at": expires_at,
    }
    conn.execute(insert(SESSIONS), values)
    created = by_id(conn, session_id)
    assert created is not None
    return created, token


def by_token(conn: Connection, token: str, now: datetime) -> SessionRow | None:
    """None: unknown, or past its time."""
    where = (SESSIONS.c.token_hash == token_hash(token), SESSIONS.c.expires_at > now)
    row = conn.execute(select(*_COLUMNS).where(*where)).first()
    return SessionRow(*row) if row is not None else None


def with_team(conn: Connection, hashed: str, now: datetime) -> tuple[SessionRow, TeamRow] | None:
    """The session of a token's hash, while its time lasts, with its team."""
    row = conn.execute(_WITH_TEAM.where(SESSIONS.c.token_hash == hashed, SESSIONS.c.expires_at > now)).first()
    if row is None:
        return None
    return SessionRow(*row[: len(_COLUMNS)]), TeamRow(*row[len(_COLUMNS) :])


def by_id(conn: Connection, session_id: str) -> SessionRow | None:
    row = conn.execute(select(*_COLUMNS).where(SESSIONS.c.id == session_id)).first()
    return SessionRow(*row) if row is not None else None


def bind(conn: Connection, session_id: str, attempt_id: str) -> bool:
    """The session's one login. False: it has another one already."""
    free = update(SESSIONS).where(SESSIONS.c.id == session_id, SESSIONS.c.attempt_id.is_(None))
    return bool(conn.execute(free.values(attempt_id=attempt_id)).rowcount)


def purge(conn: Connection, *, before: datetime) -> int:
    """Forgets sessions whose time ended before that."""
    return int(conn.execute(delete(SESSIONS).where(SESSIONS.c.expires_at < before)).rowcount)
