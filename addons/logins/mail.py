"""Mails to creators: a link to the hosted page, where a login that waits for them is finished (contract 9.3)."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from email.message import EmailMessage
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from addons.logins.attempts import Attempts
from addons.logins.authenticator import Secret
from addons.pipeline.errors import ApiError, Conflict
from ofapi_store import outbox
from ofapi_store.queries import auth

if TYPE_CHECKING:
    from addons.pipeline.services import Services
    from ofapi_store.queries.auth import AttemptRow

JOB = "auth.mail"
TIMEOUT_S = 30.0
SUBJECT = "Finish connecting your OnlyFans account"
TEXT = """Hello,

you are connecting your OnlyFans account, and OnlyFans asks you to confirm that it is you.
Open this page, and follow the steps there:

{link}

The link works once, and for a short time. If you did not ask for this, do nothing.
"""


async def enqueue(services: Services, row: AttemptRow, base_url: str) -> None:
    """Queue the mail of an attempt. Raises ApiError 501 without a mail server, Conflict without an address."""
    if services.config.auth.smtp_url is None:
        text = "This gateway has no mail server (config auth.smtp_url). Send the creator a mobile_app link instead."
        raise ApiError(501, "not_available", text)
    if _address(services, row) is None:
        raise Conflict("This login has no e-mail address.", code="no_email")
    payload = {"attempt": row.id, "base_url": base_url}
    await services.store.awrite(lambda conn: outbox.enqueue(conn, JOB, payload, key=row.id, now=services.clock()))


async def send(services: Services, attempt_id: str, base_url: str) -> None:
    """Make a link and mail it, while the attempt waits. Raises OSError, SMTPException, SecretMissing."""
    row = await services.store.aread(auth.by_id, attempt_id)
    if row is None or row.state not in auth.WAITING:
        return
    address, reference = _address(services, row), services.config.auth.smtp_url
    if address is None or reference is None:
        return
    token = await Attempts(services).page_of(row)
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = SUBJECT, services.config.auth.mail_from, address
    mail.set_content(TEXT.format(link=f"{base_url}{services.config.mounts.connect}/{token}"))
    await asyncio.to_thread(deliver, reference.resolve(), mail)


def deliver(url: str, mail: EmailMessage) -> None:
    """Hand the mail to the server of an `smtp[s]://` URL; STARTTLS wherever the server has it."""
    parts = urlsplit(url)
    tls, host = ssl.create_default_context(), parts.hostname or "localhost"
    if parts.scheme == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, parts.port or 465, timeout=TIMEOUT_S, context=tls)
    else:
        server = smtplib.SMTP(host, parts.port or 25, timeout=TIMEOUT_S)
    with server:
        server.ehlo()
        if parts.scheme == "smtp" and server.has_extn("starttls"):
            server.starttls(context=tls)
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
        server.send_message(mail)


def _address(services: Services, row: AttemptRow) -> str | None:
    if row.secret is None:
        return None
    return Secret.of(services.secrets.decrypt_json(row.secret)).email
