"""Smart links: make, list, show, delete, tag (contract 6.1). Upstream is asked by jobs alone."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection
from ulid import ULID

from addons.compute.api import Answer, Call, Handler
from addons.compute.link_tags import check_names
from addons.links import pool
from addons.links.finding import smart_link
from addons.links.show import unknown_cost
from addons.pipeline.dates import show
from addons.pipeline.errors import NotFound, ValidationFailed
from ofapi_store.queries import accounts, pools, smart_links
from ofapi_store.queries.pools import PoolRow
from ofapi_store.queries.smart_links import Figures, SmartRow

FREE_TRIAL = "free_trial"


async def create(call: Call) -> Answer:
    """201 with the smart link; its pool of real links is made by a job."""
    days = call.body.get("free_trial_days")
    kind = call.body["link_type"]
    account = await _account(call)
    now = call.now()
    row = SmartRow(
        id=str(ULID.from_datetime(now)),
        team_id=call.team.id,
        account_id=account.id,
        name=call.body["name"].strip(),
        link_type=kind,
        free_trial_days=days if kind == FREE_TRIAL else None,
        state="active",
        pool_problem=None,
        created_at=now,
        updated_at=now,
        display_name=account.display_name,
        username=account.username,
    )
    await call.services.store.awrite(_create, row, call.services.config.links.pool_size, now)
    return Answer(_shown(call, row, Figures()), status=201)


async def _account(call: Call) -> accounts.AccountRow:
    named = call.body.get("account_id")
    wanted = named if call.account is None else call.account.id
    if not wanted:
        raise ValidationFailed.of("account_id", "The account id field is required.")
    if named and named != wanted:
        raise ValidationFailed.of("account_id", "The account id field must be the account of the path.")
    row = await call.services.store.aread(accounts.for_team, call.team.id, wanted)
    allowed = call.key.account_ids
    if row is None or (allowed is not None and row.id not in allowed):
        raise NotFound(f"Account {str(wanted)[:64]} does not exist.", code="account_not_found")
    return row


def _create(conn: Connection, row: SmartRow, size: int, now: datetime) -> None:
    smart_links.create(conn, row)
    pool.grow(conn, row.id, row.name, size, now=now)


async def list_all(call: Call) -> Answer:
    """`[smart link]`, newest first. `pixel_ids` finds nothing: this gateway has no pixels."""
    if call.query.get("pixel_ids"):
        return Answer([])
    query = {
        "limit": call.query["limit"],
        "offset": call.query["offset"],
        "name": call.query.get("name"),
        "accounts": _wanted_accounts(call),
        "tagged": call.query.get("filter[tags]") or (),
    }
    rows, figures = await call.services.store.aread_slow(_read_page, call.team.id, query)
    return Answer([{**_shown(call, row, figures[row.id]), "spenders_count": figures[row.id].spenders} for row in rows])


def _wanted_accounts(call: Call) -> set[str] | None:
    """Accounts by the path, the filter and the key; None: all of the team."""
    text = call.query.get("account_ids")
    found = {part.strip() for part in text.split(",") if part.strip()} if text else None
    if call.account is not None:
        found = {call.account.id}
    allowed = call.key.account_ids
    if allowed is not None:
        found = set(allowed) if found is None else found & allowed
    return found


def _read_page(conn: Connection, team_id: str, query: dict[str, Any]) -> tuple[list[SmartRow], dict[str, Figures]]:
    rows = smart_links.page(conn, team_id, **query)
    return rows, smart_links.figures(conn, [row.id for row in rows])


async def get(call: Call) -> Answer:
    """The smart link with its figures and the state of its pool."""
    row = await smart_link(call)
    figures, rows = await call.services.store.aread_slow(_read_one, row.id)
    return Answer({**_shown(call, row, figures), "pool": _pool_state(row, rows, call.now())})


def _read_one(conn: Connection, smart_link_id: str) -> tuple[Figures, list[PoolRow]]:
    return smart_links.figures(conn, [smart_link_id])[smart_link_id], pools.of_smart(conn, smart_link_id)


def _pool_state(row: SmartRow, rows: list[PoolRow], now: datetime) -> dict[str, Any]:
    """`state`: making (none is ready: visitors go to the profile), ready, exhausted (all are held and get shared)."""
    ready = [r for r in rows if r.state == "ready"]
    held = sum(r.held_until is not None and r.held_until > now for r in ready)
    state = "making" if not ready else "exhausted" if held == len(ready) else "ready"
    making = sum(r.state == "making" for r in rows)
    return {"state": state, "ready": len(ready), "held": held, "making": making, "problem": row.pool_problem}


def _shown(call: Call, row: SmartRow, figures: Figures) -> dict[str, Any]:
    root = call.services.config.links.redirect_base_url or f"{call.base_url}{_mount(call)}"
    return {
        "id": row.id,
        "name": row.name,
        "link_type": row.link_type,
        "traffic_redirect_url": f"{root.rstrip('/')}/{row.id}",
        "free_trial_days": row.free_trial_days,
        "clicks_count": figures.clicks,
        "conversions_count": figures.conversions,
        "subscribers_count": figures.subs,
        "revenue": f"{'-' if figures.net < 0 else ''}{abs(figures.net) // 100}.{abs(figures.net) % 100:02d}",
        "cost": unknown_cost(figures.clicks, figures.subs),
        "account": {"id": row.account_id, "display_name": row.display_name, "username": row.username},
        "created_at": show(row.created_at),
        "updated_at": show(row.updated_at),
    }


def _mount(call: Call) -> str:
    return "/" + call.services.config.mounts.redirect.strip("/")


async def delete(call: Call) -> Answer:
    """`{success: true}`. The redirect answers 410 from then on; figures and clicks stay in the store."""
    row = await smart_link(call)
    await call.services.store.awrite(_delete, row.id, call.now())
    redirects = call.services.parts.get("redirects")
    if redirects is not None:
        redirects.forget(row.id)
    return Answer({"success": True})


def _delete(conn: Connection, smart_link_id: str, now: datetime) -> None:
    smart_links.mark_deleted(conn, smart_link_id, now=now)
    pools.retire(conn, smart_link_id)


async def tags_list(call: Call) -> Answer:
    row = await smart_link(call)
    return Answer({"tags": await call.services.store.aread(smart_links.tags_of, row.id)})


async def tags_add(call: Call) -> Answer:
    """All tags of the smart link after the change; a tag that cannot be is 422 and nothing is changed."""
    names = check_names(call.body["tags"])
    row = await smart_link(call)
    return Answer({"tags": await call.services.store.awrite(smart_links.add_tags, call.team.id, row.id, names)})


async def tags_remove(call: Call) -> Answer:
    names = check_names(call.body["tags"])
    row = await smart_link(call)
    return Answer({"tags": await call.services.store.awrite(smart_links.remove_tags, call.team.id, row.id, names)})


HANDLERS: dict[str, Handler] = {
    "smart_links.create": create,
    "smart_links.list": list_all,
    "smart_links.get": get,
    "smart_links.delete": delete,
    "smart_links.tags_list": tags_list,
    "smart_links.tags_add": tags_add,
    "smart_links.tags_remove": tags_remove,
}
