"""Ids of things that exist in a simulated creator's world, for calls that need one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scripts.simulator.model import Creator


@dataclass(frozen=True)
class Things:
    """`account` is the gateway's id of the creator; all others are upstream's."""

    account: str
    fan: str
    username: str
    chat: str
    message: str
    followed: str
    campaign: str
    trial: str
    post: int
    story: int
    highlight: int
    media: int
    vault_list: str
    user_list: str
    mass: str
    queued: str


def things(account: str, who: Creator) -> Things:
    """The first of each kind that lives."""
    chat = next(c for c in who.chats.values() if len(c.messages) > 30 and not who.fans[c.fan_id].deleted)
    fan = who.fans[chat.fan_id]
    return Things(
        account=account,
        fan=str(fan.id),
        username=fan.username,
        chat=str(chat.fan_id),
        message=str(chat.messages[-1].id),
        followed=str(next(iter(who.following))),
        campaign=_link(who, "campaign"),
        trial=_link(who, "trial"),
        post=_first(who.posts),
        story=_first(who.stories),
        highlight=_first(who.highlights),
        media=next(number for number, media in who.vault.items() if not media.hidden),
        vault_list=str(_first(who.vault_lists)),
        user_list=next(key for key, row in who.lists.items() if row["type"] == "custom"),
        mass=str(next(key for key, row in who.mass.items() if row["buyers"])),
        queued=str(next(key for key, row in who.queue.items() if not row["later"])),
    )


def _link(who: Creator, kind: str) -> str:
    return str(next(link.id for link in who.link_list(kind) if link.claims and not link.deleted))


def _first(rows: dict[int, Any]) -> int:
    return next(iter(rows))
