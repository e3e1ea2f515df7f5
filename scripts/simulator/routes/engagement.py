"""Statistics of messages: top message, direct and mass messages, buyers."""

from __future__ import annotations

from typing import Any

from scripts.simulator.model import Message
from scripts.simulator.render.common import chart
from scripts.simulator.render.messages import medias
from scripts.simulator.render.users import fan_row
from scripts.simulator.routes.base import Call, Fail, matches, page, plain, route
from scripts.simulator.times import iso


def price_text(cents: int) -> str:
    return f"{cents / 100:.2f}"


def meta(call: Call, number: int, text: str, media: Any, *, price: int, at: Any) -> dict[str, Any]:
    return {
        "id": number,
        "date": iso(at),
        "text": text,
        "rawText": plain(text),
        "price": price_text(price),
        "isFree": price == 0,
        "isTip": False,
        "isCanceled": False,
        "canUnsend": False,
        "unsendSeconds": 0,
        "isMediaReady": True,
        "isReportedByMe": False,
        "giphyId": None,
        "template": None,
        "responseType": "message",
        "mediaCount": len(media),
        "media": medias(call.who, media, call.world.signer),
        "previews": [],
    }


def direct_row(call: Call, row: Message) -> dict[str, Any]:
    bought = row.price_cents > 0 and row.opened
    return {
        **meta(call, row.id, row.text, row.media, price=row.price_cents, at=row.created),
        "messageId": row.id,
        "toUserId": row.fan_id,
        "sentCount": 1,
        "viewedCount": int(not row.new),
        "purchasedCount": int(bought),
        "canSendMessageToBuyers": bought,
    }


def mass_row(call: Call, row: dict[str, Any]) -> dict[str, Any]:
    out = {
        **meta(call, row["id"], row["text"], row["media"], price=row["price"], at=row["at"]),
        "isCanceled": row["canceled"],
        "sentCount": row["sent"],
        "viewedCount": row["viewed"],
    }
    if row["price"]:
        out |= {"purchasedCount": len(row["buyers"]), "canSendMessageToBuyers": bool(row["buyers"])}
    return out


def mass_between(call: Call) -> list[dict[str, Any]]:
    start, end = call.dates(days=400)
    rows = [
        row
        for row in call.who.mass.values()
        if start <= row["at"] <= end and matches(call.get("query"), plain(row["text"]))
    ]
    return sorted(rows, key=lambda row: (row["at"], row["id"]), reverse=True)


@route("GET /users/me/stats/top/message", "GET /engagement/messages/top-message")
def top_message(call: Call) -> Any:
    """The mass message with the most purchases in the dates; `purchases` is null when nothing sold."""
    sold = [row for row in mass_between(call) if row["buyers"]]
    best = max(sold, key=lambda row: (len(row["buyers"]), row["id"]), default=None)
    if best is None:
        return {"purchases": None}
    count = len(best["buyers"])
    return {
        "purchases": {
            **meta(call, best["id"], best["text"], best["media"], price=best["price"], at=best["at"]),
            "canSendMessageToBuyers": True,
            "sentCount": best["sent"],
            "viewedCount": best["viewed"],
            "purchasedCount": count,
            "totalRevenueGenerated": price_text(best["price"] * count),
        }
    }


@route("GET /users/me/stats/messages/group", "GET /engagement/messages/mass-messages", "GET /mass-messaging/overview")
def mass_list(call: Call) -> Any:
    shown, more = page(mass_between(call), call.offset, call.limit)
    return {"items": [mass_row(call, row) for row in shown], "hasMore": more}


@route("GET /users/me/stats/messages/direct", "GET /engagement/messages/direct-messages")
def direct_list(call: Call) -> Any:
    start, end = call.dates()
    rows = [
        row
        for row in call.who.messages.values()
        if row.mine
        and row.queue_id is None
        and start <= row.created <= end
        and matches(call.get("query"), plain(row.text))
    ]
    rows.sort(key=lambda row: row.id, reverse=True)
    shown, more = page(rows, call.offset, call.limit)
    return {"items": [direct_row(call, row) for row in shown], "hasMore": more}


def _charts(call: Call, name: str, rows: list[tuple[Any, float]], sales: list[tuple[Any, float]]) -> Any:
    start, end = call.dates()
    return {
        name: {"chart": chart(rows, start, end), "delta": 0, "total": len(rows)},
        f"{name}_purchases": {
            "chart": chart(sales, start, end),
            "delta": 0,
            "total": int(sum(value for _, value in sales)),
        },
    }


@route("GET /users/me/stats/messages/direct/chart", "GET /engagement/messages/direct-messages/chart")
def direct_chart(call: Call) -> Any:
    start, end = call.dates()
    rows = [
        row for row in call.who.messages.values() if row.mine and row.queue_id is None and start <= row.created <= end
    ]
    sales = [(row.created, row.price_cents / 100) for row in rows if row.price_cents and row.opened]
    return _charts(call, "direct_messages", [(row.created, 1) for row in rows], sales)


@route("GET /users/me/stats/messages/group/chart", "GET /engagement/messages/mass-messages/chart")
def mass_chart(call: Call) -> Any:
    start, end = call.dates()
    rows = [row for row in call.who.mass.values() if start <= row["at"] <= end]
    sales = [(row["at"], row["price"] / 100 * len(row["buyers"])) for row in rows]
    return _charts(call, "group_messages", [(row["at"], 1) for row in rows], sales)


@route("GET /messages/{mid}/buyers", "GET /engagement/messages/{mid}/buyers")
def buyers(call: Call) -> Any:
    """`marker` is the last buyer's id; rows come in descending order of it."""
    number = call.id("mid")
    row, message = call.who.mass.get(number), call.who.messages.get(number)
    if row is None and message is None:
        raise Fail(404, "Message not found")
    people = (
        list(row["buyers"]) if row else [message.fan_id] if message and message.price_cents and message.opened else []
    )
    marker = call.number("marker", 0)
    people = sorted((one for one in people if not marker or one < marker), reverse=True)
    shown, more = page(people, call.offset, call.limit)
    rows = [
        {
            **fan_row(call.who, call.who.fans[one], call.now),
            "avatarThumbs": None,
            "subscribedOn": None,
            "isActive": True,
            "showMediaCount": True,
        }
        for one in shown
    ]
    return {"list": rows, "hasMore": more, "marker": shown[-1] if shown else marker}
