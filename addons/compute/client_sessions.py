"""`POST /client-sessions` (contract 9.6): a token that opens the hosted page for one login."""

from __future__ import annotations

from datetime import timedelta

from addons.compute.api import Answer, Call, Handler
from addons.compute.authenticate import page_url
from addons.logins import given
from addons.pipeline.errors import Forbidden, ValidationFailed
from ofapi_store.queries import auth_sessions


async def create(call: Call) -> Answer:
    """`{token, display_name, client_reference_id, connect_url, expires_at}`; the token is shown this once."""
    if call.key.account_ids is not None:
        raise Forbidden("This API key is restricted to some accounts, so it cannot connect others.")
    services, body = call.services, call.body
    errors: given.Errors = {}
    proxy = given.read_proxy(body, services.config, errors, country_field="proxy_country")
    name = str(body["display_name"]).strip()
    for field in ("display_name", "client_reference_id"):
        given.check_name(body, field, errors)
    if not name:
        errors["display_name"] = ["The display name field is required."]
    if errors:
        raise ValidationFailed(errors)
    now = call.now()
    row, token = await services.store.awrite(
        lambda conn: auth_sessions.create(
            conn,
            call.team.id,
            display_name=name,
            client_reference_id=body.get("client_reference_id"),
            proxy_url=services.secrets.encrypt(proxy) if proxy else None,
            now=now,
            expires_at=now + timedelta(seconds=services.config.auth.client_session_ttl_s),
        )
    )
    shown = {
        "token": token,
        "display_name": row.display_name,
        "client_reference_id": row.client_reference_id,
        "connect_url": page_url(call, token),
        "expires_at": row.expires_at,
    }
    return Answer(shown)


HANDLERS: dict[str, Handler] = {"client_sessions.create": create}
