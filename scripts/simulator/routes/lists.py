"""User lists."""

from __future__ import annotations

from typing import Any

from scripts.simulator.render.users import brief, fan_row
from scripts.simulator.routes.base import OK, Call, Fail, ids, page, route

Row = dict[str, Any]


def list_of(call: Call) -> Row:
    row = call.who.lists.get(call.params["lid"])
    if row is None:
        raise Fail(404, "List not found")
    return row


def list_row(call: Call, row: Row, *, numeric: bool = False) -> Row:
    """Writes answer with a numeric id, reads with text."""
    custom = row["type"] == "custom"
    shown = [brief(call.who.fans[number]) for number in row["users"][:3] if number in call.who.fans]
    return {
        "id": int(row["id"]) if numeric and row["id"].isdigit() else row["id"],
        "type": row["type"],
        "name": row["name"],
        "usersCount": len(row["users"]),
        "postsCount": 0,
        "canUpdate": custom,
        "canDelete": custom,
        "canManageUsers": custom,
        "canAddUsers": custom,
        "canPinnedToFeed": True,
        "isPinnedToFeed": row["feed"],
        "canPinnedToChat": True,
        "isPinnedToChat": False,
        "order": "date",
        "direction": "desc",
        "sortList": [],
        "users": shown,
    }


@route("GET /lists", "GET /user-lists", etag=True)
def lists(call: Call) -> Any:
    rows = list(call.who.lists.values())
    shown, more = page(rows, call.offset, call.limit if call.get("limit") else 100)
    listed = [list_row(call, row) for row in shown]
    return {"list": listed, "hasMore": more} if call.get("format") == "infinite" else listed


@route("POST /lists", "POST /user-lists")
def create(call: Call) -> Any:
    name = str(call.field("name") or "")
    if not name:
        raise Fail(400, "Name is required")
    key = str(call.world.new_id())
    call.who.lists[key] = {"id": key, "name": name, "type": "custom", "users": [], "pinned": [], "feed": False}
    return list_row(call, call.who.lists[key], numeric=True)


@route("GET /lists/{lid}", "GET /user-lists/{lid}")
def one(call: Call) -> Any:
    return list_row(call, list_of(call), numeric=True)


@route("PATCH /lists/{lid}", "PUT /lists/{lid}", "PUT /user-lists/{lid}")
def update(call: Call) -> Any:
    row = list_of(call)
    row["name"] = str(call.field("name") or row["name"])
    if call.field("isPinnedToFeed", "is_pinned_to_feed") is not None:
        row["feed"] = bool(call.field("isPinnedToFeed", "is_pinned_to_feed"))
    return list_row(call, row, numeric=True)


@route("DELETE /lists/{lid}", "DELETE /user-lists/{lid}")
def delete(call: Call) -> Any:
    row = list_of(call)
    if row["type"] != "custom":
        raise Fail(403, "List can not be deleted")
    del call.who.lists[row["id"]]
    return OK


def members(call: Call, key: str) -> Any:
    people = [call.who.fans[number] for number in list_of(call)[key] if number in call.who.fans]
    shown, more = page(people, call.offset, call.limit)
    rows = [fan_row(call.who, fan, call.now) for fan in shown if not fan.deleted]
    return {"list": rows, "hasMore": more, "nextOffset": call.offset + len(shown)}


@route("GET /lists/{lid}/users", "GET /user-lists/{lid}/users")
def users(call: Call) -> Any:
    return members(call, "users")


@route("GET /lists/{lid}/users/pinned", "GET /user-lists/{lid}/users/pinned")
def pinned(call: Call) -> Any:
    return members(call, "pinned")


@route("POST /lists/{lid}/users", "POST /user-lists/{lid}/users")
def add(call: Call) -> Any:
    """`ids` -> `{<list id>: [ids added]}`."""
    row, wanted = list_of(call), ids(call.field("ids", "users", default=[]))
    unknown = [number for number in wanted if number not in call.who.fans]
    if unknown:
        raise Fail(400, f"Wrong users {unknown}")
    added = [number for number in wanted if number not in row["users"]]
    row["users"] += added
    return {row["id"]: added}


@route("DELETE /lists/{lid}/users", "DELETE /user-lists/{lid}/users")
def clear(call: Call) -> Any:
    row = list_of(call)
    row["users"], row["pinned"] = [], []
    return list_row(call, row, numeric=True)


@route("POST /lists/{lid}/users/{uid}", "DELETE /lists/{lid}/users/{uid}", "DELETE /user-lists/{lid}/users/{uid}")
def member(call: Call) -> Any:
    row, fan = list_of(call), call.fan()
    if call.request.method == "POST" and fan.id not in row["users"]:
        row["users"].append(fan.id)
    if call.request.method == "DELETE":
        if fan.id not in row["users"]:
            raise Fail(404, "User not found")
        row["users"].remove(fan.id)
    state = {
        "id": int(row["id"]) if row["id"].isdigit() else 0,
        "type": row["type"],
        "name": row["name"],
        "hasUser": fan.id in row["users"],
        "canAddUser": True,
        "cannotAddUserReason": None,
    }
    return {"list": list_row(call, row, numeric=True), "userState": state}


@route(
    "POST /lists/{lid}/users/{uid}/pin", "DELETE /lists/{lid}/users/{uid}/pin", "POST /user-lists/{lid}/users/{uid}/pin"
)
def pin(call: Call) -> Any:
    row, fan = list_of(call), call.fan()
    if fan.id not in row["users"]:
        raise Fail(404, "User not found")
    row["pinned"] = [number for number in row["pinned"] if number != fan.id]
    if call.request.method == "POST":
        row["pinned"].append(fan.id)
    return OK
