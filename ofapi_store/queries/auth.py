"""Login attempts: each change of one is a transaction with what it means for the account and the events (contract 9).

authenticating/filling_out_login   waits for the creator on the hosted page
authenticating/started|submitting  credentials are to be sent to upstream
needs-otp, needs-app-otp, needs_face_otp / waiting_for_otp
authenticating/checking            a code is to be sent, or the session is to be looked at
authenticated/signed_in, failed/failed
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select, update

from ofapi_store import outbox
from ofapi_store.ids import new_id
from ofapi_store.models.auth import AccountCredentials, AuthAttempt
from ofapi_store.queries import accounts, events
from ofapi_store.queries.upsert import insert_for
from ofapi_store.types import show_time

ATTEMPTS: Table = AuthAttempt.__table__  # type: ignore[assignment]
CREDENTIALS: Table = AccountCredentials.__table__  # type: ignore[assignment]
LOGIN_JOB = "auth.login"
EXPIRE_JOB = "auth.expire"
LOGIN_TRIES = 8
WAITING = ("needs-otp", "needs-app-otp", "needs_face_otp")
AUTOMATIC_PAUSE = timedelta(minutes=15)  # between two logins that we start by ourselves for one account


class AttemptMoved(Exception):
    """Somebody else changed the attempt first: nothing was written, read it again."""


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """A row of `auth_attempts`; `secret` and `proxy_url` are SecretBox tokens or None."""

    id: str
    team_id: str
    account_id: str
    session_id: str | None
    method: str
    purpose: str
    automatic: bool
    force: bool
    state: str
    progress: str
    version: int
    secret: str | None
    proxy_url: str | None
    previous_state: str | None
    tries: int
    starts: int
    otp_phone_ending: str | None
    face_url: str | None
    error_code: str | None
    error_message: str | None
    started_at: datetime
    expires_at: datetime
    completed_at: datetime | None

    def __repr__(self) -> str:
        return f"AttemptRow(id={self.id!r}, state={self.state!r}, progress={self.progress!r})"

    @property
    def open(self) -> bool:
        return self.completed_at is None


_TOLD = (
    "started_at",
    "completed_at",
    "success",
    "error_message",
    "needs_otp",
    "needs_face_otp",
    "otp_phone_ending",
)  # contract 7.4
_COLUMNS = [ATTEMPTS.c[name] for name in AttemptRow.__slots__]


def begin(
    conn: Connection,
    team_id: str,
    *,
    ttl_s: float,
    now: datetime,
    account_id: str | None = None,
    display_name: str = "",
    client_reference_id: str | None = None,
    email: str | None = None,
    **columns: Any,
) -> AttemptRow:
    """A new attempt, its job and its end. Without `account_id` with a new account, which is there from now on.

    `columns`: `method`, and where wanted `secret`, `proxy_url`, `force`, `automatic`, `session_id`. Without a secret the
    creator has yet to give it on the hosted page. Raises AttemptMoved where the account has an open attempt already.
    """
    purpose, previous = "reconnect", None
    if account_id is None:
        reference: dict[str, Any] = {"client_reference_id": client_reference_id, "email": email}
        progress = "started" if columns.get("secret") else "filling_out_login"
        made = accounts.create(
            conn, team_id, display_name=display_name, now=now, authentication_progress=progress, **reference
        )
        account_id, purpose = made.id, "connect"
    else:
        previous = _interrupt(conn, account_id, now)
    where = {"team_id": team_id, "account_id": account_id, "purpose": purpose, "previous_state": previous}
    return _insert(conn, {**where, **columns}, now, now + timedelta(seconds=ttl_s))


def _insert(conn: Connection, columns: Mapping[str, Any], now: datetime, ends: datetime) -> AttemptRow:
    attempt_id, has_secret = new_id("auth"), columns.get("secret") is not None
    usual = {"automatic": False, "force": False, "secret": None, "proxy_url": None, "session_id": None}
    start = {"state": "authenticating", "progress": "started" if has_secret else "filling_out_login"}
    counts = {"version": 1, "tries": 0, "starts": 0, "started_at": now, "expires_at": ends}
    conn.execute(insert(ATTEMPTS), {**usual, **start, **counts, **columns, "id": attempt_id})
    outbox.enqueue(conn, EXPIRE_JOB, {"attempt": attempt_id}, key=attempt_id, at=ends, now=now)
    if has_secret:
        enqueue(conn, attempt_id, now)
    created = by_id(conn, attempt_id)
    assert created is not None
    return created


def _interrupt(conn: Connection, account_id: str, now: datetime) -> str:
    """The account's state, to go back to. One that works goes on with its old login until the new one is there."""
    if open_of_account(conn, account_id) is not None:
        raise AttemptMoved(account_id)
    row = accounts.by_id(conn, account_id)
    assert row is not None
    if row.state != "authenticated":
        accounts.set_state(conn, account_id, "reauthenticating", progress="started", now=now)
    return row.state


def enqueue(conn: Connection, attempt_id: str, now: datetime) -> None:
    """The attempt has something to do; if its job runs, it runs once more."""
    outbox.enqueue(
        conn, LOGIN_JOB, {"attempt": attempt_id}, key=attempt_id, rerun=True, max_attempts=LOGIN_TRIES, now=now
    )


def by_id(conn: Connection, attempt_id: str) -> AttemptRow | None:
    """Whatever its team: for jobs and the hosted page, never for a client's request."""
    row = conn.execute(select(*_COLUMNS).where(ATTEMPTS.c.id == attempt_id)).first()
    return AttemptRow(*row) if row is not None else None


def for_team(conn: Connection, team_id: str, attempt_id: str) -> AttemptRow | None:
    """None where it is unknown or another team's: callers cannot tell which."""
    found = by_id(conn, attempt_id)
    return found if found is not None and found.team_id == team_id else None


def open_of_account(conn: Connection, account_id: str) -> AttemptRow | None:
    """The attempt of an account that has not ended."""
    query = select(*_COLUMNS).where(ATTEMPTS.c.account_id == account_id, ATTEMPTS.c.completed_at.is_(None))
    row = conn.execute(query).first()
    return AttemptRow(*row) if row is not None else None


def last_of_account(conn: Connection, account_id: str) -> AttemptRow | None:
    """The newest attempt of an account; None where its login came another way."""
    query = select(*_COLUMNS).where(ATTEMPTS.c.account_id == account_id)
    row = conn.execute(query.order_by(ATTEMPTS.c.started_at.desc(), ATTEMPTS.c.id).limit(1)).first()
    return AttemptRow(*row) if row is not None else None


def move(
    conn: Connection, row: AttemptRow, now: datetime, *, event: str | None = None, work: bool = False, **values: Any
) -> AttemptRow:
    """Changes an open attempt, with its event. `work`: its job has something to do. Raises AttemptMoved."""
    changed = conn.execute(
        update(ATTEMPTS)
        .where(ATTEMPTS.c.id == row.id, ATTEMPTS.c.version == row.version, ATTEMPTS.c.completed_at.is_(None))
        .values(**values, version=row.version + 1)
    )
    if not changed.rowcount:
        raise AttemptMoved(row.id)
    after = by_id(conn, row.id)
    assert after is not None
    if after.open:
        accounts.change(conn, after.account_id, authentication_progress=after.progress, now=now)
    if work:
        enqueue(conn, row.id, now)
    if event is not None:
        _emit(conn, after, event, now)
    return after


def fail(conn: Connection, row: AttemptRow, code: str, message: str, now: datetime) -> AttemptRow:
    """The end: secrets are wiped, a new account goes, an old one is as it was. Raises AttemptMoved."""
    ended: dict[str, Any] = {
        "state": "failed",
        "progress": "failed",
        "face_url": None,
        "error_code": code,
        "error_message": message,
    }
    after = move(conn, row, now, secret=None, proxy_url=None, completed_at=now, **ended)
    if row.purpose == "connect":
        accounts.disconnect(conn, row.team_id, row.account_id, now=now)
    else:
        _as_before(conn, row, now)
    _emit(conn, after, "accounts.authentication_failed", now)
    return after


def _as_before(conn: Connection, row: AttemptRow, now: datetime) -> None:
    """The account after a login that failed: one whose old login works is signed in as ever, unless that died meanwhile."""
    if row.previous_state != "authenticated":
        accounts.set_state(conn, row.account_id, row.previous_state or "session_expired", progress="failed", now=now)
        return
    account = accounts.by_id(conn, row.account_id)
    works = account is not None and account.state == "authenticated"
    accounts.change(conn, row.account_id, authentication_progress="signed_in" if works else "failed", now=now)


def succeed(
    conn: Connection, row: AttemptRow, found: Mapping[str, Any], now: datetime, *, keep: str | None = None
) -> AttemptRow:
    """The account has a working login. `found`: its columns; `keep`: SecretBox token of credentials to keep.

    A new account of a user whom the team has already gives way to the old one where the attempt may replace its login.
    Raises AlreadyConnected, AttemptMoved.
    """
    other = accounts.live_of_user(conn, row.team_id, str(found["onlyfans_id"]))
    account_id, event = row.account_id, "accounts.connected" if row.purpose == "connect" else "accounts.reconnected"
    if other is not None and other.id != row.account_id and _may_replace(row, other):
        _cancel_open(conn, other.id, now)
        account_id, event = other.id, "accounts.reconnected"
    ended: dict[str, Any] = {
        "state": "authenticated",
        "progress": "signed_in",
        "error_code": None,
        "error_message": None,
    }
    after = move(
        conn, row, now, account_id=account_id, secret=None, proxy_url=None, completed_at=now, event=event, **ended
    )
    if account_id != row.account_id:
        accounts.disconnect(conn, row.team_id, row.account_id, now=now)
    columns = {**found, "state": "authenticated", "authentication_progress": "signed_in"}
    accounts.change(conn, account_id, now=now, **columns)
    if keep is not None:
        keep_credentials(conn, account_id, keep, now)
    return after


def _may_replace(row: AttemptRow, other: accounts.AccountRow) -> bool:
    """Forced, or a creator whom the team invited renews a login that is dead."""
    return row.purpose == "connect" and (row.force or (row.session_id is not None and other.state == "session_expired"))


def _cancel_open(conn: Connection, account_id: str, now: datetime) -> None:
    """A login of that account that is under way has been overtaken."""
    under_way = open_of_account(conn, account_id)
    if under_way is not None:
        fail(conn, under_way, "superseded", "Another login of this account succeeded first.", now)


def keep_credentials(conn: Connection, account_id: str, secret: str, now: datetime) -> None:
    """`secret`: SecretBox token; replaces what was kept."""
    statement = insert_for(conn, CREDENTIALS).values(account_id=account_id, secret=secret, created_at=now)
    changed = {"secret": statement.excluded.secret, "created_at": statement.excluded.created_at}
    conn.execute(statement.on_conflict_do_update(index_elements=["account_id"], set_=changed))


def credentials(conn: Connection, account_id: str) -> str | None:
    """SecretBox token of the kept e-mail and password."""
    found: str | None = conn.execute(
        select(CREDENTIALS.c.secret).where(CREDENTIALS.c.account_id == account_id)
    ).scalar_one_or_none()
    return found


def forget_credentials(conn: Connection, account_id: str) -> None:
    conn.execute(delete(CREDENTIALS).where(CREDENTIALS.c.account_id == account_id))


def start_again(conn: Connection, account_id: str, *, ttl_s: float, now: datetime) -> AttemptRow | None:
    """After a session died: a login by ourselves, with the kept credentials.

    None: there are none, one is under way, or the last such login is only a quarter of an hour old.
    """
    account, secret = accounts.by_id(conn, account_id), credentials(conn, account_id)
    if account is None or account.disconnected_at is not None or secret is None:
        return None
    recent = select(ATTEMPTS.c.id).where(
        ATTEMPTS.c.account_id == account_id,
        ATTEMPTS.c.automatic.is_(True),
        ATTEMPTS.c.started_at > now - AUTOMATIC_PAUSE,
    )
    if open_of_account(conn, account_id) is not None or conn.execute(recent.limit(1)).first() is not None:
        return None
    proxy = account.proxy_url
    return begin(
        conn,
        account.team_id,
        method="email_password",
        ttl_s=ttl_s,
        now=now,
        account_id=account_id,
        secret=secret,
        proxy_url=proxy,
        automatic=True,
    )


def last_attempt(row: AttemptRow) -> dict[str, Any]:
    """`lastAttempt` of contract 9.2."""
    return {
        "started_at": show_time(row.started_at),
        "completed_at": show_time(row.completed_at) if row.completed_at else None,
        "success": row.state == "authenticated" if row.completed_at else None,
        "error_code": row.error_code,
        "error_message": row.error_message,
        "needs_otp": row.state in ("needs-otp", "needs-app-otp"),
        "otp_phone_ending": row.otp_phone_ending,
        "needs_face_otp": row.state == "needs_face_otp",
        "face_otp_verification_url": row.face_url if row.state == "needs_face_otp" else None,
    }


def _emit(conn: Connection, row: AttemptRow, event: str, now: datetime) -> None:
    shown = {name: value for name, value in last_attempt(row).items() if name in _TOLD}
    payload = {"state": row.state, "progress": row.progress, "latestAuthAttempt": shown}
    fact = f"{row.id}:{row.version}"
    events.emit(conn, row.team_id, event, fact, payload, account_id=row.account_id, now=now)
