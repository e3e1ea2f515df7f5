"""Jobs of logins: drive an attempt, end one that nobody finished, mail a creator, forget old page tokens."""

from __future__ import annotations

import smtplib
from datetime import timedelta
from typing import TYPE_CHECKING

from addons.config.types import SecretMissing
from addons.jobs.leasing import CANCELLED
from addons.jobs.registry import GiveUp, Job, JobKind, RetryLater
from addons.logins import mail
from addons.logins.advance import EXPIRED, advance
from addons.logins.authenticator import LoginUnavailable
from ofapi_store.queries import auth, auth_sessions

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from addons.pipeline.services import Services

LOGIN_TIMEOUT_S = 300.0
PRUNE_S = 3600.0
KEPT = timedelta(days=1)
UNAVAILABLE = (
    "upstream_unavailable",
    "OnlyFans could not be reached, also after several tries. Start the login again later.",
)
STOPPED = ("login_cancelled", "The operator of this gateway cancelled the login. Start it again.")


async def login(job: Job, services: Services) -> None:
    """As far as the attempt can go; an upstream that is down is tried again, a few times."""
    try:
        await advance(services, job.payload["attempt"])
    except LoginUnavailable as e:
        raise RetryLater(e.after_s * min(job.attempts, 6), str(e)) from None


async def unreachable(job: Job, services: Services, error: str) -> None:
    """No try is left, or an operator cancelled it: the attempt ends, its secrets are wiped."""
    await _end(services, job.payload["attempt"], *(STOPPED if error == CANCELLED else UNAVAILABLE))


async def expire(job: Job, services: Services) -> None:
    """Time is up."""
    row = await services.store.aread(auth.by_id, job.payload["attempt"])
    if row is not None and row.open and row.expires_at > services.clock():
        raise RetryLater((row.expires_at - services.clock()).total_seconds(), "not yet", count=False)
    await _end(services, job.payload["attempt"], *EXPIRED)


async def send_mail(job: Job, services: Services) -> None:
    """A link for the creator. Errors of the mail server are tried again."""
    try:
        await mail.send(services, job.payload["attempt"], job.payload["base_url"])
    except (smtplib.SMTPRecipientsRefused, SecretMissing) as e:
        raise GiveUp(f"the mail cannot be sent: {type(e).__name__}; see config auth.smtp_url, auth.mail_from") from None
    except (OSError, smtplib.SMTPException) as e:  # its text may hold the address
        raise RetryLater(10.0 * job.attempts, f"the mail server failed: {type(e).__name__}") from None


async def prune(_: Job, services: Services) -> None:
    """Page tokens whose time has ended."""
    before = services.clock() - KEPT
    await services.store.awrite(lambda conn: auth_sessions.purge(conn, before=before))


async def _end(services: Services, attempt_id: str, code: str, message: str) -> None:
    def end(conn: Connection) -> None:
        row = auth.by_id(conn, attempt_id)
        if row is not None and row.open:
            auth.fail(conn, row, code, message, services.clock())

    try:
        await services.store.awrite(end)
    except auth.AttemptMoved:
        raise RetryLater(1, "the login changed at the same time", count=False) from None


JOBS = {
    auth.LOGIN_JOB: JobKind(login, timeout_s=LOGIN_TIMEOUT_S, on_failed=unreachable),
    auth.EXPIRE_JOB: JobKind(expire),
    mail.JOB: JobKind(send_mail, timeout_s=120),
    "auth.prune": JobKind(prune),
}
PERIODIC = {"auth.prune": lambda _config: PRUNE_S}
