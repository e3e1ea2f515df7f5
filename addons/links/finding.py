"""The link that a call is about, as far as its team and key may see it."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING

from addons.pipeline.errors import NotFound
from ofapi_store.queries import links, smart_links

if TYPE_CHECKING:
    from addons.compute.api import Call
    from ofapi_store.queries.links import LinkRow
    from ofapi_store.queries.smart_links import SmartRow

MAX_ID = 2**63 - 1
OBSERVED_S = 5.0

ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


def parse_ulid(text: str) -> str | None:
    """The canonical form of a ULID, None for what is none."""
    folded = text.upper()
    return folded if ULID.fullmatch(folded) else None


async def smart_link(call: Call) -> SmartRow:
    """Raises NotFound: unknown, deleted, another team's, not this key's and malformed look the same."""
    text = call.params["smart_link_id"]
    ulid = parse_ulid(text)
    row = None
    if ulid is not None:
        row = await call.services.store.aread(smart_links.for_team, call.team.id, ulid, only=call.key.account_ids)
    if row is None or (call.account is not None and row.account_id != call.account.id):
        raise NotFound(f"There is no smart link `{text[:40]}`. GET /smart-links lists those of this team.")
    return row


def link_id(call: Call) -> int:
    """The id of a tracking or trial link from the path, whose parameter is named after the kind of link."""
    text = call.params[f"{call.args['kind']}_link_id"]
    if not (text.isascii() and text.isdecimal()) or int(text) > MAX_ID:
        raise NotFound(f"There is no link `{text[:40]}`; link ids are whole numbers.")
    return int(text)


async def real_link(call: Call) -> LinkRow:
    """The tracking or trial link of the path. Raises NotFound where it is not in the account's inventory.

    Rows are stored after the answer that showed them has gone out: a link of such an answer is waited for.
    """
    assert call.account is not None
    target = (call.account.id, call.args["kind"], link_id(call))
    row = await call.services.store.aread(links.get, *target)
    if row is None and (observer := call.services.parts.get("observer")) is not None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(observer.flush(), OBSERVED_S)
        row = await call.services.store.aread(links.get, *target)
    if row is None:
        raise unknown_link(target[2])
    return row


def unknown_link(number: int) -> NotFound:
    return NotFound(f"The link {number} is not known here; list the account's links once, or sync the account.")
