"""Connected accounts. `login` and `proxy_url` go in and come out encrypted (`SecretBox`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, bindparam, delete, func, insert, select, update

from ofapi_store.errors import AlreadyConnected, BadValue
from ofapi_store.ids import new_id
from ofapi_store.models.auth import AccountCredentials, AuthAttempt
from ofapi_store.models.teams import Account
from ofapi_store.types import now_utc

ACCOUNTS: Table = Account.__table__  # type: ignore[assignment]
_ATTEMPTS: Table = AuthAttempt.__table__  # type: ignore[assignment]
_CREDENTIALS: Table = AccountCredentials.__table__  # type: ignore[assignment]
_ENDED = {
    "state": "failed",
    "progress": "failed",
    "secret": None,
    "proxy_url": None,
    "error_code": "disconnected",
    "error_message": "The account was disconnected.",
}

# `user_data` is tens of KB: only what asks for it reads it.
_COLUMNS = tuple(column for column in ACCOUNTS.c if column.name != "user_data")
_FOR_TEAM = select(*_COLUMNS).where(
    ACCOUNTS.c.id == bindparam("id"), ACCOUNTS.c.team_id == bindparam("team"), ACCOUNTS.c.disconnected_at.is_(None)
)
_CHANGEABLE = frozenset(
    {
        "display_name",
        "client_reference_id",
        "onlyfans_id",
        "username",
        "email",
        "state",
        "authentication_progress",
        "login",
        "proxy_url",
        "user_data",
    }
)


@dataclass(frozen=True, slots=True)
class AccountRow:
    """`login` and `proxy_url` are SecretBox tokens or None. `disconnected_at` None: live."""

    id: str
    team_id: str
    display_name: str
    client_reference_id: str | None
    onlyfans_id: str | None
    username: str | None
    email: str | None
    state: str
    authentication_progress: str | None
    login: str | None
    proxy_url: str | None
    created_at: datetime
    updated_at: datetime
    disconnected_at: datetime | None

    def __repr__(self) -> str:
        return f"AccountRow(id={self.id!r}, state={self.state!r})"


def create(
    conn: Connection,
    team_id: str,
    *,
    display_name: str,
    state: str = "authenticating",
    account_id: str | None = None,
    now: datetime | None = None,
    **values: Any,
) -> AccountRow:
    """A new account; `values` are further columns. Raises AlreadyConnected, and BadValue for an unknown column."""
    _refuse_unknown(values)
    account_id, at = account_id or new_id("acct"), now or now_utc()
    _refuse_second(conn, team_id, account_id, values.get("onlyfans_id"))
    conn.execute(
        insert(ACCOUNTS),
        {
            **values,
            "id": account_id,
            "team_id": team_id,
            "display_name": display_name,
            "state": state,
            "created_at": at,
            "updated_at": at,
        },
    )
    created = for_team(conn, team_id, account_id)
    assert created is not None
    return created


def for_team(conn: Connection, team_id: str, account_id: str) -> AccountRow | None:
    """The live account, or None where it is unknown, disconnected, or another team's: callers cannot tell which."""
    row = conn.execute(_FOR_TEAM, {"id": account_id, "team": team_id}).first()
    return AccountRow(*row) if row is not None else None


def by_id(conn: Connection, account_id: str) -> AccountRow | None:
    """Whatever its team and state: for jobs and the operator, never for a client's request."""
    row = conn.execute(select(*_COLUMNS).where(ACCOUNTS.c.id == account_id)).first()
    return AccountRow(*row) if row is not None else None


def list_for_team(
    conn: Connection,
    team_id: str,
    *,
    onlyfans_id: str | None = None,
    username: str | None = None,
    email: str | None = None,
    only: Iterable[str] | None = None,
    limit: int | None = None,
) -> list[AccountRow]:
    """The live accounts, oldest first, `limit` of them. Names and addresses in any case.

    `only`: the account ids that a key is restricted to.
    """
    query = select(*_COLUMNS).where(ACCOUNTS.c.team_id == team_id, ACCOUNTS.c.disconnected_at.is_(None))
    if onlyfans_id is not None:
        query = query.where(ACCOUNTS.c.onlyfans_id == onlyfans_id)
    for column, value in (("username", username), ("email", email)):
        if value is not None:
            query = query.where(func.lower(ACCOUNTS.c[column]) == value.lower())
    if only is not None:
        query = query.where(ACCOUNTS.c.id.in_(sorted(only)))
    ordered = query.order_by(ACCOUNTS.c.created_at, ACCOUNTS.c.id).limit(limit)
    return [AccountRow(*row) for row in conn.execute(ordered)]


def list_live(conn: Connection, *, state: str | None = None) -> list[AccountRow]:
    """Live accounts of all teams: for jobs and the operator."""
    query = select(*_COLUMNS).where(ACCOUNTS.c.disconnected_at.is_(None))
    if state is not None:
        query = query.where(ACCOUNTS.c.state == state)
    return [AccountRow(*row) for row in conn.execute(query.order_by(ACCOUNTS.c.created_at, ACCOUNTS.c.id))]


def user_data(conn: Connection, account_ids: Iterable[str]) -> dict[str, Mapping[str, Any] | None]:
    """What upstream's `users/me` last said, by account id."""
    query = select(ACCOUNTS.c.id, ACCOUNTS.c.user_data).where(ACCOUNTS.c.id.in_(sorted(account_ids)))
    return {row.id: row.user_data for row in conn.execute(query)}


def change(conn: Connection, account_id: str, *, now: datetime | None = None, **values: Any) -> AccountRow | None:
    """Sets columns of a live account; None where there is none. Raises AlreadyConnected, BadValue."""
    _refuse_unknown(values)
    current = by_id(conn, account_id)
    if current is None or current.disconnected_at is not None:
        return None
    if values.get("onlyfans_id") not in (None, current.onlyfans_id):
        _refuse_second(conn, current.team_id, account_id, values["onlyfans_id"])
    conn.execute(
        update(ACCOUNTS)
        .where(ACCOUNTS.c.id == account_id, ACCOUNTS.c.disconnected_at.is_(None))
        .values(**values, updated_at=now or now_utc())
    )
    return by_id(conn, account_id)


def set_state(
    conn: Connection,
    account_id: str,
    state: str,
    *,
    progress: str | None = None,
    when: Iterable[str] | None = None,
    now: datetime | None = None,
) -> bool:
    """True if this call changed the state. `when`: only from one of these states, so that one of many callers wins."""
    query = update(ACCOUNTS).where(
        ACCOUNTS.c.id == account_id, ACCOUNTS.c.disconnected_at.is_(None), ACCOUNTS.c.state != state
    )
    if when is not None:
        query = query.where(ACCOUNTS.c.state.in_(sorted(when)))
    changed = conn.execute(query.values(state=state, authentication_progress=progress, updated_at=now or now_utc()))
    return bool(changed.rowcount)


def disconnect(conn: Connection, team_id: str, account_id: str, *, now: datetime | None = None) -> bool:
    """Ends the account and wipes its login, kept credentials and any login under way; what was observed stays.

    False: no such live account of this team.
    """
    at = now or now_utc()
    query = update(ACCOUNTS).where(
        ACCOUNTS.c.id == account_id, ACCOUNTS.c.team_id == team_id, ACCOUNTS.c.disconnected_at.is_(None)
    )
    gone = query.values(
        disconnected_at=at, updated_at=at, state="disconnected", login=None, proxy_url=None, user_data=None
    )
    if not conn.execute(gone).rowcount:
        return False
    conn.execute(delete(_CREDENTIALS).where(_CREDENTIALS.c.account_id == account_id))
    under_way = update(_ATTEMPTS).where(_ATTEMPTS.c.account_id == account_id, _ATTEMPTS.c.completed_at.is_(None))
    conn.execute(under_way.values(**_ENDED, version=_ATTEMPTS.c.version + 1, completed_at=at))
    return True


def live_of_user(conn: Connection, team_id: str, onlyfans_id: str) -> AccountRow | None:
    """The team's live account of that OnlyFans user."""
    row = conn.execute(
        select(*_COLUMNS).where(
            ACCOUNTS.c.team_id == team_id, ACCOUNTS.c.onlyfans_id == onlyfans_id, ACCOUNTS.c.disconnected_at.is_(None)
        )
    ).first()
    return AccountRow(*row) if row is not None else None


def only_live_of_user(conn: Connection, onlyfans_id: str) -> AccountRow | None:
    """The live account of that OnlyFans user if exactly one team has it, for a client that comes with its own session."""
    rows = conn.execute(
        select(*_COLUMNS).where(ACCOUNTS.c.onlyfans_id == onlyfans_id, ACCOUNTS.c.disconnected_at.is_(None)).limit(2)
    ).all()
    return AccountRow(*rows[0]) if len(rows) == 1 else None


def _refuse_second(conn: Connection, team_id: str, account_id: str, onlyfans_id: str | None) -> None:
    if onlyfans_id is None:
        return
    other = live_of_user(conn, team_id, onlyfans_id)
    if other is not None and other.id != account_id:
        raise AlreadyConnected(other.id, onlyfans_id)


def _refuse_unknown(values: Mapping[str, Any]) -> None:
    if unknown := sorted(set(values) - _CHANGEABLE):
        raise BadValue(f"an account's columns are {', '.join(sorted(_CHANGEABLE))}", unknown[0])
