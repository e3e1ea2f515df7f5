"""Chats and their messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scripts.simulator.model import Chat, Message
from scripts.simulator.render.messages import chat_row, message_row
from scripts.simulator.render.users import details
from scripts.simulator.routes.base import OK, Call, Fail, as_html, matches, page, plain, route
from scripts.simulator.routes.fans import cached_row
from scripts.simulator.routes.media import resolve_media

FILTERS: dict[str, Callable[[Chat], bool]] = {
    "pinned": lambda chat: any(row.pinned for row in chat.messages),
    "priority": lambda chat: chat.priority,
    "unread": lambda chat: chat.unread > 0,
    "who_tipped": lambda chat: any(row.tip_cents for row in chat.messages),
    "with_tips": lambda chat: any(row.tip_cents for row in chat.messages),
    "unread_with_tips": lambda chat: chat.unread > 0 and any(row.tip_cents for row in chat.messages),
}


def chat_of(call: Call, name: str = "cid") -> Chat:
    chat = call.who.chats.get(call.id(name))
    if chat is None:
        if call.id(name) not in call.who.fans or call.who.fans[call.id(name)].deleted:
            raise Fail(404, "Chat not found")
        chat = call.who.chats[call.id(name)] = Chat(call.id(name))
    return chat


def message_of(call: Call, name: str = "mid") -> Message:
    message = call.who.messages.get(call.id(name))
    if message is None:
        raise Fail(404, "Message not found")
    return message


@route("GET /chats")
def chats(call: Call) -> Any:
    rows = [chat for chat in call.who.chats.values() if chat.messages and not chat.hidden]
    test = FILTERS.get(call.get("filter") or "")
    if test:
        rows = [chat for chat in rows if test(chat)]
    listed = call.get("list_id") or call.get("userListId")
    if listed:
        users = call.who.lists.get(listed, {"users": []})["users"]
        rows = [chat for chat in rows if chat.fan_id in users]
    if call.get("query"):
        rows = [
            chat
            for chat in rows
            if (fan := call.who.fans[chat.fan_id]) and matches(call.get("query"), fan.name, fan.username)
        ]
    rows.sort(key=lambda chat: chat.messages[-1].id, reverse=call.get("order") != "old")
    shown, more = page(rows, call.offset, min(call.limit, 100))
    full = call.get("skip_users") != "all"
    found = []
    for chat in shown:
        partner = cached_row(call, call.who.fans[chat.fan_id], details) if full else {"id": chat.fan_id, "_view": "s"}
        found.append(chat_row(call.who, chat, call.world.signer, call.now, partner=partner))
    return {"list": found, "hasMore": more}


@route("GET /chats/{cid}/messages")
def messages(call: Call) -> Any:
    """`id` (or `first_id`) is a cursor: older than it for desc. For asc `last_id` (or `id`) starts with that message."""
    rows = chat_of(call).messages
    if call.get("filter") == "pinned":
        rows = [row for row in rows if row.pinned]
    cursor = call.number("id", 0) or call.number("first_id", 0)
    if call.get("order") == "asc":
        first = call.number("last_id", 0) or cursor
        rows = [row for row in rows if row.id >= first]
    else:
        rows = [row for row in reversed(rows) if not cursor or row.id < cursor]
    shown, more = page(rows, call.offset, min(call.limit, 100))
    return {"list": [message_row(call.who, row, call.world.signer, call.now) for row in shown], "hasMore": more}


def new_message(call: Call, chat: Chat, body: dict[str, Any]) -> Message:
    text = str(body.get("text") or "")
    media = resolve_media(call, body.get("mediaFiles") or [])
    price = round(float(body.get("price") or 0) * 100)
    if not text and not media and not body.get("giphyId"):
        raise Fail(400, "Empty message")
    if price and not media:
        raise Fail(400, "Price requires media")
    number = max(call.world.new_id() + 10**10, chat.messages[-1].id + 1 if chat.messages else 0)
    previews = tuple(number for number in resolve_media(call, body.get("previews") or []) if number in media)
    return Message(
        number,
        chat.fan_id,
        True,
        as_html(text),
        call.now,
        price,
        tuple(media),
        opened=not price,
        giphy_id=body.get("giphyId"),
        locked_text=bool(body.get("lockedText")),
        previews=previews,
    )


@route("POST /chats/{cid}/messages")
def send(call: Call) -> Any:
    chat = chat_of(call)
    fan = call.who.fans[chat.fan_id]
    if fan.blocked:
        raise Fail(403, "Cannot send message to this user", 111)
    message = new_message(call, chat, call.body)
    chat.messages.append(message)
    call.who.messages[message.id] = message
    chat.unread, chat.last_read_id, chat.hidden = 0, message.id, False
    return message_row(call.who, message, call.world.signer, call.now)


@route("GET /chats/{cid}/messages/search")
def search(call: Call) -> Any:
    text = call.get("query") or ""
    return [row.id for row in reversed(chat_of(call).messages) if matches(text, plain(row.text))][:100]


@route("GET /chats/{cid}/messages/{mid}", "GET /messages/{mid}")
def one(call: Call) -> Any:
    return message_row(call.who, message_of(call), call.world.signer, call.now)


@route("DELETE /messages/{mid}", "DELETE /chats/{cid}/messages/{mid}")
def delete(call: Call) -> Any:
    message = message_of(call)
    if not message.mine or (call.now - message.created).total_seconds() > 86_400:
        raise Fail(400, "Message can not be deleted")
    call.who.chats[message.fan_id].messages.remove(message)
    del call.who.messages[message.id]
    return OK


@route(
    "POST /messages/{mid}/like",
    "DELETE /messages/{mid}/like",
    "POST /chats/{cid}/messages/{mid}/like",
    "DELETE /chats/{cid}/messages/{mid}/unlike",
)
def like(call: Call) -> Any:
    message = message_of(call)
    message.liked = call.request.method == "POST"
    return {"success": True, "isLiked": message.liked}


@route(
    "POST /messages/{mid}/pin/user/{cid}",
    "DELETE /messages/{mid}/pin/user/{cid}",
    "POST /chats/{cid}/messages/{mid}/pin",
    "DELETE /chats/{cid}/messages/{mid}/unpin",
)
def pin(call: Call) -> Any:
    message_of(call).pinned = call.request.method == "POST"
    return OK


@route("GET /chats/{cid}/media")
def chat_media(call: Call) -> Any:
    """Messages with media, newest first; `last_id` pages by cursor."""
    kind = {"photos": "photo", "videos": "video", "audios": "audio"}.get(call.get("type") or "")
    vault = call.who.vault
    cursor = call.number("last_id", 0)
    rows = [
        row
        for row in reversed(chat_of(call).messages)
        if row.media
        and (not cursor or row.id < cursor)
        and (not kind or any(vault[one].kind == kind for one in row.media if one in vault))
    ]
    shown, more = page(rows, call.offset, call.limit)
    return {
        "list": [message_row(call.who, row, call.world.signer, call.now) for row in shown],
        "hasMore": more,
        "nextLastId": str(shown[-1].id) if more else None,
    }


@route("POST /chats/mark-as-read")
def read_all(call: Call) -> Any:
    for chat in call.who.chats.values():
        _read(chat)
    return OK


def _read(chat: Chat) -> None:
    chat.unread = 0
    chat.last_read_id = chat.messages[-1].id if chat.messages else 0
    for row in chat.messages[-50:]:
        row.new = False


@route("POST /chats/{cid}/mark-as-read")
def read(call: Call) -> Any:
    _read(chat_of(call))
    return OK


@route("DELETE /chats/{cid}/mark-as-read", "POST /chats/{cid}/mark-as-unread")
def unread(call: Call) -> Any:
    chat = chat_of(call)
    chat.unread = max(chat.unread, 1)
    return OK


@route("POST /chats/{cid}/mute", "DELETE /chats/{cid}/mute", "DELETE /chats/{cid}/unmute")
def mute(call: Call) -> Any:
    chat_of(call).muted = call.request.method == "POST"
    return OK


@route("POST /chats/{cid}/hide", "DELETE /chats/{cid}/hide")
def hide(call: Call) -> Any:
    chat_of(call).hidden = call.request.method == "POST"
    return OK


@route("DELETE /chats/{cid}")
def drop(call: Call) -> Any:
    chat = chat_of(call)
    for row in chat.messages:
        call.who.messages.pop(row.id, None)
    del call.who.chats[chat.fan_id]
    return OK


@route("POST /chats/{cid}/typing")
def typing(call: Call) -> Any:
    chat_of(call)
    return OK
