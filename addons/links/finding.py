"""The smart link that a call is about, as far as its team and key may see it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from addons.pipeline.errors import NotFound
from ofapi_store.queries import smart_links

if TYPE_CHECKING:
    from addons.compute.api import Call
    from ofapi_store.queries.smart_links import SmartRow

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
