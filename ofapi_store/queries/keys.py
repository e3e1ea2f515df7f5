"""API keys: only the SHA-256 of a token is stored, so a token can be shown once and never again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Table, bindparam, insert, or_, select, update

from ofapi_store.errors import BadValue
from ofapi_store.ids import new_id, new_token, token_hash
from ofapi_store.models.teams import ApiKey
from ofapi_store.queries.teams import TEAMS, TeamRow
from ofapi_store.types import now_utc

KEYS: Table = ApiKey.__table__  # type: ignore[assignment]
SCOPES = ("read", "write", "delete")

_COLUMNS = (
    KEYS.c.id,
    KEYS.c.team_id,
    KEYS.c.name,
    KEYS.c.hint,
    KEYS.c.scopes,
    KEYS.c.account_ids,
    KEYS.c.created_at,
    KEYS.c.last_used_at,
    KEYS.c.revoked_at,
)
_BY_HASH = (
    select(*_COLUMNS, *TEAMS.c)
    .join_from(KEYS, TEAMS, TEAMS.c.id == KEYS.c.team_id)
    .where(KEYS.c.token_hash == bindparam("hash"), KEYS.c.revoked_at.is_(None))
)
_TOUCH = (
    update(KEYS)
    .where(
        KEYS.c.id == bindparam("key_id"),
        or_(KEYS.c.last_used_at.is_(None), KEYS.c.last_used_at < bindparam("used_at")),
    )
    .values(last_used_at=bindparam("used_at"))
)


@dataclass(frozen=True, slots=True)
class KeyRow:
    """`hint` is the token's last four characters. `account_ids` None: every account of the team."""

    id: str
    team_id: str
    name: str
    hint: str
    scopes: frozenset[str]
    account_ids: frozenset[str] | None
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeyAndTeam:
    key: KeyRow
    team: TeamRow


def create(
    conn: Connection,
    team_id: str,
    *,
    name: str,
    scopes: Iterable[str] = SCOPES,
    account_ids: Iterable[str] | None = None,
    token: str | None = None,
    now: datetime | None = None,
) -> tuple[KeyRow, str]:
    """The key and its token. Raises BadValue for an unknown scope. `token`: one made elsewhere (demo, import)."""
    scopes = sorted(set(scopes))
    if unknown := [scope for scope in scopes if scope not in SCOPES]:
        raise BadValue(f"a key's scopes are {', '.join(SCOPES)}", unknown[0])
    token = token or new_token()
    allowed = None if account_ids is None else sorted(set(account_ids))
    key_id, hint, created = new_id("key"), token[-4:], now or now_utc()
    conn.execute(
        insert(KEYS),
        {
            "id": key_id,
            "team_id": team_id,
            "token_hash": token_hash(token),
            "hint": hint,
            "name": name,
            "scopes": scopes,
            "account_ids": allowed,
            "created_at": created,
        },
    )
    limited = None if allowed is None else frozenset(allowed)
    return KeyRow(key_id, team_id, name, hint, frozenset(scopes), limited, created, None, None), token


def by_token_hash(conn: Connection, hashed: str) -> KeyAndTeam | None:
    """The live key of that hash (`ids.token_hash(token)`) with its team; None if unknown or revoked."""
    row = conn.execute(_BY_HASH, {"hash": hashed}).first()
    if row is None:
        return None
    return KeyAndTeam(_key(row[: len(_COLUMNS)]), TeamRow(*row[len(_COLUMNS) :]))


def list_for_team(conn: Connection, team_id: str, *, revoked: bool = False) -> list[KeyRow]:
    """Newest first; revoked ones only if asked for."""
    query = select(*_COLUMNS).where(KEYS.c.team_id == team_id).order_by(KEYS.c.created_at.desc(), KEYS.c.id)
    if not revoked:
        query = query.where(KEYS.c.revoked_at.is_(None))
    return [_key(row) for row in conn.execute(query)]


def revoke(conn: Connection, key_id: str, *, team_id: str | None = None, now: datetime | None = None) -> bool:
    """False: no such live key (of that team)."""
    query = update(KEYS).where(KEYS.c.id == key_id, KEYS.c.revoked_at.is_(None))
    if team_id is not None:
        query = query.where(KEYS.c.team_id == team_id)
    return bool(conn.execute(query.values(revoked_at=now or now_utc())).rowcount)


def touch(conn: Connection, used: Mapping[str, datetime]) -> None:
    """Notes when keys (by id) were last used, in one batch; never moves a time back."""
    if used:
        conn.execute(_TOUCH, [{"key_id": key, "used_at": at} for key, at in sorted(used.items())])


def _key(row: Row[*tuple[Any, ...]] | tuple[Any, ...]) -> KeyRow:
    key_id, team_id, name, hint, scopes, account_ids, created, used, revoked = row
    allowed = None if account_ids is None else frozenset(account_ids)
    return KeyRow(key_id, team_id, name, hint, frozenset(scopes), allowed, created, used, revoked)
