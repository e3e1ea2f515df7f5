"""Notifications."""

from __future__ import annotations

from typing import Any

from scripts.simulator.render.users import brief
from scripts.simulator.routes.base import OK, Call, page, route
from scripts.simulator.times import iso

# what happened -> (type, sub type, text, tab)
KINDS = {
    "subs": ("subscribed", "new_subscriber", "{SUBSCRIBER_LINK} subscribed for {PRICE}", "subscribed"),
    "renewed": ("subscribed", "renewed_subscriber", "{SUBSCRIBER_LINK} renewed for {PRICE}", "subscribed"),
    "tips": ("tip", "new_tips", "{NAME} sent you a tip of {AMOUNT}", "tip"),
    "chat_messages": (
        "paided_message",
        "subscriber_pay_for_chat_message",
        "{NAME} purchased your {MESSAGE_LINK} for {AMOUNT}",
        "purchases",
    ),
    "favorited": ("favorited", "favorited_post", "{NAME} liked your {POST_LINK}", "favorited"),
}
FILTERS = {
    "subscribed": "subs",
    "tipped": "tips",
    "tip": "tips",
    "purchases": "chat_messages",
    "favorited": "favorited",
    "subscriptions": "subs",
    "tips": "tips",
    "likes": "favorited",
}


def note_row(call: Call, note: dict[str, Any], *, users: bool) -> dict[str, Any]:
    kind, sub, text, _ = KINDS[note["kind"]]
    fan = call.who.fans[note["fan"]]
    link = f'<a href="https://onlyfans.com/{fan.username}">{fan.name}</a>'
    price = f"${note['cents'] / 100:.2f}"
    pairs: dict[str, str] = {"{NAME}": link}
    if kind == "subscribed":
        pairs = {"{SUBSCRIBER_LINK}": link, "{PRICE}": price}
    elif kind == "favorited":
        pairs["{POST_LINK}"] = f'<a href="https://onlyfans.com/{note["message"]}/{call.who.username}">post</a>'
    else:
        pairs["{AMOUNT}"] = price
        if note["message"]:
            pairs["{MESSAGE_LINK}"] = (
                f'<a href="https://onlyfans.com/my/chats/chat/{fan.id}/?firstId={note["message"]}">message</a>'
            )
    return {
        "id": note["id"],
        "type": kind,
        "subType": sub,
        "createdAt": iso(note["at"]),
        "text": text,
        "isRead": note["read"],
        "canGoToProfile": True,
        "replacePairs": pairs,
        "user_id": call.who.id,
        "user": brief(fan) if users else {"id": fan.id, "_view": "s"},
    }


@route("GET /users/notifications", "GET /notifications")
def notifications(call: Call) -> Any:
    """Newest first; `fromId` (ids below it) or `offset`."""
    wanted = FILTERS.get(call.get("type") or "")
    kinds = {wanted, "renewed"} if wanted == "subs" else {wanted}
    rows = [note for note in call.who.notifications if not wanted or note["kind"] in kinds]
    if call.get("type") and not wanted and call.get("type") != "all":
        rows = []
    cursor = call.number("fromId", 0) or call.number("from_id", 0)
    rows = [note for note in rows if not cursor or note["id"] < cursor]
    shown, more = page(rows, call.offset, call.limit)
    return {"list": [note_row(call, note, users=call.get("skip_users") != "all") for note in shown], "hasMore": more}


@route("GET /users/notifications/count", "GET /notifications/counts")
def counts(call: Call) -> Any:
    names = (
        "all",
        "commented",
        "deactivated_media",
        "favorited",
        "mentioned",
        "message",
        "purchases",
        "subscribed",
        "system",
        "tags",
        "tip",
    )
    found = dict.fromkeys(names, 0)
    for note in call.who.notifications:
        if not note["read"]:
            found["all"] += 1
            found[KINDS[note["kind"]][3]] += 1
    return found


@route("POST /users/notifications/read", "POST /notifications/mark-all-as-read")
def read(call: Call) -> Any:
    for note in call.who.notifications:
        note["read"] = True
    return OK


@route("GET /users/notifications/settings/tabs-order", "GET /notifications/tabs-order")
def tabs(call: Call) -> Any:
    return call.who.settings["tabs"]


@route(
    "POST /users/notifications/settings/tabs-order",
    "PUT /users/notifications/settings/tabs-order",
    "PUT /notifications/tabs-order",
)
def set_tabs(call: Call) -> Any:
    call.who.settings["tabs"] = [str(one) for one in call.field("tabs", default=[])]
    return OK
