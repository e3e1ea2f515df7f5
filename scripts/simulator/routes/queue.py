"""Mass messages, the schedule, saved for later."""

from __future__ import annotations

from typing import Any

from scripts.simulator import times
from scripts.simulator.render.common import money
from scripts.simulator.render.messages import medias
from scripts.simulator.routes.base import OK, Call, Fail, as_html, ids, page, plain, route
from scripts.simulator.routes.chats import new_message
from scripts.simulator.routes.media import resolve_media
from scripts.simulator.times import iso

Row = dict[str, Any]


def mass_of(call: Call) -> Row:
    row = call.who.mass.get(call.id("qid"))
    if row is None:
        raise Fail(404, "Queue not found")
    return row


def mass_row(call: Call, row: Row) -> Row:
    """A sent or sending mass message, as the queue lists it."""
    return {
        "id": row["id"],
        "date": iso(row["at"]),
        "isReady": True,
        "isDone": row["at"] <= call.now,
        "total": row["sent"],
        "canUnsend": not row["canceled"],
        "pending": 0 if row["at"] <= call.now else row["sent"],
        "unsendSeconds": 86_400,
        "hasError": False,
        "isCanceled": row["canceled"],
        "isCouplePeopleMedia": False,
    }


def mass_detail(row: Row) -> Row:
    return {
        "id": row["id"],
        "date": iso(row["at"]),
        "text": row["text"],
        "textCropped": plain(row["text"])[:40],
        "giphyId": None,
        "isFree": row["price"] == 0,
        "mediaTypes": None,
        "releaseForms": [],
        "sentCount": row["sent"],
        "viewedCount": row["viewed"],
        "canUnsend": not row["canceled"],
        "unsendSeconds": 86_400,
        "hasError": False,
        "isCanceled": row["canceled"],
    }


@route("GET /messages/queue", "GET /mass-messaging")
def mass_list(call: Call) -> Any:
    rows = sorted(call.who.mass.values(), key=lambda row: (row["at"], row["id"]), reverse=True)
    shown, _ = page(rows, call.offset, call.limit if call.get("limit") else 100)
    return [mass_row(call, row) for row in shown]


def receivers(call: Call) -> list[int]:
    """Fans of the lists and ids named, less those of excluded lists; without any, all active fans."""
    lists = call.who.lists
    names = [str(one) for one in call.field("userLists", "user_lists", default=[])]
    wanted = ids(call.field("userIds", "user_ids", default=[]))
    for name in names:
        if name == "fans":
            wanted += [fan.id for fan in call.who.fans.values() if fan.active_at(call.now)]
        wanted += lists.get(name, {"users": []})["users"]
    if not wanted and not names:
        wanted = [fan.id for fan in call.who.fans.values() if fan.active_at(call.now)]
    out = {
        user
        for name in call.field("excludedLists", "excluded_lists", default=[])
        for user in lists.get(str(name), {"users": []})["users"]
    }
    fans = call.who.fans
    return [
        number for number in dict.fromkeys(wanted) if number in fans and number not in out and not fans[number].deleted
    ]


@route("POST /messages/queue", "POST /mass-messaging")
def mass_send(call: Call) -> Any:
    """Goes out at once, or at `scheduledDate`; `saveForLater` only stores it."""
    media = resolve_media(call, call.field("mediaFiles", "media_files", default=[]))
    text = str(call.field("text") or "")
    if not text and not media:
        raise Fail(400, "Empty message")
    when = call.field("scheduledDate", "scheduled_date")
    later = bool(call.field("saveForLater", "save_for_later", "isScheduled"))
    people = receivers(call)
    number = call.world.new_id()
    row = {
        "id": number,
        "text": as_html(text),
        "media": media,
        "price": round(float(call.field("price") or 0) * 100),
        "sent": len(people),
        "viewed": 0,
        "at": times.parse(str(when), call.now, call.now) if when else call.now,
        "buyers": [],
        "canceled": False,
    }
    if later or when:
        call.who.queue[number] = {
            **{key: row[key] for key in ("id", "text", "media", "price")},
            "type": "chat",
            "created": call.now,
            "publish": None if later and not when else row["at"],
            "later": later and not when,
        }
    else:
        deliver(call, row, people)
    call.who.mass[number] = row
    return mass_row(call, row)


def deliver(call: Call, row: Row, people: list[int]) -> None:
    from scripts.simulator.model import Chat

    for number in people:
        chat = call.who.chats.setdefault(number, Chat(number))
        message = new_message(
            call,
            chat,
            {"text": row["text"], "mediaFiles": row["media"], "price": row["price"] / 100 if row["media"] else 0},
        )
        message.queue_id = row["id"]
        chat.messages.append(message)
        call.who.messages[message.id] = message


@route("GET /messages/queue/{qid}", "GET /mass-messaging/{qid}")
def mass_one(call: Call) -> Any:
    return {"success": True, "queue": mass_detail(mass_of(call))}


@route("PUT /messages/queue/{qid}", "PUT /mass-messaging/{qid}")
def mass_update(call: Call) -> Any:
    row = mass_of(call)
    if call.field("text") is not None:
        row["text"] = as_html(str(call.field("text")))
    return mass_row(call, row)


@route("DELETE /messages/queue/{qid}", "DELETE /mass-messaging/{qid}")
def mass_delete(call: Call) -> Any:
    """Unsends: the messages leave the chats."""
    row = mass_of(call)
    row["canceled"] = True
    call.who.queue.pop(row["id"], None)
    for number in [message.id for message in call.who.messages.values() if message.queue_id == row["id"]]:
        message = call.who.messages.pop(number)
        call.who.chats[message.fan_id].messages.remove(message)
    return {"success": True, "queue": mass_detail(row)}


def queue_row(call: Call, row: Row) -> Row:
    base = {
        "id": row["id"],
        "text": row["text"],
        "rawText": plain(row["text"]),
        "isMarkdownDisabled": False,
        "isMediaReady": True,
        "isOpened": True,
        "media": medias(call.who, row["media"], call.world.signer),
        "mediaCount": len(row["media"]),
        "price": money(row["price"]),
    }
    return {
        "id": row["id"],
        "type": row["type"],
        "createdDateTime": iso(row["created"]),
        "publishDateTime": iso(row["publish"]),
        "entity": {**base, **(_as_message(row) if row["type"] == "chat" else _as_post(row))},
    }


def _as_message(row: Row) -> Row:
    return {
        "responseType": "message",
        "giphyId": None,
        "lockedText": False,
        "isFree": row["price"] == 0,
        "previews": [],
        "isTip": False,
        "queueId": row["id"],
        "isFromQueue": True,
        "canUnsendQueue": False,
        "unsendSecondsQueue": 0,
        "isNew": False,
        "createdAt": iso(row["created"]),
        "changedAt": iso(row["created"]),
        "cancelSeconds": 0,
        "isLiked": False,
        "canPurchase": False,
        "releaseForms": [],
        "scheduledAt": iso(row["publish"]),
        "sentRulesExtra": None,
        "sentRulesType": None,
        "userLists": ["fans"],
        "userIds": [],
    }


def _as_post(row: Row) -> Row:
    return {
        "responseType": "post",
        "canDelete": True,
        "canEdit": True,
        "canToggleFavorite": False,
        "canViewMedia": True,
        "isPublishedWithPeriod": False,
        "postedAt": iso(row["publish"] or row["created"]),
        "postedAtPrecise": f"{row['created'].timestamp():.6f}",
        "tipsAmount": "$0.00",
    }


def planned(call: Call, *, later: bool, kind: str | None = None) -> list[Row]:
    rows = [row for row in call.who.queue.values() if row["later"] == later and kind in {None, row["type"]}]
    return sorted(rows, key=lambda row: (row["publish"] or row["created"], row["id"]))


@route("GET /schedules", "GET /queue")
def schedule(call: Call) -> Any:
    start = call.get("filter[publishDate]") or call.get("publishDateStart") or call.get("publish_date_start")
    end = call.get("filter[publishDateEnd]") or call.get("publishDateEnd") or call.get("publish_date_end")
    kinds = call.all("type[]", "type")
    rows = [
        row
        for row in planned(call, later=False)
        if (row["publish"].date().isoformat() >= start[:10] if start else True)
        and (row["publish"].date().isoformat() <= end[:10] if end else True)
        and (not kinds or row["type"] in kinds)
    ]
    shown, _ = page(rows, call.offset, call.limit if call.get("limit") else 100)
    return {"list": [queue_row(call, row) for row in shown], "syncInProcess": False}


@route("GET /schedules/counters", "GET /queue/counts")
def counters(call: Call) -> Any:
    days: dict[str, dict[str, int]] = {}
    for row in planned(call, later=False):
        day = days.setdefault(row["publish"].date().isoformat(), {})
        day[row["type"]] = day.get(row["type"], 0) + 1
    return {"list": days, "syncInProcess": False}


@route("PUT /schedules/{qid}/publish", "PUT /queue/{qid}/publish")
def publish(call: Call) -> Any:
    row = call.who.queue.pop(call.id("qid"), None)
    if row is None:
        raise Fail(404, "Queue not found")
    if row["type"] == "post":
        from scripts.simulator.generate.content import post

        call.who.posts[row["id"]] = {**post(row["id"], row["text"], row["media"], call.now), "price": row["price"]}
    return OK


@route("DELETE /schedules/{qid}", "DELETE /queue/{qid}")
def unplan(call: Call) -> Any:
    if call.who.queue.pop(call.id("qid"), None) is None:
        raise Fail(404, "Queue not found")
    return OK


PARTS = {"chat": "chat", "messages": "chat", "post": "post", "posts": "post"}


def part_of(call: Call) -> str:
    if call.params["part"] not in PARTS:
        raise Fail(404, "Not found")
    return PARTS[call.params["part"]]


@route("GET /schedules/later/{part}", "GET /saved-for-later/{part}")
def later(call: Call) -> Any:
    shown, more = page(planned(call, later=True, kind=part_of(call)), call.offset, call.limit)
    return {"list": [queue_row(call, row) for row in shown], "hasMore": more, "syncInProcess": False}


@route("GET /schedules/later/{part}/settings", "GET /saved-for-later/{part}/settings")
def later_settings(call: Call) -> Any:
    row = call.who.settings["later"][part_of(call)]
    return {"isEnabled": row["isEnabled"], "currentCode": row["period"], "options": [6, 12, 24, 48]}


@route(
    "PATCH /schedules/later/{part}/settings",
    "PUT /schedules/later/{part}/settings",
    "POST /schedules/later/{part}/settings",
    "PATCH /saved-for-later/{part}/settings/{action}",
    "PATCH /schedules/later/{part}/settings/{action}",
    "DELETE /schedules/later/{part}/settings",
)
def later_change(call: Call) -> Any:
    """`{period}` switches on; DELETE, `isEnabled: false` or a `disable-…` action switches off."""
    row = call.who.settings["later"][part_of(call)]
    off = (
        call.request.method == "DELETE"
        or call.params.get("action", "").startswith("disable")
        or call.field("isEnabled", default=True) is False
    )
    row["isEnabled"] = not off
    if off:
        return []
    row["period"] = int(call.field("period", default=row["period"]))
    return {"period": row["period"]}
