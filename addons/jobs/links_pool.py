"""Asks upstream for the real links of a smart link's pool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import structlog

from addons.jobs.registry import GiveUp, Job, JobKind, RetryLater
from addons.jobs.upstream_client import Refused, SessionExpired, Unavailable, UpstreamClient
from addons.links.pool import JOB
from ofapi_store import outbox
from ofapi_store.coerce import to_int, to_str
from ofapi_store.errors import BadValue
from ofapi_store.queries import links, pools, smart_links
from ofapi_store.queries.pools import PoolRow
from ofapi_store.queries.smart_links import SmartRow

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from addons.pipeline.services import Services

log = structlog.get_logger(__name__)
LISTED = 100
RELOGIN_S = 300.0
AGAIN_S = 3600.0


async def make(job: Job, services: Services) -> None:
    """`{"smart_link": id}`: makes every pool link that is still to be made; one after the other, safe to repeat."""
    store = services.store
    smart = await store.aread(smart_links.get, str(job.payload["smart_link"]))
    if smart is None or smart.state != "active":
        return
    try:
        client = await services.parts["upstream"].of(smart.account_id)
        await _make_all(services, client, smart, job)
    except LookupError as e:
        await store.awrite(smart_links.note_problem, smart.id, str(e))
        raise GiveUp(str(e)) from e
    except Refused as e:
        await store.awrite(smart_links.note_problem, smart.id, str(e))
        raise GiveUp(str(e)) from e
    except SessionExpired as e:
        await store.awrite(smart_links.note_problem, smart.id, str(e))
        raise RetryLater(RELOGIN_S, str(e), count=False) from e  # goes on by itself once the account is connected again
    except Unavailable as e:
        await store.awrite(smart_links.note_problem, smart.id, str(e))
        raise RetryLater(e.after_s, str(e)) from e
    await store.awrite(smart_links.note_problem, smart.id, None)


async def _make_all(services: Services, client: UpstreamClient, smart: SmartRow, job: Job) -> None:
    rows = [r for r in await services.store.aread(pools.of_smart, smart.id) if r.state == "making"]
    known: Mapping[str, dict[str, Any]] = {}
    if any(row.asked_at is not None for row in rows):
        known = await _listed(client, smart)
    for n, row in enumerate(rows, 1):
        found = known.get(row.name)
        if found is None:
            await services.store.awrite(pools.asked, row.id, now=services.clock())
            found = await _ask(client, smart, row)
        await services.store.awrite(_keep, smart, row, found, services.clock())
        await job.report({"made": n, "of": len(rows)})


async def _listed(client: UpstreamClient, smart: SmartRow) -> dict[str, dict[str, Any]]:
    """The newest links upstream by name: a try that was cut short may have made one."""
    trial = smart.link_type == "free_trial"
    reply = await client.call("trial-links-list" if trial else "tracking-links-list", query={"limit": LISTED})
    data = reply.json()
    rows = data.get("list", []) if isinstance(data, dict) else data
    name = "trialLinkName" if trial else "campaignName"
    return {str(row.get(name)): row for row in rows if isinstance(row, dict)}


async def _ask(client: UpstreamClient, smart: SmartRow, row: PoolRow) -> dict[str, Any]:
    if smart.link_type == "free_trial":
        body = {
            "trialLinkName": row.name,
            "subscribeDays": smart.free_trial_days,
            "subscribeCounts": 0,
            "expiredAt": None,
        }
        data = (await client.call("trial-links-create", body=body)).json()
    else:
        data = (await client.call("tracking-links-create", body={"campaignName": row.name})).json()
    found = data[0] if isinstance(data, list) and data else data
    if not isinstance(found, dict) or "id" not in found:
        raise Unavailable("upstream made a link and did not say which", 60)
    return found


def _keep(conn: Connection, smart: SmartRow, row: PoolRow, found: dict[str, Any], now: datetime) -> None:
    kind: links.Kind = "trial" if smart.link_type == "free_trial" else "tracking"
    if kind == "tracking" and not smart.username:
        raise Unavailable("the account's user name is not known yet; a sync brings it", 60)
    try:
        number = to_int(found["id"])
        code = None if kind == "trial" else to_str(found["campaignCode"])
    except (BadValue, KeyError) as e:
        raise Unavailable(f"upstream described the new link in a way that cannot be read: {e}", 60) from e
    url = str(found["url"]) if kind == "trial" else f"https://onlyfans.com/{smart.username}/c{code}"
    pk = links.ensure(conn, smart.account_id, kind, number, now=now)
    days = smart.free_trial_days if kind == "trial" else None
    links.mark_smart(conn, pk, name=row.name, code=code, url=url, subscribe_days=days, created_at=now)
    pools.made(conn, row.id, link_pk=pk, url=url)
    log.info("pool link made", smart_link=smart.id, link=number)


async def again(_: Job, services: Services) -> None:
    """Pools whose making has failed for good are tried once more: what upstream refused may be allowed by now."""
    await services.store.awrite(_again, services.clock())


def _again(conn: Connection, now: datetime) -> None:
    for smart in pools.unmade(conn):
        outbox.enqueue(conn, JOB, {"smart_link": smart}, key=smart, now=now)  # changes nothing where one is under way


JOBS = {JOB: JobKind(make), "links.pools": JobKind(again)}
PERIODIC = {"links.pools": lambda _config: AGAIN_S}
