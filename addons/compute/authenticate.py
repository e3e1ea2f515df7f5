"""`/authenticate…`: logging accounts in (contract 9). All answers are bare; upstream is asked by the job alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addons.compute.api import Answer, Call, Handler
from addons.logins import attempts as shapes
from addons.logins import given, mail
from addons.logins.attempts import Attempts
from addons.pipeline.auth import unknown_account
from addons.pipeline.errors import Conflict, Forbidden, NotFound
from ofapi_store.errors import SecretError
from ofapi_store.queries import accounts, auth, auth_sessions

if TYPE_CHECKING:
    from addons.logins.authenticator import Secret
    from ofapi_store.queries.accounts import AccountRow
    from ofapi_store.queries.auth import AttemptRow

STARTED = "The login has been started. Poll polling_url every few seconds to follow it."


async def start(call: Call) -> Answer:
    """`{attempt_id, message, polling_url[, mobile_auth_session_deeplink]}`."""
    if call.key.client_session is not None:
        return await _start_of_session(call, call.key.client_session)
    if call.key.account_ids is not None:
        raise Forbidden("This API key is restricted to some accounts, so it cannot connect others.")
    wanted = given.start(call.body, call.services.config)
    if wanted.secret is not None:
        row = await Attempts(call.services).start(call.team.id, wanted)
        return Answer(_started(call, row.id), bare=True)
    row, token = await Attempts(call.services).start_mobile(call.team.id, wanted)
    link = page_url(call, token)
    text = "Send the link to the creator, who logs in there; poll polling_url to follow it."
    shown = {**_started(call, row.id), "message": text, "mobile_auth_session_deeplink": link}
    return Answer(shown, bare=True)


async def _start_of_session(call: Call, session_id: str) -> Answer:
    """The one login of a client session: as its page would start it, with the session's name and proxy."""
    session = await call.services.store.aread(auth_sessions.by_id, session_id)
    if session is None:
        raise NotFound("This client session is over. POST /client-sessions makes another.")
    row = await Attempts(call.services).fill(session, given.of_session(call.body, call.services.config))
    return Answer(_started(call, row.id), bare=True)


async def poll(call: Call) -> Answer:
    """Where the login stands (contract 9.2)."""
    row = await _attempt(call)
    store = call.services.store
    account = await store.aread(accounts.by_id, row.account_id)
    data = None
    if row.state == "authenticated":
        data = (await store.aread(accounts.user_data, [row.account_id])).get(row.account_id)
    shown = shapes.shown(row, account, data)
    if row.method == "mobile_app" and row.open and row.session_id is not None:
        session = await store.aread(auth_sessions.by_id, row.session_id)
        if session is not None and session.token is not None:
            shown["mobile_auth_session_deeplink"] = page_url(call, call.services.secrets.decrypt(session.token))
    return Answer(shown, bare=True, headers=[("Cache-Control", "no-store")])


async def submit(call: Call) -> Answer:
    """A code, or the word that the selfie check is done."""
    row = await _attempt(call)
    code = given.answer(call.body)
    await Attempts(call.services).submit(row.id, code)
    return Answer({"message": "OTP submitted successfully"}, bare=True)


async def send_email(call: Call) -> Answer:
    """Mails the creator a link to the hosted page, where the code is entered or the selfie reported."""
    row = await _attempt(call)
    if row.state not in auth.WAITING:
        text = f"There is nothing that the creator could do: the state of this login is {row.state}."
        raise Conflict(text, code="not_waiting")
    await mail.enqueue(call.services, row, call.base_url)
    return Answer({"success": True, "message": "The creator gets a mail with a link to finish the login."}, bare=True)


async def reauthenticate(call: Call) -> Answer:
    """A new login with the kept credentials; without them the last session is looked at once more."""
    account = await _account(call)
    store = call.services.store
    kept = await store.aread(auth.credentials, account.id)
    try:
        secret = shapes.secret_from(call.services, account, kept)
    except (SecretError, ValueError, TypeError):
        secret = None
    if secret is None:
        text = (
            "No credentials are kept for this account. Send new ones with "
            f"PUT {call.prefix}/authenticate/{account.id}/credentials."
        )
        raise Conflict(text, code="no_credentials")
    return await _renewed(call, account, secret)


async def credentials(call: Call) -> Answer:
    """New credentials of an account, with which it is logged in at once."""
    account = await _account(call)
    return await _renewed(call, account, given.credentials(call.body))


async def _renewed(call: Call, account: AccountRow, secret: Secret) -> Answer:
    row = await Attempts(call.services).renew(account, secret)
    directory = call.services.parts.get("directory")
    if directory is not None:
        directory.forget()
    shown = {"success": True, "message": "The login has been started.", "polling_url": polling_url(call, row.id)}
    return Answer(shown, bare=True)


async def _attempt(call: Call) -> AttemptRow:
    """Raises NotFound for unknown ones, other teams', and what the key or the client session may not see."""
    store = call.services.store
    row = await store.aread(auth.for_team, call.team.id, call.params["attempt_id"])
    allowed = call.key.account_ids
    if row is not None and call.key.client_session is not None:
        session = await store.aread(auth_sessions.by_id, call.key.client_session)
        allowed = frozenset({row.account_id} if session is not None and session.attempt_id == row.id else ())
    if row is None or (allowed is not None and row.account_id not in allowed):
        raise NotFound("This login attempt does not exist. POST /authenticate starts one.")
    return row


async def _account(call: Call) -> AccountRow:
    account_id, allowed = call.params["account_id"], call.key.account_ids
    account = await call.services.store.aread(accounts.for_team, call.team.id, account_id)
    if account is None or (allowed is not None and account.id not in allowed):
        raise unknown_account()
    return account


def polling_url(call: Call, attempt_id: str) -> str:
    return f"{call.base_url}{call.prefix}/authenticate/{attempt_id}"


def page_url(call: Call, token: str) -> str:
    """The hosted page that this token opens."""
    return f"{call.base_url}{call.services.config.mounts.connect}/{token}"


def _started(call: Call, attempt_id: str) -> dict[str, str]:
    return {"attempt_id": attempt_id, "message": STARTED, "polling_url": polling_url(call, attempt_id)}


HANDLERS: dict[str, Handler] = {
    "authenticate.start": start,
    "authenticate.poll": poll,
    "authenticate.submit": submit,
    "authenticate.send_email": send_email,
    "authenticate.reauthenticate": reauthenticate,
    "authenticate.credentials": credentials,
}
