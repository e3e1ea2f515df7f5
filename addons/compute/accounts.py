"""`/whoami`, `/accounts`, `DELETE /accounts/{account}` (contract 1.3, 9.5). All bare, none asks upstream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from addons.compute.api import Answer, Call, Handler
from addons.pipeline.auth import unknown_account
from ofapi_store.queries import accounts

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from addons.pipeline.sessions import OnAccountState

CONNECTED = ("authenticated",)


async def whoami(call: Call) -> Answer:
    """`{api_key: {name, created_at, last_used_at}, team: {name, slug}}`."""
    key = {"name": call.key.name, "created_at": call.key.created_at, "last_used_at": call.key.last_used_at}
    return Answer({"api_key": key, "team": {"name": call.team.name, "slug": call.team.slug}}, bare=True)


async def list_accounts(call: Call) -> Answer:
    """A bare array of the team's accounts, those of a restricted key only; filters by OnlyFans id, name and e-mail."""
    store = call.services.store
    rows = await store.aread_slow(
        accounts.list_for_team,
        call.team.id,
        onlyfans_id=call.query.get("onlyfans_id"),
        username=call.query.get("onlyfans_username"),
        email=call.query.get("onlyfans_email"),
        only=call.key.account_ids,
    )
    data = await store.aread_slow(accounts.user_data, [row.id for row in rows])
    return Answer([_shown(row, data.get(row.id)) for row in rows], bare=True)


def _shown(row: accounts.AccountRow, user_data: Mapping[str, Any] | None) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": row.id,
        "display_name": row.display_name,
        "client_reference_id": row.client_reference_id,
        "onlyfans_id": row.onlyfans_id,
        "onlyfans_username": row.username,
        "onlyfans_email": row.email,
        "is_authenticated": row.state in CONNECTED,
        "authentication_progress": row.authentication_progress or row.state,
        "state": row.state,
    }
    if user_data is not None:
        shown["onlyfans_user_data"] = user_data
    return shown


async def disconnect(call: Call) -> Answer:
    """End an account and wipe its login; what was stored of it stays. 404 for unknown and other teams' accounts."""
    account_id = call.account.id if call.account else call.params.get("account") or call.params.get("id", "")
    allowed = call.key.account_ids
    if allowed is not None and account_id not in allowed:
        raise unknown_account()
    hook = call.services.parts.get("on_account_state")
    gone = await call.services.store.awrite(_disconnect, call.team.id, account_id, call.now(), hook)
    if not gone:
        raise unknown_account()
    directory = call.services.parts.get("directory")
    if directory is not None:
        directory.forget()
    events = call.services.parts.get("events")
    if events is not None and call.account is not None:
        await events.session_changed(call.account, "disconnected")
    return Answer({"success": True, "message": "The account was disconnected."}, bare=True)


def _disconnect(conn: Connection, team_id: str, account_id: str, now: datetime, hook: OnAccountState | None) -> bool:
    gone = accounts.disconnect(conn, team_id, account_id, now=now)
    if gone and hook is not None:
        hook(conn, account_id, "disconnected")
    return gone


HANDLERS: dict[str, Handler] = {
    "accounts.whoami": whoami,
    "accounts.list": list_accounts,
    "accounts.disconnect": disconnect,
}
