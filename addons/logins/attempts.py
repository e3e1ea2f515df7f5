"""What clients and the hosted page do with attempts: start, hand in, follow. All of it is our own rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import IntegrityError

from addons.logins import given
from addons.logins.authenticator import Secret
from addons.pipeline.errors import Conflict, ValidationFailed
from ofapi_store.queries import accounts, auth, auth_sessions

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import Connection

    from addons.logins.given import Given
    from addons.pipeline.services import Services
    from ofapi_store.queries.accounts import AccountRow
    from ofapi_store.queries.auth import AttemptRow
    from ofapi_store.queries.auth_sessions import SessionRow

ALREADY = (
    "This OnlyFans account is already connected as {}. Send force_connect: true to replace its login, "
    "or POST /authenticate/{}/reauthenticate."
)
UNTYPED = ("avatarThumbs", "headerSize", "headerThumbs")
"""Fields of `users/me` that polls give as null: the clients' types take them for texts here. `/accounts` has them."""
BUSY = "A login of this account is under way. Poll it, or wait until it has ended."


class Attempts:
    """The operations over one store; `services` as everywhere."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def start(self, team_id: str, wanted: Given) -> AttemptRow:
        """A login of a new account, or with force of one that is there. Raises Conflict."""
        return await self._write(self._start, team_id, wanted)

    async def start_mobile(self, team_id: str, wanted: Given) -> tuple[AttemptRow, str]:
        """An attempt that waits for the creator, and the token of its page."""
        return await self._write(self._start_mobile, team_id, wanted)

    async def renew(self, account: AccountRow, secret: Secret) -> AttemptRow:
        """A new login of an account, with what was given or kept. Raises Conflict while another is under way."""
        return await self._write(self._renew, account, secret)

    async def submit(self, attempt_id: str, code: str | None) -> None:
        """A code, or None for a selfie that was done. Raises Conflict, ValidationFailed."""
        await self._write(self._submit, attempt_id, code)

    async def fill(self, session: SessionRow, secret: Secret) -> AttemptRow:
        """What the creator gave on the hosted page. Raises Conflict."""
        return await self._write(self._fill, session, secret)

    async def page_of(self, row: AttemptRow) -> str:
        """The token of a page for an attempt that is open, for a mail to the creator."""
        return await self._write(self._page_of, row)

    async def _write[**P, T](self, change: Callable[P, T], *args: Any) -> T:
        try:
            return await self._services.store.awrite(lambda conn: change(conn, *args))  # type: ignore[call-arg, arg-type]
        except (auth.AttemptMoved, IntegrityError):
            raise Conflict(BUSY, retry=True) from None

    # each of these is one transaction

    def _start(self, conn: Connection, team_id: str, wanted: Given) -> AttemptRow:
        assert wanted.secret is not None
        known = _connected(conn, team_id, wanted.secret)
        if known is not None and not wanted.force:
            raise Conflict(ALREADY.format(known.id, known.id), code="ACCOUNT_ALREADY_CONNECTED")
        return auth.begin(
            conn,
            team_id,
            method=wanted.method,
            ttl_s=self._ttl_s,
            now=self._now(),
            display_name=(wanted.name or "account")[:255],
            account_id=known.id if known is not None else None,
            secret=self._seal(wanted.secret),
            proxy_url=self._seal_text(wanted.proxy_url) or (known.proxy_url if known is not None else None),
            email=wanted.secret.email,
            force=wanted.force,
        )

    def _start_mobile(self, conn: Connection, team_id: str, wanted: Given) -> tuple[AttemptRow, str]:
        now, box = self._now(), self._services.secrets
        name = (wanted.name or "mobile login")[:255]
        session, token = auth_sessions.create(
            conn, team_id, display_name=name, now=now, expires_at=now + timedelta(seconds=self._ttl_s), shown_with=box
        )
        proxy = self._seal_text(wanted.proxy_url)
        row = self._begin_on_page(conn, session, wanted.method, name, proxy_url=proxy, force=wanted.force)
        return row, token

    def _begin_on_page(
        self,
        conn: Connection,
        session: SessionRow,
        method: str,
        name: str,
        *,
        secret: Secret | None = None,
        proxy_url: str | None = None,
        force: bool = False,
    ) -> AttemptRow:
        row = auth.begin(
            conn,
            session.team_id,
            method=method,
            ttl_s=self._ttl_s,
            now=self._now(),
            display_name=name,
            client_reference_id=session.client_reference_id,
            secret=self._seal(secret) if secret is not None else None,
            proxy_url=proxy_url,
            force=force,
            session_id=session.id,
        )
        if not auth_sessions.bind(conn, session.id, row.id):
            raise auth.AttemptMoved(row.id)
        return row

    def _renew(self, conn: Connection, account: AccountRow, secret: Secret) -> AttemptRow:
        return auth.begin(
            conn,
            account.team_id,
            method=secret.kind,
            ttl_s=self._ttl_s,
            now=self._now(),
            account_id=account.id,
            secret=self._seal(secret),
            proxy_url=account.proxy_url,
        )

    def _submit(self, conn: Connection, attempt_id: str, code: str | None) -> None:
        row = auth.by_id(conn, attempt_id)
        now = self._now()
        if row is None or row.state not in auth.WAITING or row.expires_at <= now or row.secret is None:
            state = row.state if row is not None else "gone"
            raise Conflict(f"This login does not wait for a code: its state is {state}.", code="not_waiting")
        face = row.state == "needs_face_otp"
        if face and code is not None:
            raise ValidationFailed.of("code", "The code field must be empty: this login waits for a selfie check.")
        if not face and code is None:
            raise ValidationFailed.of("code", "The code field is required: this login waits for a code, not a selfie.")
        secret = replace(Secret.of(self._services.secrets.decrypt_json(row.secret)), code=code, selfie=code is None)
        sealed = self._seal(secret)
        auth.move(conn, row, now, work=True, state="authenticating", progress="checking", secret=sealed)

    def _fill(self, conn: Connection, session: SessionRow, secret: Secret) -> AttemptRow:
        fresh = auth_sessions.by_id(conn, session.id)
        if fresh is None or fresh.attempt_id is None:
            name = session.display_name
            return self._begin_on_page(conn, session, secret.kind, name, secret=secret, proxy_url=session.proxy_url)
        row = auth.by_id(conn, fresh.attempt_id)
        if row is None or row.progress != "filling_out_login" or not row.open:
            raise Conflict("This link has been used for its login. Ask for a new one.", code="link_used")
        values = {"progress": "started", "secret": self._seal(secret), "error_code": None, "error_message": None}
        return auth.move(conn, row, self._now(), work=True, **values)

    def _page_of(self, conn: Connection, row: AttemptRow) -> str:
        name = accounts.by_id(conn, row.account_id)
        session, token = auth_sessions.create(
            conn,
            row.team_id,
            display_name=name.display_name if name is not None else "account",
            now=self._now(),
            expires_at=row.expires_at,
        )
        auth_sessions.bind(conn, session.id, row.id)
        return token

    @property
    def _ttl_s(self) -> float:
        return float(self._services.config.auth.attempt_ttl_s)

    def _now(self) -> datetime:
        return self._services.clock()

    def _seal(self, secret: Secret) -> str:
        return self._services.secrets.encrypt_json(secret.as_json())

    def _seal_text(self, text: str | None) -> str | None:
        return self._services.secrets.encrypt(text) if text else None


def _connected(conn: Connection, team_id: str, secret: Secret) -> AccountRow | None:
    """The team's own account that this login would be for, as far as it can be known before upstream is asked."""
    if secret.auth_id is not None:
        return accounts.live_of_user(conn, team_id, secret.auth_id)
    found = accounts.list_for_team(conn, team_id, email=secret.email)
    return next((row for row in found if row.onlyfans_id is not None), None)


def shown(row: AttemptRow, account: AccountRow | None, data: Mapping[str, Any] | None) -> dict[str, Any]:
    """The answer to a poll (contract 9.2), bare."""
    known = {**data, **{name: None for name in UNTYPED if name in data}} if data is not None else None
    person = {
        "id": row.account_id,
        "display_name": account.display_name if account is not None else None,
        "onlyfans_data": known if row.state == "authenticated" else None,
    }
    return {
        "state": row.state,
        "progress": row.progress,
        "twoFactorPending": row.state in auth.WAITING,
        "account": person,
        "lastAttempt": auth.last_attempt(row),
    }


def secret_from(services: Services, account: AccountRow, kept: str | None) -> Secret | None:
    """What an account can be logged in with again: kept credentials, else its last session."""
    if kept is not None:
        return Secret.of(services.secrets.decrypt_json(kept))
    if account.login is None:
        return None
    session = services.secrets.decrypt_json(account.login)
    known = {name: str(session.get(name) or "") for name in given.NEEDED["raw_data"]}
    return Secret("raw_data", session=known, auth_id=known["auth_id"] or None)
