"""`GET /usage/credits`: what the team spent its credits on, free of charge (contract 3)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from addons.compute.api import Answer, Call, Handler
from addons.pipeline.dates import instant
from addons.pipeline.errors import Forbidden, NotFound, ValidationFailed
from ofapi_store.queries import credits as ledger

MAX_DAYS = 366
DEFAULT_DAYS = 30


async def credits(call: Call) -> Answer:
    """`{from, to, group_by, includes_today, totals, results}`; days are UTC, `to` is included. Raises ApiError."""
    first, last = _period(call)
    group_by = call.query.get("group_by", "day")
    await call.booked()
    rows = await call.services.store.aread_slow(
        ledger.usage, call.team.id, first, last + timedelta(days=1), group_by=group_by, account_id=_account(call)
    )
    name = "account_id" if group_by == "account" else group_by
    results = [
        {name: row.group, "credit_type": row.credit_type, "credits": row.credits, "requests": row.requests}
        for row in rows
    ]
    data = {
        "from": first.date().isoformat(),
        "to": last.date().isoformat(),
        "group_by": group_by,
        "includes_today": last.date() == call.now().date(),
        "totals": {"credits": sum(r.credits for r in rows), "requests": sum(r.requests for r in rows)},
        "results": results,
    }
    return Answer(data)


def _period(call: Call) -> tuple[datetime, datetime]:
    """First and last day, as their first moments."""
    now = call.now()
    today = _day(now)
    newest = today if call.query.get("include_today", True) else today - timedelta(days=1)
    last = min(_day(instant(call.query["to"], now)), newest) if call.query.get("to") else newest
    first = (
        _day(instant(call.query["from"], now)) if call.query.get("from") else last - timedelta(days=DEFAULT_DAYS - 1)
    )
    if first > last:
        raise ValidationFailed.of("from", "The from field must be a date before or equal to to.")
    if (last - first).days >= MAX_DAYS:
        raise ValidationFailed.of("to", f"The period must not be longer than {MAX_DAYS} days.")
    return first, last


def _day(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def _account(call: Call) -> str | None:
    """The account that is asked for. A key that is restricted to accounts sees the usage of those only."""
    wanted: Any = call.query.get("account_id")
    allowed = call.key.account_ids
    if allowed is not None and wanted is None:
        raise Forbidden("This key is restricted to some accounts. Name one of them with account_id.")
    if allowed is not None and wanted not in allowed:
        raise NotFound("This account does not exist.", code="account_not_found")
    return wanted if wanted is None else str(wanted)


HANDLERS: dict[str, Handler] = {"usage.credits": credits}
