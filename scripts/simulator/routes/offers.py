"""Promotions, bundles, the welcome message."""

from __future__ import annotations

from typing import Any

from scripts.simulator.render.common import money
from scripts.simulator.render.messages import medias
from scripts.simulator.routes.base import OK, Call, Fail, as_html, page, plain, route
from scripts.simulator.routes.media import resolve_media
from scripts.simulator.times import iso

Row = dict[str, Any]


def promotion_row(row: Row) -> Row:
    return {
        "id": row["id"],
        "message": row["message"],
        "rawMessage": plain(row["message"]),
        "price": row["price"],
        "createdAt": iso(row["at"]),
        "finishedAt": iso(row["finished"]),
        "subscribeDays": row["days"],
        "subscribeCounts": row["counts"],
        "claimsCount": row["claims"],
        "type": row["type"],
        "isFinished": row["finished"] is not None,
        "canClaim": row["finished"] is None,
        "hasRelatedPromo": False,
    }


def promotion_of(call: Call) -> Row:
    row = call.who.promotions.get(call.id("pid"))
    if row is None:
        raise Fail(404, "Promotion not found")
    return row


@route("GET /promotions")
def promotions(call: Call) -> Any:
    rows = sorted(call.who.promotions.values(), key=lambda row: (row["at"], row["id"]), reverse=True)
    shown, more = page(rows, call.offset, call.limit)
    return {"items": [promotion_row(row) for row in shown], "hasMore": more}


@route("POST /promotions")
def create_promotion(call: Call) -> Any:
    discount = float(call.field("discount") or 0)
    row: Row = {
        "id": call.world.new_id(),
        "message": as_html(str(call.field("message") or "")),
        "at": call.now,
        "finished": None,
        "claims": 0,
        "price": round(call.who.price_cents / 100 * (1 - discount / 100)),
        "counts": int(call.field("offerLimit", "offer_limit", "subscribeCounts") or 0),
        "days": int(call.field("freeTrialDays", "free_trial_days", "subscribeDays") or 30),
        "type": str(call.field("type") or "all"),
    }
    call.who.promotions[row["id"]] = row
    return [promotion_row(row)]


@route("PUT /promotions/{pid}/finish", "POST /promotions/{pid}/finish", "POST /promotions/{pid}/stop")
def finish(call: Call) -> Any:
    promotion_of(call)["finished"] = call.now
    return OK


@route("DELETE /promotions/{pid}")
def delete_promotion(call: Call) -> Any:
    del call.who.promotions[promotion_of(call)["id"]]
    return OK


def bundle_row(call: Call, row: Row) -> Row:
    cents = call.who.price_cents * row["duration"] * (100 - row["discount"]) // 100
    return {
        "id": row["id"],
        "discount": row["discount"],
        "duration": row["duration"],
        "price": money(cents),
        "canBuy": True,
    }


@route("GET /subscriptions/bundles", "GET /bundles", etag=True)
def bundles(call: Call) -> Any:
    return [bundle_row(call, row) for row in call.who.bundles.values()]


@route("POST /subscriptions/bundles", "POST /bundles")
def create_bundle(call: Call) -> Any:
    discount, duration = str(call.field("discount")), str(call.field("duration"))
    if not discount.isdigit() or duration not in {"3", "6", "12"}:
        raise Fail(400, "Wrong discount or duration")
    row = {"id": call.world.new_id(), "discount": int(discount), "duration": int(duration)}
    call.who.bundles[row["id"]] = row
    return bundle_row(call, row)


@route("DELETE /subscriptions/bundles/{bid}", "DELETE /bundles/{bid}")
def delete_bundle(call: Call) -> Any:
    row = call.who.bundles.pop(call.id("bid"), None)
    if row is None:
        raise Fail(404, "Bundle not found")
    return bundle_row(call, row)


WELCOME = "/messages/templates/reply_on_subscribe"


@route(f"GET {WELCOME}", "GET /settings/welcome-message")
def welcome(call: Call) -> Any:
    row = call.who.welcome
    return {
        "id": "reply_on_subscribe",
        "template": "reply_on_subscribe",
        "createdAt": iso(row["at"]),
        "displayText": plain(row["text"]),
        "text": row["text"],
        "giphyId": None,
        "isActive": row["active"],
        "isCouplePeopleMedia": False,
        "isMarkdownDisabled": False,
        "isMediaReady": True,
        "lockedText": False,
        "media": medias(call.who, row["media"], call.world.signer),
        "mediaCount": len(row["media"]),
        "previews": [],
        "price": money(row["price"]),
        "releaseForms": [],
    }


@route(f"POST {WELCOME}", f"PUT {WELCOME}", "POST /settings/welcome-message")
def set_welcome(call: Call) -> Any:
    row = call.who.welcome
    row["text"] = as_html(str(call.field("text") or plain(row["text"])))
    row["media"] = resolve_media(call, call.field("mediaFiles", "media_files", default=row["media"]))
    row["price"] = round(float(call.field("price") or 0) * 100)
    row["at"] = call.now
    return welcome(call)


@route("PATCH /settings/welcome-message")
def toggle_welcome(call: Call) -> Any:
    on = bool(call.field("replyOnSubscribe", "enabled", default=True))
    call.who.welcome["active"] = call.who.settings["replyOnSubscribe"] = on
    return OK
