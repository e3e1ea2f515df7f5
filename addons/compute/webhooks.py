"""Webhooks of the team: settings, catalogue, log, redelivery (contract 7). Nothing here calls an endpoint."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from addons.compute.api import Answer, Call, Handler, NextPage
from addons.net import url_check
from addons.pipeline.dates import instant
from addons.pipeline.errors import Conflict, Forbidden, NotFound, ValidationFailed
from addons.webhooks.catalogue import EVENTS
from addons.webhooks.examples import example
from ofapi_store.queries import accounts, webhooks, webhooks_log
from ofapi_store.queries.webhooks import WebhookRow

LOG_DAYS = 7
EVENT_PARAMETER = "webhookEventType"


def shown(row: WebhookRow) -> dict[str, Any]:
    """Contract 7.1, and beside it scope and state; never the secret."""
    return {
        "id": row.id,
        "url": row.url,
        "events": row.events,
        "enabled": row.enabled,
        "has_signing_secret": row.secret is not None,
        "created_at": row.created_at,
        "account_scope": row.account_scope,
        "account_ids": row.account_ids,
        "state": row.state if row.enabled or row.state == "disabled" else "disabled",
        "state_reason": row.state_reason,
        "paused_until": row.paused_until,
    }


def _visible(call: Call, row: WebhookRow) -> bool:
    """A key that is restricted to accounts sees the webhooks of these accounts only."""
    allowed = call.key.account_ids
    return allowed is None or (row.account_scope == "inclusive" and set(row.account_ids) <= allowed)


async def _mine(call: Call) -> WebhookRow:
    webhook_id = call.params["webhook_id"]
    row = await call.services.store.aread(webhooks.for_team, call.team.id, webhook_id)
    if row is None or not _visible(call, row):
        raise NotFound("There is no such webhook in this team. GET /webhooks lists them.")
    return row


async def list_webhooks(call: Call) -> Answer:
    """Oldest first."""
    rows = await call.services.store.aread_slow(webhooks.list_for_team, call.team.id)
    return Answer([shown(row) for row in rows if _visible(call, row)])


async def get(call: Call) -> Answer:
    return Answer(shown(await _mine(call)))


async def create(call: Call) -> Answer:
    """The secret is encrypted and never shown again."""
    settings = await _settings(call)
    secret = call.body.get("signing_secret")
    row = await call.services.store.awrite(
        webhooks.create,
        call.team.id,
        **settings,
        secret=call.services.secrets.encrypt(secret) if secret else None,
        now=call.now(),
    )
    return Answer(shown(row))


async def update(call: Call) -> Answer:
    """Replaces the settings; `enabled: true` also ends a pause."""
    row = await _mine(call)
    settings = await _settings(call)
    changed = await call.services.store.awrite(
        webhooks.change, call.team.id, row.id, **settings, enabled=call.body.get("enabled"), now=call.now()
    )
    if changed is None:
        raise NotFound("The webhook was deleted meanwhile.")
    return Answer(shown(changed))


async def delete(call: Call) -> Answer:
    """With its deliveries and their log."""
    row = await _mine(call)
    await call.services.store.awrite(webhooks.remove, call.team.id, row.id)
    return Answer({"success": True, "message": "The webhook was deleted."})


async def events(_: Call) -> Answer:
    """`[{value, description}]`."""
    return Answer([{"value": value, "description": text} for value, text in EVENTS.items()])


async def example_payload(call: Call) -> Answer:
    """A static, valid body of one event; 404 for what is no event."""
    event = call.params[EVENT_PARAMETER]
    if event not in EVENTS:
        raise NotFound(f"There is no event {event[:64]!r}. GET /webhooks/events lists them.")
    return Answer(example(event))


async def deliveries(call: Call) -> Answer:
    """Every try of the last seven days, newest first."""
    row = await _mine(call)
    query = call.query
    if query.get("event") and (wrong := _event_problems([query["event"]])):
        raise ValidationFailed({"event": wrong})
    oldest = call.now() - timedelta(days=LOG_DAYS)
    limit, offset = query["limit"], query["offset"]
    found = await call.services.store.aread_slow(
        webhooks_log.attempts,
        row.id,
        start=max(_instant(call, "date_start") or oldest, oldest),
        end=_instant(call, "date_end"),
        event=query.get("event"),
        succeeded=query.get("succeeded"),
        account_ids=call.key.account_ids,
        limit=limit + 1,
        offset=offset,
    )
    page = NextPage({"limit": limit, "offset": offset + limit} if len(found) > limit else None)
    return Answer([_attempt(one, row.url) for one in found[:limit]], page=page)


def _instant(call: Call, name: str) -> datetime | None:
    """A day stands for its first moment, as the end of a range for its last."""
    text = call.query.get(name)
    return None if text is None else instant(text, call.now(), end=name == "date_end")


def _attempt(row: webhooks_log.AttemptRow, url: str) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "delivery_uuid": row.delivery_uuid,
        "event": row.event,
        "attempt": row.attempt,
        "succeeded": row.succeeded,
        "status_code": row.status_code,
        "error_type": row.error_type,
        "error_message": row.error_message,
        "response": row.response,
        "duration_ms": row.duration_ms,
        "idempotency_key": row.key,
        "account_id": row.account_id,
        "payload": row.payload,
        "url": url,
        "redelivered_from": row.redelivered_from,
        "created_at": row.created_at,
    }


async def redeliver(call: Call) -> Answer:
    """Sends one delivery again; `delivery_id` is its uuid or the id of one of its tries. 409 while nothing is sent."""
    row = await _mine(call)
    if not row.enabled or row.state != "active":
        state = "paused" if row.enabled and row.state == "paused" else "disabled"
        raise Conflict(f"The webhook is {state}. Enable it (PUT /webhooks/{row.id}, enabled: true), then redeliver.")
    store = call.services.store
    found = await store.aread(webhooks_log.find, row.id, call.params["delivery_id"])
    allowed = call.key.account_ids
    if found is None or (allowed is not None and found.account_id not in allowed):
        raise NotFound(f"The webhook has no such delivery. GET /webhooks/{row.id}/deliveries lists them.")
    new = await store.awrite(webhooks_log.redeliver, row.id, found, now=call.now())
    return Answer({"webhook_id": row.id, "delivery_id": call.params["delivery_id"], "redelivery_id": new})


# --- checks ---------------------------------------------------------------------------------------------------------


async def _settings(call: Call) -> dict[str, Any]:
    """Checked settings of the body. Raises ValidationFailed naming every wrong field, Forbidden."""
    body, wrong = call.body, {}
    url, scope = body["endpoint_url"], body["account_scope"]
    if problem := _url_problem(call, url):
        wrong["endpoint_url"] = [problem]
    wanted = list(dict.fromkeys(body["events"]))
    if problems := _event_problems(wanted):
        wrong["events"] = problems
    ids = [] if scope == "global" else list(dict.fromkeys(body.get("account_ids") or []))
    if problem := await _accounts_problem(call, scope, ids):
        wrong["account_ids"] = [problem]
    if wrong:
        raise ValidationFailed(wrong)
    if call.key.account_ids is not None and scope != "inclusive":
        raise Forbidden(
            "This API key is restricted to accounts: it may only make webhooks with account_scope inclusive."
        )
    return {"url": url, "events": wanted, "account_scope": scope, "account_ids": ids}


def _url_problem(call: Call, url: str) -> str | None:
    problem = url_check.problem(url, call.services.config.network)
    return None if problem is None else f"The endpoint_url field {problem}"


def _event_problems(wanted: Iterable[str]) -> list[str]:
    names = list(wanted)
    if not names:
        return ["The events field must have at least 1 items."]
    unknown = [name for name in names if name not in EVENTS]
    if any(name.startswith("fansly.") for name in unknown):
        return ["The events field must name OnlyFans events; fansly.* events are not available here."]
    return [f"The selected event {name[:64]!r} is unknown. GET /webhooks/events lists them." for name in unknown[:5]]


async def _accounts_problem(call: Call, scope: str, ids: list[str]) -> str | None:
    if scope == "global":
        return None
    if not ids:
        return "The account_ids field is required unless account scope is global."
    rows = await call.services.store.aread_slow(
        accounts.list_for_team, call.team.id, only=call.key.account_ids if scope == "inclusive" else None
    )
    unknown = sorted(set(ids) - {row.id for row in rows})
    if unknown:
        return f"The selected account {unknown[0][:64]!r} is not a connected account of this team."
    return None


HANDLERS: dict[str, Handler] = {
    "webhooks.list": list_webhooks,
    "webhooks.create": create,
    "webhooks.get": get,
    "webhooks.update": update,
    "webhooks.delete": delete,
    "webhooks.events": events,
    "webhooks.example_payload": example_payload,
    "webhooks.deliveries": deliveries,
    "webhooks.redeliver": redeliver,
}
