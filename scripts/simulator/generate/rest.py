"""Lists, queue, mass messages, notifications, payouts, promotions, settings."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from scripts.simulator.model import Creator

if TYPE_CHECKING:
    from scripts.simulator.world import Options

FIXED_LISTS = ("fans", "following", "recent", "friends", "bookmarks", "blocked", "muted", "restricted", "tagged")
TABS = ["all", "tags", "comments", "mentions", "favorited", "subscriptions", "purchases", "tip"]


def everything(who: Creator, options: Options, rng: random.Random, base: datetime) -> None:
    _lists(who)
    _queue(who, rng, base)
    _mass(who, rng, base)
    _notifications(who)
    _payouts(who, rng, base)
    _promotions(who, base)
    _settings(who, base)


def _lists(who: Creator) -> None:
    people = [fan.id for fan in who.fans.values() if not fan.deleted]
    for name in FIXED_LISTS:
        who.lists[name] = {"id": name, "name": name.title(), "type": name, "users": [], "pinned": [], "feed": False}
    who.lists["bookmarks"]["users"] = people[3:9]
    for offset, name in enumerate(("VIP", "Whales", "New")):
        key = str(1_200_000_000 + who.id % 1_000_000 * 10 + offset)
        users = people[offset :: 9 + offset * 4][:45]
        who.lists[key] = {"id": key, "name": name, "type": "custom", "users": users, "pinned": users[:2], "feed": False}


def _queue(who: Creator, rng: random.Random, base: datetime) -> None:
    media = list(who.vault)
    for offset in range(16):
        number = 30_000_000 + who.id % 1_000_000 * 100 + offset
        who.queue[number] = {
            "id": number,
            "type": "chat" if offset % 3 == 0 else "post",
            "text": f"<p>planned {offset + 1}</p>",
            "media": media[offset : offset + 1],
            "price": 1000 if offset % 4 == 0 else 0,
            "created": base - timedelta(days=1),
            "publish": base + timedelta(days=1 + offset // 2, hours=rng.randrange(20)),
            "later": offset >= 12,
        }


def _mass(who: Creator, rng: random.Random, base: datetime) -> None:
    """Mass messages that were sent: the ids that `isFromQueue` messages name."""
    media = list(who.vault)
    buyers = [fan.id for fan in who.fans.values() if not fan.deleted]
    for offset in range(30):
        number = 1_000 + offset
        price = rng.choice((0, 0, 1000, 1500))
        sent = rng.randrange(20, max(21, len(buyers)))
        bought = buyers[offset : offset + rng.randrange(min(25, len(buyers)))] if price else []
        who.mass[number] = {
            "id": number,
            "text": f"<p>for all of you {offset + 1}</p>",
            "media": media[offset : offset + 1],
            "price": price,
            "at": base - timedelta(days=offset * 9 + 1, hours=rng.randrange(20)),
            "sent": sent,
            "viewed": max(len(bought), rng.randrange(sent)),
            "buyers": bought,
            "canceled": offset == 5,
        }


def _notifications(who: Creator) -> None:
    """From what happened: new subscribers, tips, purchases."""
    for row in who.transactions[:400]:
        if row.kind in {"subs", "tips", "chat_messages"}:
            who.notifications.append(
                {
                    "kind": row.kind,
                    "fan": row.fan_id,
                    "at": row.created,
                    "cents": row.amount_cents,
                    "message": row.message_id,
                    "read": len(who.notifications) > 12,
                }
            )
    last = 80_000_000 + who.id + len(who.notifications)
    for offset, note in enumerate(who.notifications):
        note["id"] = last - offset


def _payouts(who: Creator, rng: random.Random, base: datetime) -> None:
    for offset in range(14):
        state = "pending" if offset == 0 else "rejected" if offset == 5 else "completed"
        who.payouts.append(
            {
                "id": 4_000_000 - offset,
                "amount": rng.randrange(5, 60) * 100,
                "at": base - timedelta(days=offset * 14 + 3),
                "state": state,
                "invoice": f"INV-{who.id}-{100 - offset}",
                "reason": "Bank details" if state == "rejected" else None,
            }
        )


def _promotions(who: Creator, base: datetime) -> None:
    for offset in range(5):
        number = 40_000 + who.id % 1_000 * 10 + offset
        who.promotions[number] = {
            "id": number,
            "message": f"<p>offer {offset + 1}</p>",
            "price": who.price_cents // 200,
            "at": base - timedelta(days=offset * 20 + 2),
            "days": 30,
            "counts": 50,
            "claims": offset * 3,
            "type": "all",
            "finished": base - timedelta(days=offset * 20) if offset else None,
        }
    for offset, (months, discount) in enumerate(((3, 10), (6, 20))):
        number = 9_000 + who.id % 1_000 * 10 + offset
        who.bundles[number] = {"id": number, "discount": discount, "duration": months}


def _settings(who: Creator, base: datetime) -> None:
    who.profile = {"about": f"I am {who.name}", "location": "Berlin", "website": "", "wishlist": ""}
    who.settings = {
        "blockedCountries": ["RU"],
        "blockedStates": [],
        "replyOnSubscribe": True,
        "frequency": "weekly",
        "tabs": list(TABS),
        "later": {"chat": {"isEnabled": False, "period": 24}, "post": {"isEnabled": True, "period": 48}},
    }
    for offset, place in enumerate(("instagram", "twitter")):
        who.buttons.append(
            {"id": 700 + offset, "type": place, "value": who.username, "label": place.title(), "clicks": 10 * offset}
        )
    who.welcome = {"text": "<p>welcome!</p>", "media": list(who.vault)[:1], "price": 0, "active": True, "at": base}
