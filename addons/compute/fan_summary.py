"""`/{account}/fans/{fan_id}/summary`: what the store itself knows about a fan (contract 1.3). Bare bodies.

No language model reads the messages here: the fields that only reading could fill are null, and say so by being null.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from addons.compute.api import Answer, Call, Handler
from addons.pipeline.errors import NotFound, ValidationFailed
from ofapi_store.queries import fans, people
from ofapi_store.queries.fans import FanRow
from ofapi_store.queries.people import Purchases

BY_READING = (
    "preferred_name",
    "hobbies",
    "interests",
    "kinks",
    "family_pets",
    "travel_plans",
    "themes",
    "requests",
    "content_preferences",
    "content_dislikes",
    "dos_and_donts",
    "other_notes",
)


async def get(call: Call) -> Answer:
    """`{status, summary_data, custom_fields, analyzed_message_count, last_analyzed_at, last_buy_date, error_message}`."""
    fan = await _fan(call)
    store = call.services.store
    bought = await store.aread(people.purchases, fan.account_id, fan.fan_id)
    data = {
        "status": "completed",
        "summary_data": {"name": fan.name, "spend_cadence": _cadence(bought), **dict.fromkeys(BY_READING)},
        "custom_fields": [],
        "analyzed_message_count": await store.aread(people.message_count, fan.account_id, fan.fan_id),
        "last_analyzed_at": call.now(),
        "last_buy_date": bought.last,
        "error_message": None,
    }
    return Answer(data, bare=True)


async def generate(call: Call) -> Answer:
    """Nothing is to be generated: the summary is made from the store at each GET."""
    await _fan(call)
    data: dict[str, Any] = {"status": "completed", "message": "The summary is up to date. GET it with the same path."}
    return Answer(data, bare=True)


async def _fan(call: Call) -> FanRow:
    """Raises ValidationFailed for what is no id, NotFound for a fan that was never seen."""
    text = call.params["fan_id"]
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise ValidationFailed.of("fan_id", "The fan id field must be an integer.")
    assert call.account is not None
    found = await call.services.store.aread(fans.by_ids, call.account.id, [int(text)])
    if int(text) not in found:
        raise NotFound("This fan has not been seen yet. List the fans of the account, or sync it, then try again.")
    return found[int(text)]


def _cadence(bought: Purchases) -> str | None:
    """How often the fan pays, in words; None before the second payment."""
    if bought.count < 2 or bought.first is None or bought.last is None:
        return None
    every = (bought.last - bought.first) / (bought.count - 1)
    if every < timedelta(days=1):
        return f"{bought.count} payments, more than one a day"
    return f"{bought.count} payments, one every {round(every / timedelta(days=1))} days"


HANDLERS: dict[str, Handler] = {"fan_summary.get": get, "fan_summary.generate": generate}
