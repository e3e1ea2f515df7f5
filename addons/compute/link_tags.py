"""Tags of tracking and trial links, own and shared (contract 6.12). They live in our store alone.

A link that was not yet seen may be tagged: its row is made, and filled when the link is observed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import orjson
from sqlalchemy import Connection

from addons.compute.api import Answer, Call, Handler
from addons.pipeline.errors import NotFound, ValidationFailed
from ofapi_store.errors import BadValue
from ofapi_store.queries import links, smart_links, tags

_KINDS_OF_TYPE = {
    "tracking_links": ("tracking", "shared_tracking"),
    "trial_links": ("trial", "shared_trial"),
}
_ALL_KINDS = ("tracking", "shared_tracking", "trial", "shared_trial")
_MAX_ID = 2**63 - 1
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


def link_id(call: Call) -> int:
    """The link's id from the path, whose parameter is named after the kind of link."""
    text = call.params[f"{call.args['kind']}_link_id"]
    if not (text.isascii() and text.isdecimal()) or int(text) > _MAX_ID:
        raise NotFound(f"There is no link `{text[:40]}`; link ids are whole numbers.")
    return int(text)


async def list_tags(call: Call) -> Answer:
    assert call.account is not None
    found = await call.services.store.aread(_tags_of, call.account.id, call.args["kind"], link_id(call))
    return Answer({"tags": found})


def _tags_of(conn: Connection, account_id: str, kind: links.Kind, link_id: int) -> list[str]:
    link = links.get(conn, account_id, kind, link_id)
    return tags.of_link(conn, link.id) if link else []


class _Target(NamedTuple):
    account_id: str
    kind: links.Kind
    link_id: int


def _add(conn: Connection, team_id: str, link: _Target, names: list[str]) -> list[str]:
    pk = links.ensure(conn, *link)
    return tags.add(conn, team_id, pk, names)


def _remove(conn: Connection, team_id: str, link: _Target, names: list[str]) -> list[str]:
    found = links.get(conn, *link)
    return tags.remove(conn, team_id, found.id, names) if found else []


async def _change(call: Call, change: Callable[[Connection, str, _Target, list[str]], list[str]]) -> Answer:
    """All tags of the link after the change; a tag that cannot be is 422 and nothing is changed."""
    assert call.account is not None
    names = check_names(call.body["tags"])
    target = _Target(call.account.id, call.args["kind"], link_id(call))
    return Answer({"tags": await call.services.store.awrite(change, call.team.id, target, names)})


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
    return await _change(call, _add)


async def remove(call: Call) -> Answer:
    return await _change(call, _remove)


async def created(call: Call) -> Answer:
    """`then` of making a link: the tags of the request go to the link that upstream has just made."""
    names = (call.body or {}).get("tags") or []
    link_id = _made(call.upstream or b"")
    if names and link_id is not None and call.account is not None:
        target = _Target(call.account.id, call.args["kind"], link_id)
        await call.services.store.awrite(_add, call.team.id, target, names)
    return Answer()


def _made(body: bytes) -> int | None:
    """The id of a new link: upstream answers with the link, or with a list of it."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if isinstance(found, list):
        found = found[0] if found else None
    link_id = found.get("id") if isinstance(found, dict) else None
    return link_id if isinstance(link_id, int) and 0 <= link_id <= _MAX_ID else None


HANDLERS: dict[str, Handler] = {
    "link_tags.list_all": list_all,
    "link_tags.list": list_tags,
    "link_tags.add": add,
    "link_tags.remove": remove,
    "link_tags.created": created,
}
