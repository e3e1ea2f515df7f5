"""Revenue of links and conversions of smart links, worked out for the fans about whom something new is known."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from addons.jobs.registry import GiveUp, Job, JobKind
from addons.links import observed
from addons.links.recompute import Recomputed, recompute
from ofapi_store import outbox
from ofapi_store.queries import accounts, link_revenue, sync

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from addons.pipeline.services import Services

FANS_AT_ONCE = 50
"""One transaction's worth: on SQLite other writes wait that long (some 20 ms)."""
WAIT_S = 45.0
SYNC = "sync.account"
NEEDED = ("transactions", "chargebacks", "tracking_links", "trial_links", "claimers")


async def revenue(job: Job, services: Services) -> None:
    """`{"account": id}`: all marked fans of the account."""
    account = str(job.payload["account"])
    if await services.store.aread(accounts.by_id, account) is None:
        raise GiveUp(f"there is no account {account}")
    fans = 0
    while True:
        done = await step(services, account)
        fans += done.fans
        await job.report({"fans": fans, "left": done.left})
        if not done.left:
            return


async def step(services: Services, account_id: str) -> Recomputed:
    """One transaction of it."""
    return await services.store.awrite(_step, account_id, services)


def _step(conn: Connection, account_id: str, services: Services) -> Recomputed:
    window = timedelta(seconds=services.config.links.hold_window_s)
    now = services.clock()
    done = recompute(conn, account_id, limit=FANS_AT_ONCE, window=window, now=now)
    after = services.parts.get("on_conversions")
    if after is not None and done.conversions:
        after(conn, account_id, done.conversions)
    return done


async def wait_for_revenue(services: Services, account_id: str, *, wait_s: float = WAIT_S) -> None:
    """`synchronous=true`: returns when the revenue of the account's links is as new as what is known of it.

    Where upstream was never walked for it, or not since a link has come, a sync is started and waited for, at most `wait_s`.
    """
    until = time.monotonic() + wait_s
    if not await services.store.aread(_walked, account_id):
        await _sync(services, account_id, until)
    await _work_out(services, account_id, until)
    if await services.store.aread_slow(_waits, account_id):
        await _sync(services, account_id, until)
        await _work_out(services, account_id, until)


async def _work_out(services: Services, account_id: str, until: float) -> None:
    while (await step(services, account_id)).left and time.monotonic() < until:
        pass


async def _sync(services: Services, account_id: str, until: float) -> None:
    """Starts a walk of what revenue needs, and waits for its end or until then."""
    await services.store.awrite(_start_sync, account_id, services)
    while time.monotonic() < until and await services.store.aread(outbox.live, SYNC, account_id) is not None:  # noqa: ASYNC110 (the worker is another process)
        await asyncio.sleep(0.2)


def _walked(conn: Connection, account_id: str) -> bool:
    done = {cursor.stream for cursor in sync.list_for_account(conn, account_id) if cursor.completed_at is not None}
    return done.issuperset(NEEDED)


def _waits(conn: Connection, account_id: str) -> bool:
    """Whether the claimers of a link are not known yet."""
    return not all(known for _, known in link_revenue.uncalculated(conn, account_id))


def _start_sync(conn: Connection, account_id: str, services: Services) -> None:
    payload: dict[str, Any] = {"account": account_id, "only": list(NEEDED)}
    outbox.enqueue(conn, SYNC, payload, key=account_id, rerun=True, now=services.clock())


async def retention(_: Job, services: Services) -> None:
    """Forgets what is older than config says; totals stay."""
    from ofapi_store.queries import clicks

    now = services.clock()
    before = now - timedelta(days=services.config.links.retention_days)
    while await services.store.awrite(clicks.prune, before=before, limit=5000):
        pass
    window = timedelta(seconds=services.config.links.duplicate_window_s)
    await services.store.awrite(clicks.prune_visitors, before=now - 2 * window)


JOBS = {observed.JOB: JobKind(revenue), "links.retention": JobKind(retention)}
PERIODIC = {"links.retention": lambda _config: 3600.0}
