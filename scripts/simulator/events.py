"""Things that happen to a running world, so that the gateway has something to notice.

Each takes `creator` (id or username); `fan` names an existing fan (else a random one or, for `subscribe`, a new one).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from scripts.simulator import times
from scripts.simulator.generate import money
from scripts.simulator.generate.links import add_span
from scripts.simulator.model import Chat, Creator, Fan, Link, Message, Transaction
from scripts.simulator.routes.base import as_html
from scripts.simulator.times import iso
from scripts.simulator.world import World


def account(who: Creator) -> dict[str, Any]:
    """The login of a creator, as a connected account holds it."""
    return {
        "id": who.id,
        "username": who.username,
        "name": who.name,
        "auth_id": str(who.id),
        "cookies": f"auth_id={who.id}; sess={who.sess}",
        "user_agent": who.user_agent,
        "xbc": who.xbc,
        "email": who.email,
        "password": who.password,
        "otp_code": who.otp_code,
    }


def creator_of(world: World, body: dict[str, Any]) -> Creator:
    wanted = str(body.get("creator", world.creators[0].id))
    found = next((who for who in world.creators if wanted in {str(who.id), who.username}), None)
    if found is None:
        raise LookupError(f"creator {wanted}")
    return found


def fan_of(world: World, who: Creator, body: dict[str, Any]) -> Fan:
    if body.get("fan") is not None:
        return who.fans[int(body["fan"])]
    people = [fan for fan in who.fans.values() if not fan.deleted]
    return world.rng("event", who.id, who.version).choice(people)


def at(world: World, body: dict[str, Any]) -> datetime:
    return times.parse(body.get("at"), world.now(), world.now())


def _note(who: Creator, kind: str, fan: Fan, when: datetime, *, cents: int, message: int | None = None) -> None:
    number = who.notifications[0]["id"] + 1 if who.notifications else 80_000_000 + who.id
    who.notifications.insert(
        0, {"id": number, "kind": kind, "fan": fan.id, "at": when, "cents": cents, "message": message, "read": False}
    )


def _pay(
    world: World, who: Creator, fan: Fan, *, kind: str, text: str, cents: int, when: datetime, source: str | None = None
) -> Transaction:
    number = str(uuid.UUID(int=world.rng("tx", world.new_id()).getrandbits(128), version=4))
    taken = {row.created for row in who.transactions[:200]}
    while when in taken:
        when += timedelta(seconds=1)
    row = money.make(fan, kind, text, cents, when, number=number, status="loading", source=source)
    who.transactions.append(row)
    who.transactions.sort(key=lambda one: (one.created, one.id), reverse=True)
    return row


def message(world: World, who: Creator, body: dict[str, Any]) -> dict[str, Any]:
    """A message from a fan (or, with `mine`, from the creator): `text`, `price` (cents), `tip` (cents)."""
    fan, when = fan_of(world, who, body), at(world, body)
    chat = who.chats.setdefault(fan.id, Chat(fan.id))
    mine = bool(body.get("mine"))
    number = max(world.new_id() + 10**10, chat.messages[-1].id + 1 if chat.messages else 0)
    row = Message(
        number,
        fan.id,
        mine,
        as_html(str(body.get("text", "hello"))),
        when,
        int(body.get("price", 0)),
        opened=not body.get("price"),
        tip_cents=int(body.get("tip", 0)),
        new=not mine,
    )
    chat.messages.append(row)
    who.messages[number] = row
    chat.unread += not mine
    fan.last_seen = max(fan.last_seen, when)
    return {"message_id": number, "fan": fan.id, "at": iso(when)}


def _link(who: Creator, body: dict[str, Any]) -> Link | None:
    wanted = body.get("link")
    if wanted is None:
        return None
    key = str(wanted)
    found = who.links.get(key) or next(
        (link for link in who.links.values() if key in {str(link.id), link.code, f"c{link.code}"}), None
    )
    if found is None:
        raise LookupError(f"link {wanted}")
    return found


def subscribe(world: World, who: Creator, body: dict[str, Any]) -> dict[str, Any]:
    """A subscription, new fan or old, through `link` or none; `days`, `price` (cents), `renew`.

    `link` is `campaign:ID`, `trial:ID`, an id, a code, or `cCODE` as in the URL of a campaign.
    """
    when, link = at(world, body), _link(who, body)
    fan = who.fans.get(int(body["fan"])) if body.get("fan") is not None else None
    if fan is None:
        number = int(body.get("fan") or 3_000_000_000 + world.new_id())
        fan = Fan(number, f"u{number}", str(body.get("name", "New Fan")), when, when)
        who.fans[number] = fan
        who.by_username[fan.username] = number
        who.fan_order = sorted(who.fans, reverse=True)
    trial = link is not None and link.kind == "trial"
    price = int(body.get("price", 0 if trial else who.price_cents))
    days = int(body.get("days", link.days if link and trial else 30))
    renewal = bool(body.get("renew"))
    span = add_span(
        who,
        fan,
        when,
        days=days,
        price=price,
        action="prolong" if renewal else "subscribe",
        via=None if renewal else link,
    )
    if link:
        link.claims.sort(key=lambda claim: (claim.at, claim.id), reverse=True)
    text = "Recurring subscription from" if renewal else "Subscription from"
    paid = _pay(world, who, fan, kind="subs", text=text, cents=price, when=when) if price else None
    _note(who, "renewed" if renewal else "subs", fan, when, cents=price)
    return {
        "fan": fan.id,
        "span": span.id,
        "at": iso(when),
        "end": iso(span.end),
        "transaction": paid.id if paid else None,
    }


def click(_world: World, who: Creator, body: dict[str, Any]) -> dict[str, Any]:
    """A visit of a link's page."""
    link = _link(who, body)
    if link is None:
        raise ValueError("link is required")
    link.clicks += int(body.get("count", 1))
    return {"clicks": link.clicks}


def tip(world: World, who: Creator, body: dict[str, Any]) -> dict[str, Any]:
    """A tip of `amount` cents; `source` profile, chat, post_all, stream or story."""
    fan, when, cents = fan_of(world, who, body), at(world, body), int(body.get("amount", 1000))
    source = str(body.get("source", "profile"))
    texts = {form[1]: form[2] for form in money.FORMS if form[0] == "tips"}
    row = _pay(world, who, fan, kind="tips", text=texts[source], cents=cents, when=when, source=source)
    _note(who, "tips", fan, when, cents=cents)
    return {"transaction": row.id, "fan": fan.id, "at": iso(row.created)}


def purchase(world: World, who: Creator, body: dict[str, Any]) -> dict[str, Any]:
    """A fan unlocks a paid message (`message`, else the newest unopened one) or, with `kind: post`, a post."""
    fan, when = fan_of(world, who, body), at(world, body)
    if body.get("kind") == "post":
        row = _pay(
            world, who, fan, kind="post", text="Post purchase by", cents=int(body.get("amount", 1000)), when=when
        )
        return {"transaction": row.id, "fan": fan.id, "at": iso(row.created)}
    rows = who.chats[fan.id].messages if fan.id in who.chats else []
    wanted = body.get("message")
    found = next(
        (one for one in reversed(rows) if one.price_cents and (one.id == wanted if wanted else not one.opened)), None
    )
    cents = found.price_cents if found else int(body.get("amount", 1000))
    row = _pay(world, who, fan, kind="chat_messages", text="Payment for message from", cents=cents, when=when)
    if found:
        found.opened, row.message_id = True, found.id
    _note(who, "chat_messages", fan, when, cents=cents, message=row.message_id)
    return {"transaction": row.id, "fan": fan.id, "message_id": row.message_id, "at": iso(row.created)}


def expire(world: World, who: Creator, body: dict[str, Any]) -> dict[str, Any]:
    """A fan's subscription ends now (or `at`)."""
    fan, when = fan_of(world, who, body), at(world, body)
    for span in fan.spans:
        span.end = min(span.end, max(when, span.start))
    return {"fan": fan.id, "at": iso(when)}


def undo(world: World, who: Creator, body: dict[str, Any]) -> dict[str, Any]:
    """A refund of `transaction`, or with `chargeback: true` a chargeback."""
    row = next(one for one in who.transactions if one.id == body.get("transaction"))
    row.status = "undo"
    if body.get("chargeback"):
        row.chargeback_at = at(world, body)
    return {"transaction": row.id, "status": row.status}


def like_post(world: World, who: Creator, body: dict[str, Any]) -> dict[str, Any]:
    """A fan likes `post` (default: the newest)."""
    fan, when = fan_of(world, who, body), at(world, body)
    number = int(body.get("post") or max(who.posts))
    who.posts[number]["likes"] += 1
    _note(who, "favorited", fan, when, cents=0, message=number)
    return {"post": number, "fan": fan.id, "at": iso(when)}


def delete_account(world: World, who: Creator, body: dict[str, Any]) -> dict[str, Any]:
    """A fan deletes the account: gone from lists, still in the ledger."""
    fan = fan_of(world, who, body)
    fan.deleted = True
    return {"fan": fan.id}


def kill_session(world: World, who: Creator, body: dict[str, Any]) -> dict[str, Any]:
    """All sessions of the creator die (`alive: true` revives them)."""
    for session in world.sessions.values():
        if session.creator_id == who.id:
            session.dead = not body.get("alive")
    return {"dead": not body.get("alive")}


def verify_face(world: World, who: Creator, _body: dict[str, Any]) -> dict[str, Any]:
    """The creator finished the selfie check of a pending login."""
    world.faces.add(who.id)
    return {"verified": True}


KINDS: dict[str, Callable[[World, Creator, dict[str, Any]], dict[str, Any]]] = {
    "message": message,
    "subscribe": subscribe,
    "click": click,
    "tip": tip,
    "purchase": purchase,
    "expire": expire,
    "undo": undo,
    "like-post": like_post,
    "delete-account": delete_account,
    "kill-session": kill_session,
    "verify-face": verify_face,
}


def happen(world: World, kind: str, body: dict[str, Any]) -> dict[str, Any]:
    """Make one event happen; unknown kinds and names raise LookupError."""
    if kind not in KINDS:
        raise LookupError(f"event {kind}; known: {', '.join(sorted(KINDS))}")
    who = creator_of(world, body)
    result = KINDS[kind](world, who, body)
    who.version += 1
    return result
