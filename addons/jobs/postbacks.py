"""Postbacks in a worker: one job per conversion and postback, tried by the ladder of webhooks (contract 6.9).

At least once: a try whose result was not written when the process died is made again; `{conversion_id}` stays the same.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from addons.jobs.registry import GiveUp, Job, JobKind, RetryLater
from addons.links.postbacks import Prepared, prepare, values_of
from addons.webhooks.ladder import GONE, Ladder
from addons.webhooks.sender import Outcome, Sender
from ofapi_store.errors import SecretError
from ofapi_store.queries import postbacks
from ofapi_store.queries.postbacks import JOB, PostbackRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from addons.pipeline.services import Services
    from ofapi_store.queries.conversions import ConversionRow

PRUNE_S = 3600.0
BUSY_S = (0.5, 2.0)
SENDER = "postbacks"


@dataclass(slots=True)
class Sending:
    """What the tries of one process share. `running`: tries under way by postback."""

    sender: Sender
    running: Counter[int]


@asynccontextmanager
async def opened(services: Services) -> AsyncIterator[None]:
    """New conversions of this process enqueue postbacks in their own transaction; jobs find the connections."""

    def enqueue(conn: Connection, _account_id: str, found: Sequence[ConversionRow]) -> None:
        schedule = services.config.webhooks.retry_schedule_s
        postbacks.enqueue(conn, found, max_attempts=len(schedule), delay_s=schedule[0], now=services.clock())

    services.parts["on_conversions"] = enqueue
    sending = services.parts[SENDER] = Sending(Sender(services.config), Counter())
    try:
        yield
    finally:
        await sending.sender.close()


async def deliver(job: Job, services: Services) -> None:
    """One try. What the postback was deleted for, or no longer covers, is not sent."""
    payload = job.payload
    row = await services.store.aread(postbacks.covers, payload["postback"], payload["type"], payload["smart_link"])
    if row is None:
        return
    running = services.parts[SENDER].running
    if running[row.id] >= _share(services):
        raise RetryLater(random.uniform(*BUSY_S), "other tries of this postback are under way", count=False)  # noqa: S311 (spread)
    running[row.id] += 1
    try:
        outcome = await _send(row, payload, services)
    finally:
        running[row.id] -= 1
    if not outcome.ok:
        _later(job, outcome, services)


def _share(services: Services) -> int:
    """How many tries of one postback run at once: a receiver that hangs leaves room for the others."""
    return max(1, min(services.config.webhooks.parallel_per_host, services.config.jobs.concurrency // 4))


async def _send(row: PostbackRow, payload: dict[str, Any], services: Services) -> Outcome:
    values = values_of(payload)
    prepared: Prepared | None = None
    try:
        headers = services.secrets.decrypt_json(row.headers) if row.headers else []
        prepared = prepare(row, headers, values)
    except SecretError as e:
        outcome = Outcome(0, error_type="secret", error_message=str(e))
    except ValueError as e:
        outcome = Outcome(0, error_type="url", error_message=f"The URL cannot be used: {e}")
    else:
        sender: Sender = services.parts[SENDER].sender
        outcome = await sender.request(prepared.method, prepared.url, prepared.headers, prepared.body)
    tried = {
        "conversion_id": payload["conversion"],
        "conversion_type": payload["type"],
        "status_code": outcome.status_code,
        "succeeded": outcome.ok,
        "error_type": outcome.error_type,
        "error_message": outcome.error_message,
        "postback_url": str(prepared.url) if prepared else row.url,
    }
    await services.store.awrite(postbacks.record, row.id, tried, now=services.clock())
    return outcome


def _later(job: Job, outcome: Outcome, services: Services) -> None:
    """Raises RetryLater after the ladder's next wait, GiveUp after its last try and where the receiver says it is gone."""
    hooks = services.config.webhooks
    why = outcome.error_message or "The postback failed."
    wait_s = Ladder(tuple(hooks.retry_schedule_s), hooks.jitter).wait_s(job.attempts, outcome.retry_after_s)
    if wait_s is None or outcome.status_code == GONE:
        raise GiveUp(why)
    raise RetryLater(wait_s, why)


async def prune(_: Job, services: Services) -> None:
    """Tries older than `webhooks.retention_days` go, in short transactions."""
    before = services.clock() - timedelta(days=services.config.webhooks.retention_days)
    while await services.store.awrite(postbacks.prune, before=before):
        continue


JOBS = {JOB: JobKind(deliver), "links.postbacks_prune": JobKind(prune)}
PERIODIC = {"links.postbacks_prune": lambda _config: PRUNE_S}
