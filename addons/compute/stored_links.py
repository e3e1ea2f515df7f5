"""The stored link inventory: `/{account}/stored/…` (contract 6.11). Free, never asks upstream."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from addons.compute.api import Answer, Call, Handler, NextPage
from addons.links import pool
from addons.links.finding import link_id
from addons.links.show import link_item
from ofapi_store.queries import links, pools, smart_links, tags

SHARED_NOTICE = "Shared links are listed as last seen; the live list refreshes them."


def _read(conn: Connection, account_id: str, kind: links.Kind, query: dict[str, Any]) -> Any:
    rows = links.page(conn, account_id, kind, **query)
    return rows, tags.of_links(conn, [row.id for row in rows])


async def _list(call: Call, kind: links.Kind) -> Answer:
    """`{list, hasMore}`; one row more than `limit` is read to know whether there is a next page."""
    assert call.account is not None
    limit, offset = call.query["limit"], call.query["offset"]
    query = {
        "limit": limit + 1,
        "offset": offset,
        "search": call.query.get("filter[search]"),
        "tags": call.query.get("filter[tags]") or (),
        "include_smart": call.query.get("filter[include_smart_links]", False),
        "include_deleted": kind == "shared_tracking",
    }
    rows, tagged = await call.services.store.aread_slow(_read, call.account.id, kind, query)
    more = len(rows) > limit
    base = f"{call.base_url}{call.prefix}/{call.account.id}"
    items = [link_item(_with_url(row, call.account.username), tagged[row.id], base) for row in rows[:limit]]
    page = NextPage({"limit": limit, "offset": offset + limit} if more else None)
    notice = {"notice": SHARED_NOTICE} if kind.startswith("shared") else None
    return Answer({"list": items, "hasMore": more}, page=page, pagination=notice)


def _with_url(row: links.LinkRow, username: str | None) -> links.LinkRow:
    """Upstream names a campaign by its code alone; its full URL stands below the creator's profile."""
    if row.kind != "tracking" or row.url or not (username and row.code):
        return row
    return replace(row, url=f"https://onlyfans.com/{username}/c{row.code}")


async def tracking(call: Call) -> Answer:
    return await _list(call, "tracking")


async def trial(call: Call) -> Answer:
    return await _list(call, "trial")


async def shared_tracking(call: Call) -> Answer:
    return await _list(call, "shared_tracking")


async def shared_trial(call: Call) -> Answer:
    return await _list(call, "shared_trial")


async def deleted(call: Call) -> Answer:
    """`then` of deleting a link upstream: the inventory leaves it out, reports stay, no visitor is sent there any more."""
    assert call.account is not None
    target = (call.account.id, call.args["kind"], link_id(call))
    smart = await call.services.store.awrite(_delete, target, call)
    redirects = call.services.parts.get("redirects")
    if smart is not None and redirects is not None:
        redirects.forget(smart)
    return Answer()


def _delete(conn: Connection, target: tuple[str, links.Kind, int], call: Call) -> str | None:
    """The smart link whose pool it was in."""
    row = links.get(conn, *target)
    if row is None:
        return None
    links.mark_deleted(conn, *target, now=call.now())
    smart = pools.drop(conn, row.id)
    found = smart_links.get(conn, smart) if smart is not None else None
    if found is not None and found.state == "active":
        pool.refill(conn, found.id, found.name, call.services.config.links, now=call.now())
    return smart


async def revoked(call: Call) -> Answer:
    """`then` of giving up the access to a shared link: its row goes, with its tags (contract 6.11)."""
    assert call.account is not None
    await call.services.store.awrite(links.forget, call.account.id, call.args["kind"], link_id(call))
    return Answer()


HANDLERS: dict[str, Handler] = {
    "stored_links.tracking": tracking,
    "stored_links.trial": trial,
    "stored_links.shared_tracking": shared_tracking,
    "stored_links.shared_trial": shared_trial,
    "stored_links.deleted": deleted,
    "stored_links.revoked": revoked,
}
