"""Identity and user pages."""

from __future__ import annotations

from typing import Any

from scripts.simulator.model import Creator, Fan
from scripts.simulator.render.me import me
from scripts.simulator.render.users import author, details, fan_row
from scripts.simulator.routes.base import Call, Fail, ids, matches, page, route
from scripts.simulator.times import iso


@route("GET /users/me", "GET /me")
def myself(call: Call) -> Any:
    return me(call.who, sum(fan.active_at(call.now) for fan in call.who.fans.values() if not fan.deleted))


@route("PATCH /users/me", "POST /settings/profile")
def change(call: Call) -> Any:
    """Takes profile fields and `replyOnSubscribe`, `subscribePrice`."""
    body = call.body
    for key in ("about", "location", "website", "wishlist"):
        if key in body:
            call.who.profile[key] = body[key]
    if body.get("name"):
        call.who.name = str(body["name"])
    if body.get("username"):
        call.who.username = str(body["username"])
    if "replyOnSubscribe" in body:
        call.who.settings["replyOnSubscribe"] = call.who.welcome["active"] = bool(body["replyOnSubscribe"])
    if "subscribePrice" in body:
        call.who.price_cents = round(float(body["subscribePrice"]) * 100)
    return {"success": True} if call.request.method == "POST" else myself(call)


@route("GET /users/me/start-date-model", "GET /me/model-start-date")
def start_date(call: Call) -> Any:
    return {"startDate": iso(call.who.joined)}


@route("GET /me/top-percentage")
def top_percentage(call: Call) -> Any:
    top = me(call.who, 0)["performerTop"]
    return {"top_percentage": top, "message": f"You are in the top {top}% of all creators!"}


@route("GET /users/ws-auth")
def ws_auth(call: Call) -> Any:
    row = me(call.who, 0)
    return {"wsUrl": row["wsUrl"], "wsAuthToken": row["wsAuthToken"]}


def find(call: Call, name: str) -> Fan | Creator | None:
    """By id or username: a fan, a followed creator, or a creator of this world."""
    number = int(name) if name.isdigit() else call.who.by_username.get(name, 0)
    fan = call.who.fans.get(number) or call.who.following.get(number)
    if fan is not None:
        return None if fan.deleted else fan
    return next((one for one in call.world.creators if one.id == number or one.username == name), None)


def shown(call: Call, found: Fan | Creator) -> dict[str, Any]:
    if isinstance(found, Fan):
        return details(call.who, found, call.now)
    outside = Fan(found.id, found.username, found.name, found.joined, call.now)
    return {**details(call.who, outside, call.now), **author(found), "view": "p", **found.profile, "subscribedOn": None}


@route("GET /users/list")
def many(call: Call) -> Any:
    """`m[]=`, `x[]=`, `a[]=` (view sizes) or `ids=1,2` -> users by id; unknown ids are left out."""
    wanted = ids(call.all("m[]", "x[]", "a[]", "m", "x", "a"))
    wanted += ids(part for text in call.all("ids", "ids[]") for part in text.split(","))
    found = {str(number): find(call, str(number)) for number in wanted[:100]}
    return {
        key: {**shown(call, one), "headerSize": None, "headerThumbs": None}
        for key, one in found.items()
        if one is not None
    }


@route("GET /users/{name}")
def one(call: Call) -> Any:
    found = find(call, call.params["name"])
    if found is None:
        raise Fail(404, "User not found")
    return shown(call, found)


@route("POST /users/exists", "POST /settings/username-exists")
def exists(call: Call) -> Any:
    """`success` says that the name is taken."""
    name = str(call.field("username", default=""))
    return {"success": name in call.who.by_username or any(name == one.username for one in call.world.creators)}


@route("GET /users/search", "GET /notifications/search-users")
def search(call: Call) -> Any:
    rows = [
        fan for fan in call.who.fans.values() if not fan.deleted and matches(call.get("query"), fan.name, fan.username)
    ]
    found, _ = page(rows, call.offset, call.limit)
    return [{**fan_row(call.who, fan, call.now), "avatarThumbs": None} for fan in found]
