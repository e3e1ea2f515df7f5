"""Tags of tracking and trial links, own and shared (contract 6.12). They live in our store alone.

A link that is not in the account's inventory has none and gets none: 404, as for its reports.
"""

from __future__ import annotations

from collections.abc import Callable

import orjson
from sqlalchemy import Connection

from addons.compute.api import Answer, Call, Handler
from addons.links.finding import MAX_ID, real_link, unknown_link
from addons.pipeline.errors import ValidationFailed
from ofapi_store.errors import BadValue
from ofapi_store.queries import links, smart_links, tags

_KINDS_OF_TYPE = {
    "tracking_links": ("tracking", "shared_tracking"),
    "trial_links": ("trial", "shared_trial"),
}
_ALL_KINDS = ("tracking", "shared_tracking", "trial", "shared_trial")
SMART = "smart_links"


async def list_all(call: Call) -> Answer:
    """`{tags: […]}` of the team, or those in use on one kind of link."""
    kind = call.query.get("type")
    found = await call.services.store.aread_slow(_team_tags, call.team.id, kind)
    return Answer({"tags": found})


def _team_tags(conn: Connection, team_id: str, kind: str | None) -> list[str]:
    smart = smart_links.tags_of_team(conn, team_id) if kind in (None, SMART) else []
    if kind == SMART:
        return smart
    found = {*smart, *tags.of_team(conn, team_id, _KINDS_OF_TYPE.get(kind or "", _ALL_KINDS))}
    return sorted(found, key=tags.fold)


async def list_tags(call: Call) -> Answer:
    link = await real_link(call)
    return Answer({"tags": await call.services.store.aread(tags.of_link, link.id)})


type _Link = tuple[str, links.Kind, int]
type _Change = Callable[[Connection, str, int, list[str]], list[str]]


async def _change(call: Call, change: _Change) -> Answer:
    """All tags of the link after the change; a tag that cannot be is 422 and nothing is changed."""
    names = check_names(call.body["tags"])
    link = await real_link(call)
    target = (link.account_id, call.args["kind"], link.link_id)
    found = await call.services.store.awrite(_changed, call.team.id, target, names, change)
    if found is None:
        raise unknown_link(link.link_id)
    return Answer({"tags": found})


def _changed(conn: Connection, team_id: str, target: _Link, names: list[str], change: _Change) -> list[str] | None:
    """None where the link has gone meanwhile."""
    row = links.get(conn, *target)
    return None if row is None else change(conn, team_id, row.id, names)


def check_names(names: list[str]) -> list[str]:
    """The names as they came, each one valid; else 422 naming the field of each bad one."""
    errors: dict[str, list[str]] = {}
    for at, name in enumerate(names):
        try:
            tags.clean(name)
        except BadValue:
            errors[f"tags.{at}"] = [f"The tags.{at} field must be 1 to {tags.MAX_LENGTH} printable characters."]
    if errors:
        raise ValidationFailed(errors)
    return names


async def add(call: Call) -> Answer:
    return await _change(call, tags.add)


async def remove(call: Call) -> Answer:
    return await _change(call, tags.remove)


async def created(call: Call) -> Answer:
    """`then` of making a link: the tags of the request go to the link that upstream has just made."""
    names = (call.body or {}).get("tags") or []
    link_id = _made(call.upstream or b"")
    if names and link_id is not None and call.account is not None:
        target = (call.account.id, call.args["kind"], link_id)
        await call.services.store.awrite(_tag_new, call.team.id, target, names)
    return Answer()


def _tag_new(conn: Connection, team_id: str, target: _Link, names: list[str]) -> None:
    """The link's row is stored with the answer's other rows, later than this: it is begun here."""
    tags.add(conn, team_id, links.ensure(conn, *target), names)


def _made(body: bytes) -> int | None:
    """The id of a new link: upstream answers with the link, or with a list of it."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if isinstance(found, list):
        found = found[0] if found else None
    link_id = found.get("id") if isinstance(found, dict) else None
    return link_id if isinstance(link_id, int) and 0 <= link_id <= MAX_ID else None


HANDLERS: dict[str, Handler] = {
    "link_tags.list_all": list_all,
    "link_tags.list": list_tags,
    "link_tags.add": add,
    "link_tags.remove": remove,
    "link_tags.created": created,
}
