"""Subscribers: lists, latest, top, history, notes, counts, charts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson

from scripts.simulator.model import Creator, Fan
from scripts.simulator.render.common import chart, money
from scripts.simulator.render.users import details, fan_row, followed_row
from scripts.simulator.routes.base import OK, Call, Fail, matches, page, route
from scripts.simulator.times import iso

MAX_FANS = 50


def cached_row(
    call: Call, fan: Fan, render: Callable[[Creator, Fan, datetime], dict[str, Any]] = fan_row
) -> orjson.Fragment:
    """The fan's row, rendered once until something of this creator changes or the hour does."""
    key = (call.who.id, fan.id, render.__name__)
    stamp = (call.who.version, call.now.hour)
    hit = call.world.rows.get(key)
    if hit is None or hit[0] != stamp:
        hit = call.world.rows[key] = (stamp, orjson.Fragment(orjson.dumps(render(call.who, fan, call.now))))
    return hit[1]


def _wanted(call: Call, fan: Fan, kind: str) -> bool:
    active = fan.active_at(call.now)
    if (kind == "active" and not active) or (kind == "expired" and active):
        return False
    total = sum(fan.sums.values())
    months = (call.now - fan.spans[0].start).days // 30 if fan.spans else 0
    return (
        matches(call.get("query"), fan.name, fan.username, fan.display_name)
        and total >= call.number("filter[total_spent]", 0) * 100
        and fan.sums["tips"] >= call.number("filter[tips]", 0) * 100
        and months >= call.number("filter[duration]", 0)
        and (call.get("filter[online]") != "1" or fan.online)
    )


@route("GET /subscriptions/subscribers", "GET /fans/{kind}")
def subscribers(call: Call) -> Any:
    kind = call.params.get("kind") or call.get("type") or "all"
    if kind not in {"all", "active", "expired"}:
        raise Fail(404, "Not found")
    rows = [call.who.fans[number] for number in call.who.fan_order]
    if any(key.startswith("filter") or key == "query" for key, _ in call.query):
        rows = [fan for fan in rows if _wanted(call, fan, kind)]
    elif kind != "all":
        rows = [fan for fan in rows if fan.active_at(call.now) == (kind == "active")]
    shown, more = page(rows, call.offset, min(call.limit, MAX_FANS))
    listed = [cached_row(call, fan) for fan in shown if not fan.deleted]
    return (
        {"list": listed, "hasMore": more} if call.get("format") == "infinite" or "limit" in dict(call.query) else listed
    )


@route("GET /subscriptions/subscribers/latest")
def latest(call: Call) -> Any:
    kind = call.get("type") or "total"
    start, end = call.dates(days=30)
    found: dict[int, Any] = {}
    for fan in call.who.fans.values():
        for span in fan.spans:
            fits = kind == "total" or (kind == "new") == (span.action == "subscribe")
            if fits and start <= span.start <= min(end, call.now):
                found[fan.id] = max(found.get(fan.id, span.start), span.start)
    order = sorted(found, key=lambda number: (found[number], number), reverse=True)
    shown, more = page(order, call.offset, min(call.limit, MAX_FANS))
    users = [cached_row(call, call.who.fans[number]) for number in shown if not call.who.fans[number].deleted]
    return {"users": users, "hasMore": more, "offset": call.offset + len(shown)}


TOP = {
    "total": "",
    "subscribes": "subscribes",
    "tips": "tips",
    "messages": "chat_messages",
    "post": "post",
    "streams": "stream",
}


@route("GET /subscriptions/subscribers/top", "GET /users/me/stats/top/fan")
def top(call: Call) -> Any:
    kind = TOP.get(call.get("by") or "total", "")
    people = [fan for fan in call.who.fans.values() if not fan.deleted]
    people.sort(key=lambda fan: (fan.sums[kind] if kind else sum(fan.sums.values()), fan.id), reverse=True)
    shown, _ = page(people, call.offset, min(call.limit, MAX_FANS))
    return {"users": [cached_row(call, fan) for fan in shown]}


@route("GET /subscriptions/subscribes", "GET /following/{kind}")
def following(call: Call) -> Any:
    kind = call.params.get("kind") or call.get("type") or "all"
    rows = [
        followed_row(other, call.now)
        for other in call.who.following.values()
        if matches(call.get("query"), other.name, other.username)
    ]
    rows = [row for row in rows if kind == "all" or row["subscribedBy"] == (kind == "active")]
    shown, more = page(rows, call.offset, call.limit)
    return {"list": shown, "hasMore": more}


@route("GET /subscriptions/{uid}/history", "GET /fans/{uid}/subscriptions-history")
def history(call: Call) -> Any:
    rows = [
        {"subscribeDate": iso(span.start), "expireDate": iso(span.end), "price": money(span.price_cents)}
        for span in reversed(call.fan().spans)
    ]
    shown, more = page(rows, call.offset, call.limit if call.get("limit") else 1000)
    return {"list": shown, "hasMore": more}


@route("PUT /subscriptions/{uid}", "PUT /fans/{uid}/custom-name", "PUT /fans/{uid}/notes", "DELETE /fans/{uid}/notes")
def annotate(call: Call) -> Any:
    """Sets `notice` and/or `displayName`; an empty text clears."""
    fan = call.fan()
    notice = "" if call.request.method == "DELETE" else call.field("notice", "notes")
    name = call.field("displayName", "custom_name", "name")
    if notice is not None:
        fan.notice = str(notice)
    if name is not None:
        fan.display_name = str(name)
    row = details(call.who, fan, call.now)
    return {**row, "subscribedBy": None, "headerSize": None}


@route("GET /fans/{uid}/notes")
def notes(call: Call) -> Any:
    return {"notes": call.fan().notice}


@route("GET /subscriptions/count/all", "GET /subscriptions/subscribers/count")
def counts(call: Call) -> Any:
    people = [fan for fan in call.who.fans.values() if not fan.deleted]
    active = sum(fan.active_at(call.now) for fan in people)
    if call.request.path.endswith("/count"):
        return {"count": active}
    groups = {
        "all": len(people),
        "active": active,
        "expired": len(people) - active,
        "muted": 0,
        "restricted": 0,
        "blocked": 0,
    }
    return {
        "subscribers": groups,
        "subscriptions": {"all": len(call.who.following), "active": len(call.who.following)},
        "bookmarks": 0,
    }


@route("GET /subscriptions/subscribers/chart", "GET /subscribers/statistics")
def subscriber_chart(call: Call) -> Any:
    start, end = call.dates()
    kind = call.get("by") or call.get("type") or "total"
    spans = [
        span
        for fan in call.who.fans.values()
        for span in fan.spans
        if start <= span.start <= min(end, call.now)
        and (kind == "total" or (kind == "new") == (span.action == "subscribe"))
    ]
    return {
        "total": sum(span.price_cents for span in spans) / 100,
        "delta": 0.5,
        "subscribers": len(spans),
        "earnings": chart(((span.start, span.price_cents / 100) for span in spans), start, end),
        "subscribes": chart(((span.start, 1) for span in spans), start, end),
    }


def _set(call: Call, name: str, value: bool) -> Any:
    fan = call.fan()
    setattr(fan, name, value)
    users = call.who.lists["blocked" if name == "blocked" else "restricted"]["users"]
    if value and fan.id not in users:
        users.append(fan.id)
    if not value and fan.id in users:
        users.remove(fan.id)
    return details(call.who, fan, call.now) if call.request.path.startswith("/api2/v2/users/") else OK


@route("POST /users/{uid}/block", "DELETE /users/{uid}/block")
def block(call: Call) -> Any:
    return _set(call, "blocked", call.request.method == "POST")


@route("POST /users/{uid}/restrict", "DELETE /users/{uid}/restrict")
def restrict(call: Call) -> Any:
    return _set(call, "restricted", call.request.method == "POST")


@route("GET /users/blocked", "GET /users/restrict")
def blocked(call: Call) -> Any:
    name = "blocked" if call.request.path.endswith("blocked") else "restricted"
    rows = [fan_row(call.who, fan, call.now) for fan in call.who.fans.values() if getattr(fan, name)]
    shown, more = page(rows, call.offset, call.limit)
    return {"list": shown, "hasMore": more}


@route("POST /users/{uid}/subscribe", "POST /users/{uid}/resubscribe")
def subscribe(call: Call) -> Any:
    other = call.who.following.get(call.id("uid"))
    if other is None:
        raise Fail(404, "User not found")
    return {**followed_row(other, call.now), "subscribedBy": True}


@route("DELETE /users/{uid}/subscribe")
def unsubscribe(call: Call) -> Any:
    if call.id("uid") not in call.who.following:
        raise Fail(404, "User not found")
    return {"success": True, "message": "You have unsubscribed"}


@route("GET /unsubscribe/reasons")
def reasons(_call: Call) -> Any:
    return [{"code": code, "text": text} for code, text in enumerate(("Too expensive", "Not interested", "Other"), 1)]
