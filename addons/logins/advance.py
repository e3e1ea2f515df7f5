"""Drives one attempt as far as it can go: one step, one write, the next step.

Before and after every request to upstream the attempt is in a stored state from which the step can be done again, so a
worker may die at any point.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy.exc import IntegrityError

from addons.logins.authenticator import (
    Authenticator,
    LoginUnavailable,
    NeedsFactor,
    Refused,
    Restart,
    Secret,
    SignedIn,
    User,
)
from addons.logins.client import LoginClient, ProxyRefused
from addons.logins.methods import METHODS
from ofapi_store.errors import AlreadyConnected, SecretError
from ofapi_store.queries import accounts, auth

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from addons.pipeline.services import Services
    from ofapi_store.queries.auth import AttemptRow

log = structlog.get_logger(__name__)

MAX_STEPS = 12
STATES = {"sms": "needs-otp", "app": "needs-app-otp", "face": "needs_face_otp"}
EXPIRED = ("attempt_expired", "The login was not finished in time. Start it again.")
FINAL = frozenset({"captcha_required"})  # the same login would be refused again, whoever gives it
PROXY_REFUSED = Refused("proxy_refused", "The proxy's address is private and must not be reached from here.")


async def advance(services: Services, attempt_id: str) -> None:
    """Until the attempt waits for the creator or has ended. Raises LoginUnavailable."""
    for _ in range(MAX_STEPS):
        row = await services.store.aread(auth.by_id, attempt_id)
        if row is None or not row.open or row.state in auth.WAITING or row.progress == "filling_out_login":
            return
        try:
            await _Step(services, row).run()
        except auth.AttemptMoved:
            continue
        except IntegrityError:
            raise LoginUnavailable("another login of this account ended at the same time", 1) from None


class _Step:
    """One step of one attempt, as it was read."""

    def __init__(self, services: Services, row: AttemptRow) -> None:
        self.services = services
        self.row = row
        self.now = services.clock()

    async def run(self) -> None:
        if self.row.expires_at <= self.now:
            await self._write(auth.fail, *EXPIRED, self.now)
            return
        try:
            secret = Secret.of(self.services.secrets.decrypt_json(self.row.secret or ""))
            proxy = self.services.secrets.decrypt(self.row.proxy_url) if self.row.proxy_url else None
        except (SecretError, ValueError, TypeError) as e:
            log.error("secret of a login cannot be read", attempt=self.row.id, error=type(e).__name__)
            await self._write(
                auth.fail, "secret_unreadable", "What was given can no longer be read. Start again.", self.now
            )
            return
        authenticator = METHODS[secret.kind](LoginClient(self.services.config, proxy))
        step = self._check if self.row.progress == "checking" else self._submit
        try:
            await step(authenticator, secret)
        except ProxyRefused:
            await self._refuse(PROXY_REFUSED)

    async def _submit(self, authenticator: Authenticator, secret: Secret) -> None:
        if self.row.progress == "started":
            self.row = await self._move(progress="submitting")
        outcome = await authenticator.sign_in(secret)
        if isinstance(outcome, Refused):
            await self._refuse(outcome)
        elif isinstance(outcome, NeedsFactor):
            await self._wait(secret, outcome)
        else:
            await self._signed_in(secret, outcome)

    async def _check(self, authenticator: Authenticator, secret: Secret) -> None:
        if secret.code is None and not secret.selfie:
            await self._verify(authenticator, secret)
            return
        outcome = await authenticator.second_factor(secret)
        if isinstance(outcome, SignedIn):
            await self._signed_in(secret, outcome)
        elif isinstance(outcome, Restart):
            await self._restart(secret)
        elif outcome.again and self.row.tries + 1 < self.services.config.auth.max_code_tries:
            open_again = self._seal(replace(secret, code=None, selfie=False))
            await self._move(
                state=STATES[secret.waits_for or "sms"],
                progress="waiting_for_otp",
                secret=open_again,
                tries=self.row.tries + 1,
                error_code=outcome.code,
                error_message=outcome.message,
            )
        elif outcome.again:
            said = outcome.message.partition(". ")[0].rstrip(".")
            await self._refuse(Refused("too_many_codes", f"{said}. That was the last try; start again."))
        else:
            await self._refuse(outcome)

    async def _restart(self, secret: Secret) -> None:
        """From the beginning, a few times; the creator will be asked for a new code."""
        if self.row.tries + 1 >= self.services.config.auth.max_code_tries:
            await self._refuse(Refused("login_lost", "OnlyFans lost the login several times. Start again."))
            return
        anew = replace(secret, session=None, waits_for=None, code=None, selfie=False)
        await self._move(progress="started", secret=self._seal(anew), tries=self.row.tries + 1)

    async def _verify(self, authenticator: Authenticator, secret: Secret) -> None:
        found = await authenticator.who(secret)
        if isinstance(found, Refused):
            await self._refuse(found)
            return
        account = await self.services.store.aread(accounts.by_id, self.row.account_id)
        user_id = str(found.data["id"])
        expected = {str(x) for x in (secret.auth_id, account.onlyfans_id if account else None) if x}
        if expected and expected != {user_id}:
            text = "The session belongs to another OnlyFans account than the one that was named."
            await self._refuse(Refused("wrong_account", text))
            return
        try:
            await self._finish(secret, found, user_id)
        except AlreadyConnected:
            text = "This OnlyFans account is already connected. Send force_connect: true to replace its login."
            await self._write(auth.fail, "already_connected", text, self.now)

    async def _finish(self, secret: Secret, user: User, user_id: str) -> None:
        session = {**(secret.session or {}), "auth_id": user_id}
        columns: dict[str, Any] = {
            "login": self.services.secrets.encrypt_json(session),
            "proxy_url": self.row.proxy_url,
            "onlyfans_id": user_id,
            "username": user.data.get("username"),
            "user_data": dict(user.data),
        }
        if user.data.get("email") or secret.email:
            columns["email"] = user.data.get("email") or secret.email
        keep = None
        if self.services.config.auth.keep_credentials and secret.kind == "email_password":
            keep = self._seal(replace(secret, session=None, waits_for=None, code=None, selfie=False))
        await self._write(auth.succeed, columns, self.now, keep=keep)
        log.info("account logged in", attempt=self.row.id, account=self.row.account_id)

    async def _signed_in(self, secret: Secret, outcome: SignedIn) -> None:
        known = replace(secret, session=dict(outcome.session), code=None, selfie=False, waits_for=None)
        await self._move(state="authenticating", progress="checking", secret=self._seal(known))

    async def _wait(self, secret: Secret, outcome: NeedsFactor) -> None:
        pending = replace(secret, session=dict(outcome.session), waits_for=outcome.kind)
        event = "accounts.face_otp_required" if outcome.kind == "face" else "accounts.otp_code_required"
        await self._move(
            event=event,
            state=STATES[outcome.kind],
            progress="waiting_for_otp",
            secret=self._seal(pending),
            otp_phone_ending=outcome.phone_ending,
            face_url=outcome.url,
        )

    async def _refuse(self, refused: Refused) -> None:
        """The end; on the hosted page the creator may correct a few times what can be corrected."""
        log.info("login refused", attempt=self.row.id, reason=refused.code)
        tries = self.row.starts + 1 < self.services.config.auth.max_code_tries
        if self.row.session_id is not None and tries and refused.code not in FINAL:
            await self._move(
                state="authenticating",
                progress="filling_out_login",
                secret=None,
                tries=0,
                starts=self.row.starts + 1,
                error_code=refused.code,
                error_message=refused.message,
            )
            return
        await self._write(_fail, refused, self.now)

    def _seal(self, secret: Secret) -> str:
        return self.services.secrets.encrypt_json(secret.as_json())

    async def _move(self, **values: Any) -> AttemptRow:
        return await self._write(auth.move, self.now, **values)

    async def _write(self, change: Callable[..., AttemptRow], *args: Any, **values: Any) -> AttemptRow:
        row = self.row
        written: Awaitable[AttemptRow] = self.services.store.awrite(lambda conn: change(conn, row, *args, **values))
        return await written


def _fail(conn: Connection, row: AttemptRow, refused: Refused, now: Any) -> AttemptRow:
    if refused.code == "wrong_credentials":
        auth.forget_credentials(conn, row.account_id)
    return auth.fail(conn, row, refused.code, refused.message, now)
