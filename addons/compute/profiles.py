"""`/profiles/{username}` and `/search`: profiles as the team's own accounts have seen them. No request leaves.

There is no index of all OnlyFans profiles here. Fields that were not seen are left out.
"""

from __future__ import annotations

from typing import Any

from addons.compute.api import Answer, Call, Handler, NextPage
from addons.pipeline.errors import NotFound, ValidationFailed
from ofapi_store.queries import accounts, people
from ofapi_store.queries.fans import FanRow

OWN_FIELDS = (
    "id",
    "username",
    "name",
    "about",
    "avatar",
    "avatarThumbs",
    "header",
    "headerThumbs",
    "joinDate",
    "location",
    "website",
    "isVerified",
    "isPerformer",
    "subscribePrice",
    "postsCount",
    "photosCount",
    "videosCount",
    "audiosCount",
    "mediasCount",
    "favoritedCount",
)
"""What of `users/me` anybody can see on the creator's page; the rest (mail, tokens, balances) is private."""


async def get(call: Call) -> Answer:
    """One profile: of the team's own creators as they see it, of anybody else as a fan. Raises NotFound."""
    store, name = call.services.store, call.params["username"]
    ids = await _account_ids(call)
    own = await store.aread(accounts.list_for_team, call.team.id, username=name, only=call.key.account_ids)
    if own:
        data = (await store.aread(accounts.user_data, [own[0].id])).get(own[0].id) or {}
        if data:
            return Answer({key: data[key] for key in OWN_FIELDS if key in data})
    fan = await store.aread(people.named, ids, name)
    if fan is None:
        raise NotFound(f"No account of this team has seen a profile {name[:100]!r}.")
    shown = {"id": fan.fan_id, "username": fan.username, "name": fan.name, "avatar": fan.avatar_url}
    return Answer({**shown, "lastSeen": fan.last_seen_at})


async def search(call: Call) -> Answer:
    """Profiles by part of their name. The client's types know the next page as `next_page_url` and by its cursor."""
    cursor = call.query.get("cursor") or "0"
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 18:
        raise ValidationFailed.of("cursor", "The cursor field must be the next_cursor of an earlier answer.")
    limit, text = call.query["limit"], call.query.get("query") or ""
    ids = await _account_ids(call)
    rows = await call.services.store.aread_slow(people.search, ids, text, after=int(cursor), limit=limit + 1)
    more = str(rows[limit - 1].fan_id) if len(rows) > limit else None
    following = {"next_cursor": more, "next_page_url": call.page_url({"cursor": more}) if more else None}
    return Answer(
        [_shown(row) for row in rows[:limit]],
        page=NextPage({"cursor": more} if more else None),
        pagination=following,
    )


async def _account_ids(call: Call) -> list[str]:
    rows = await call.services.store.aread(accounts.list_for_team, call.team.id, only=call.key.account_ids)
    return [row.id for row in rows]


def _shown(row: FanRow) -> dict[str, Any]:
    return {
        "onlyfans_id": row.fan_id,
        "username": row.username,
        "name": row.name,
        "avatar_url": row.avatar_url,
        "last_seen_at": row.last_seen_at,
        "stats_updated_at": row.updated_at,
    }


HANDLERS: dict[str, Handler] = {"profiles.get": get, "profiles.search": search}
