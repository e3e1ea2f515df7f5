"""Messages, chats and media."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

from scripts.simulator.generate.content import variants
from scripts.simulator.model import Chat, Creator, Media, Message
from scripts.simulator.render.common import money
from scripts.simulator.times import iso


class Urls(Protocol):
    def url(self, path: str, user: int) -> str: ...


def _path(media: Media, name: str) -> str:
    return f"/files/{media.key[0]}/{media.key[:2]}/{media.key}/{name}"


def media_row(who: Creator, media: Media, urls: Urls, *, vault: bool = False) -> dict[str, Any]:
    """One media with freshly signed URLs. In the vault previews are bare URLs for lists' sake, elsewhere objects."""
    names = [name for name, _ in variants(media)]
    sizes = dict(variants(media))
    sides = ((media.width, media.height), (960, 1280), (300, 300), (150, 150))

    def entry(index: int) -> dict[str, Any]:
        url = urls.url(_path(media, names[index]), who.id)
        return {"url": url, "width": sides[index][0], "height": sides[index][1], "size": sizes[names[index]]}

    files: dict[str, Any] = {"full": {**entry(0), "sources": []}}
    for index, name in enumerate(("preview", "squarePreview", "thumb"), 1):
        files[name] = entry(index)["url"] if vault else entry(index)
    video = media.kind == "video"
    return {
        "id": media.id,
        "type": media.kind,
        "convertedToVideo": False,
        "canView": True,
        "hasError": False,
        "isReady": True,
        "createdAt": iso(media.created),
        "duration": media.duration,
        "hasCustomPreview": False,
        "files": files,
        "videoSources": {
            side: urls.url(_path(media, names[4 + n]), who.id) if video else None
            for n, side in enumerate(("240", "720"))
        },
        "releaseForms": [],
    }


def medias(who: Creator, ids: tuple[int, ...] | list[int], urls: Urls) -> list[dict[str, Any]]:
    return [media_row(who, who.vault[number], urls) for number in ids if number in who.vault]


def _said(message: Message, media: list[dict[str, Any]]) -> str:
    """The text, of some messages with a link to their file."""
    if message.text_cdn and media:
        return f'{message.text}<p><a href="{media[0]["files"]["full"]["url"].replace("&", "&amp;")}">see</a></p>'
    return message.text


def message_row(who: Creator, message: Message, urls: Urls, now: datetime) -> dict[str, Any]:
    """A message; `fromUser` is `{id, _view}`."""
    media = medias(who, message.media, urls) if message.media else []
    young = (now - message.created).total_seconds() < 86_400
    return {
        "responseType": "message",
        "text": _said(message, media),
        "giphyId": message.giphy_id,
        "lockedText": message.locked_text,
        "isFree": message.price_cents == 0,
        "price": money(message.price_cents),
        "isMediaReady": True,
        "mediaCount": len(message.media),
        "media": media,
        "previews": list(message.previews),
        "isTip": message.tip_cents > 0,
        "isReportedByMe": False,
        "isCouplePeopleMedia": False,
        "queueId": message.queue_id,
        "isMarkdownDisabled": False,
        "fromUser": {"id": who.id if message.mine else message.fan_id, "_view": "s"},
        "isFromQueue": message.queue_id is not None,
        "canUnsendQueue": young and message.queue_id is not None,
        "unsendSecondsQueue": 86_400 if young else 0,
        "id": message.id,
        "isOpened": message.opened,
        "isNew": message.new,
        "createdAt": iso(message.created),
        "changedAt": iso(message.created),
        "cancelSeconds": 86_400 if young and message.mine else 0,
        "isLiked": message.liked,
        "canPurchase": False,
        "canPurchaseReason": "opened" if message.opened else "purchased",
        "canReport": not message.mine,
        "canBePinned": True,
        "isPinned": message.pinned,
        "isSentByMe": message.mine,
        "releaseForms": [],
    }


def chat_row(who: Creator, chat: Chat, urls: Urls, now: datetime, *, partner: Any) -> dict[str, Any]:
    """One entry of the chat list; `partner` is the rendered user of the other side."""
    fan = who.fans.get(chat.fan_id)
    return {
        "withUser": partner,
        "lastMessage": message_row(who, chat.messages[-1], urls, now) if chat.messages else None,
        "unreadMessagesCount": chat.unread,
        "hasUnreadTips": any(row.new and row.tip_cents for row in chat.messages[-5:]),
        "isMutedNotifications": chat.muted,
        "lastReadMessageId": chat.last_read_id,
        "canSendMessage": not (fan and fan.blocked),
        "canNotSendReason": None,
        "canGoToProfile": True,
        "countPinnedMessages": sum(row.pinned for row in chat.messages),
        "hasPurchasedFeed": bool(fan and fan.sums["post"]),
    }
