"""`ofapi webhooks`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts.cli.frame import App, CliError, emit, note, open_config, open_secrets, opened_store, plain, state, table
from scripts.cli.teams import find_team

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from addons.config import Config
    from addons.webhooks.sender import Outcome
    from ofapi_store.engine import Store
    from ofapi_store.queries.webhooks import EventRow, WebhookRow

app = App()
WebhookArg = Annotated[str, typer.Argument(help="Id of the webhook (wh_…).")]
TeamOption = Annotated[str | None, typer.Option(help="Slug or id of the team.")]
LISTEN_FOR = timedelta(seconds=30)
RENEW_S = LISTEN_FOR.total_seconds() / 3
POLL_S = 0.2
LATE_S = 2.0


def find_webhook(conn: Connection, webhook_id: str) -> WebhookRow:
    from ofapi_store.queries import webhooks

    found = webhooks.by_id(conn, webhook_id)
    if found is None:
        text = f"there is no webhook {webhook_id!r}; `ofapi webhooks list` shows them"
        raise CliError("webhook_not_found", text)
    return found


def as_json(row: WebhookRow, waiting: int) -> dict[str, Any]:
    return {
        "id": row.id,
        "team_id": row.team_id,
        "url": row.url,
        "events": row.events,
        "account_scope": row.account_scope,
        "account_ids": row.account_ids,
        "enabled": row.enabled,
        "has_signing_secret": row.secret is not None,
        "state": row.state,
        "state_reason": row.state_reason,
        "failures": row.failures,
        "paused_until": row.paused_until,
        "waiting": waiting,
        "created_at": row.created_at,
    }


@app.command("list")
def list_(team: TeamOption = None) -> None:
    """Webhooks with their state and how many deliveries wait."""
    from ofapi_store.queries import webhooks

    with opened_store() as store, store.read() as conn:
        rows = webhooks.list_for_team(conn, find_team(conn, team).id) if team else webhooks.list_all(conn)
        waiting = webhooks.waiting(conn, [row.id for row in rows])
    shown = [as_json(row, waiting.get(row.id, 0)) for row in rows]
    columns = ["id", "url", "state", "enabled", "failures", "waiting", "paused_until"]
    emit(shown, table(shown, columns, empty="no webhooks"))


@app.command("deliveries")
def deliveries(
    webhook: WebhookArg,
    failed: Annotated[bool, typer.Option("--failed", help="Only tries that failed.")] = False,
    event: Annotated[str | None, typer.Option(help="Only this event.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most rows.")] = 50,
) -> None:
    """Tries of a webhook, newest first."""
    from ofapi_store.queries import webhooks_log

    with opened_store() as store, store.read() as conn:
        row = find_webhook(conn, webhook)
        found = webhooks_log.attempts(conn, row.id, event=event, succeeded=False if failed else None, limit=limit)
    names = ("id", "delivery_uuid", "event", "account_id", "attempt", "succeeded", "status_code", "error_type")
    more = ("error_message", "duration_ms", "created_at", "redelivered_from", "payload")
    rows = [{name: getattr(one, name) for name in (*names, *more)} for one in found]
    columns = [
        "delivery_uuid",
        "event",
        "attempt",
        "succeeded",
        "status_code",
        "error_type",
        "duration_ms",
        "created_at",
    ]
    emit(rows, table(rows, columns, empty="no tries"))


@app.command("redeliver")
def redeliver(
    webhook: WebhookArg,
    delivery: Annotated[str, typer.Argument(help="The delivery's uuid, or the id of one of its tries.")],
) -> None:
    """Send one delivery again, with its first idempotency key."""
    from ofapi_store.queries import webhooks_log

    with opened_store() as store, store.write() as conn:
        row = find_webhook(conn, webhook)
        if not row.enabled or row.state != "active":
            raise CliError("webhook_stopped", f"webhook {row.id} is {row.state} and sends nothing; enable it first")
        found = webhooks_log.find(conn, row.id, delivery)
        if found is None:
            text = f"webhook {row.id} has no delivery {delivery!r}; `ofapi webhooks deliveries {row.id}` shows them"
            raise CliError("delivery_not_found", text)
        new = webhooks_log.redeliver(conn, row.id, found)
    emit({"webhook_id": row.id, "delivery_id": found.uuid, "redelivery_id": new}, f"redelivery {new} is due now")


@app.command("test")
def test(
    webhook: WebhookArg,
    event: Annotated[str | None, typer.Option(help="Event to send.  [default: the webhook's first]")] = None,
) -> None:
    """Send a sample payload to an endpoint and show its answer."""
    from addons.webhooks.catalogue import EVENTS

    config = open_config()
    box = open_secrets(config)
    with opened_store(config) as store, store.read() as conn:
        row = find_webhook(conn, webhook)
    name = event or row.events[0]
    if name not in EVENTS:
        raise CliError("bad_value", f"there is no event {name!r}; events: {', '.join(EVENTS)}", exit_code=2)
    outcome = asyncio.run(_send_sample(config, row, name, box.decrypt(row.secret) if row.secret else None))
    body: dict[str, Any] = {"webhook_id": row.id, "event": name, "ok": outcome.ok, "status_code": outcome.status_code}
    body |= {"error_type": outcome.error_type, "error_message": outcome.error_message, "response": outcome.response}
    if not outcome.ok:
        raise CliError("delivery_failed", outcome.error_message or "the endpoint refused", **body)
    emit({**body, "duration_ms": outcome.duration_ms}, f"{name}: {outcome.status_code} in {outcome.duration_ms} ms")


async def _send_sample(config: Config, row: WebhookRow, event: str, secret: str | None) -> Outcome:
    from addons.webhooks.examples import example
    from addons.webhooks.sender import Message, Sender
    from ofapi_store.types import to_json

    sample = example(event)
    key = f"evt_{secrets.token_hex(20)}"
    message = Message(event, sample.get("account_id"), key, to_json(sample["payload"]), key)
    sender = Sender(config)
    try:
        return await sender.send(row.url, secret, message, int(time.time()))
    finally:
        await sender.close()


@app.command("listen")
def listen(
    team: Annotated[str | None, typer.Option(help="Slug or id of the team.  [default: all teams]")] = None,
    event: Annotated[list[str] | None, typer.Option(help="Only this event; may be repeated.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after so many events.")] = None,
    for_s: Annotated[float | None, typer.Option("--for", min=0, help="Stop after so many seconds.")] = None,
) -> None:
    """Print events as they happen, of all teams or one.

    Until Ctrl-C; works without any webhook.
    """
    from addons.webhooks.catalogue import EVENTS

    names = list(event or EVENTS)
    if unknown := [name for name in names if name not in EVENTS]:
        raise CliError("bad_value", f"there is no event {unknown[0]!r}; events: {', '.join(EVENTS)}", exit_code=2)
    with opened_store() as store:
        with store.read() as conn:
            team_id = find_team(conn, team).id if team else None
            slugs = _slugs(conn, team_id)
        listened = ", ".join(sorted(slugs.values())) or "no team yet"
        note(f"listening to {listened if team_id else f'all teams ({listened})'}; Ctrl-C ends")
        seen = _follow(store, team_id, names, count, for_s)
    if state.json:
        emit(seen)


def _slugs(conn: Connection, team_id: str | None) -> dict[str, str]:
    """Slugs by id, of one team or of all."""
    from ofapi_store.queries import teams

    return {team.id: team.slug for team in teams.list_all(conn) if team_id in (None, team.id)}


def _follow(
    store: Store, team_id: str | None, names: list[str], count: int | None, for_s: float | None
) -> list[dict[str, Any]]:
    """What was printed; with `--json` it is collected instead."""
    from ofapi_store.queries import webhooks

    started = renewed = time.monotonic()
    seen: list[dict[str, Any]] = []
    left = count
    listeners: dict[str, str] = {}
    late: dict[int, float] = {}  # ids that were read, by when; one below them may be committed after them
    with store.write() as conn:
        after = webhooks.newest_event(conn, team_id)
        slugs = _listen_on(conn, team_id, names, listeners)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            while left != 0 and (for_s is None or time.monotonic() - started < for_s):
                if time.monotonic() - renewed > RENEW_S:
                    renewed = time.monotonic()
                    with store.write() as conn:
                        slugs = _listen_on(conn, team_id, names, listeners)
                with store.read() as conn:
                    rows = webhooks.events_after(conn, team_id, after, but=late)
                wanted = [row for row in rows if row.event in names][:left]
                seen += [shown for row in wanted if (shown := _show(row, slugs)) and state.json]
                left = None if left is None else left - len(wanted)
                now = time.monotonic()
                late |= {row.id: now for row in rows}
                after = max((id_ for id_, at in late.items() if now - at > LATE_S), default=after)
                late = {id_: at for id_, at in late.items() if id_ > after}
                if not rows:
                    time.sleep(POLL_S)
    finally:
        with store.write() as conn:
            for listener in listeners.values():
                webhooks.stop_listening(conn, listener, now=_now())
    return seen


def _listen_on(conn: Connection, team_id: str | None, names: list[str], listeners: dict[str, str]) -> dict[str, str]:
    """Renews the listeners (by team) and adds those of teams that are new; gives the slugs of what is followed."""
    from ofapi_store.queries import webhooks

    slugs = _slugs(conn, team_id)
    for team in slugs:
        if team in listeners:
            webhooks.go_on(conn, listeners[team], until=_now() + LISTEN_FOR)
        else:
            listeners[team] = webhooks.listen(conn, team, names, until=_now() + LISTEN_FOR, now=_now())
    return slugs


def _show(row: EventRow, slugs: dict[str, str]) -> dict[str, Any]:
    team = slugs.get(row.team_id, row.team_id)
    body: dict[str, Any] = {"id": row.key, "event": row.event, "team": team, "account_id": row.account_id}
    body["created_at"] = row.created_at
    if not state.json:
        payload = json.dumps(row.payload, default=plain, ensure_ascii=False)
        sys.stdout.write(f"{plain(row.created_at)}  {row.event}  {team}  {row.account_id or '–'}  {payload}\n")
        sys.stdout.flush()
    return {**body, "payload": row.payload}


def _now() -> datetime:
    return datetime.now(UTC)
