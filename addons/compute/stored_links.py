"""The stored link inventory: `/{account}/stored/…` (contract 6.11). Free, never asks upstream."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from addons.compute.api import Answer, Call, Handler, NextPage
from addons.links.show import link_item
from ofapi_store.queries import links, tags

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


HANDLERS: dict[str, Handler] = {
    "stored_links.tracking": tracking,
    "stored_links.trial": trial,
    "stored_links.shared_tracking": shared_tracking,
    "stored_links.shared_trial": shared_trial,
}
