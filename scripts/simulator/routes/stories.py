"""Stories, their archive, viewers and statistics, highlights."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from scripts.simulator.generate.content import story as new_story
from scripts.simulator.render.common import chart
from scripts.simulator.render.messages import medias
from scripts.simulator.render.users import fan_row
from scripts.simulator.routes.base import OK, Call, Fail, ids, page, route
from scripts.simulator.routes.media import resolve_media
from scripts.simulator.times import iso

Row = dict[str, Any]


def story_of(call: Call, name: str = "sid") -> Row:
    found = call.who.stories.get(call.id(name))
    if found is None:
        raise Fail(404, "Story not found")
    return found


def media_of(call: Call, story: Row) -> list[Row]:
    """Media of stories carry small sources beside the preview."""
    rows = medias(call.who, story["media"], call.world.signer)
    for row in rows:
        files = row["files"]
        files["preview"]["sources"] = {"w150": files["thumb"]["url"]}
        files["squarePreview"]["sources"] = {"w150": files["thumb"]["url"], "w480": files["squarePreview"]["url"]}
    return rows


def story_row(call: Call, story: Row) -> Row:
    return {
        "id": story["id"],
        "userId": call.who.id,
        "createdAt": iso(story["at"]),
        "canDelete": True,
        "commentsCount": 0,
        "hasPost": False,
        "isHighlightCover": any(row["cover"] == story["id"] for row in call.who.highlights.values()),
        "isLastInHighlight": False,
        "isReady": True,
        "isWatched": story["watched"],
        "likesCount": story["likes"],
        "media": media_of(call, story),
        "question": None,
        "releaseForms": [],
        "tipsAmount": f"${story['tips_cents'] / 100:.2f}",
        "tipsAmountRaw": story["tips_cents"] // 100,
        "tipsCount": 0,
        "viewers": [],
        "viewersCount": len(story["viewers"]),
        "canvasWidth": story["canvas"][0],
        "canvasHeight": story["canvas"][1],
    }


@route("GET /users/me/stories", "GET /stories")
def active(call: Call) -> Any:
    return [story_row(call, row) for row in call.who.stories.values() if row["at"] > call.now - timedelta(hours=24)]


@route("GET /stories/archive")
def archive(call: Call) -> Any:
    rows = sorted(call.who.stories.values(), key=lambda row: row["id"], reverse=True)
    marker = call.number("marker", 0)
    if marker:
        rows = [row for row in rows if row["id"] < marker]
    shown, more = page(rows, call.offset, call.limit)
    listed = [
        {"id": row["id"], "createdAt": iso(row["at"]), "media": media_of(call, row), "question": None} for row in shown
    ]
    return {"list": listed, "hasMore": more, "marker": shown[-1]["id"] if shown else marker}


@route("GET /stories/{sid}")
def one(call: Call) -> Any:
    return story_row(call, story_of(call))


@route("POST /stories")
def create(call: Call) -> Any:
    media = resolve_media(call, call.field("mediaFiles", "media_files", default=[]))
    if not media:
        raise Fail(400, "Media is required")
    story = new_story(call.world.new_id(), media, call.now)
    call.who.stories[story["id"]] = story
    row = story_row(call, story)
    for one_media in row["media"]:
        one_media["files"].update(
            {name: one_media["files"][name]["url"] for name in ("preview", "squarePreview", "thumb")}
        )
    return {**row, "texts": []}


@route("DELETE /stories/{sid}")
def delete(call: Call) -> Any:
    del call.who.stories[story_of(call)["id"]]
    return OK


@route("PUT /stories/{sid}/watched", "POST /stories/{sid}/mark-as-watched")
def watched(call: Call) -> Any:
    story_of(call)["watched"] = True
    return OK


@route("GET /stories/{sid}/viewers")
def viewers(call: Call) -> Any:
    people = [call.who.fans[number] for number in story_of(call)["viewers"] if number in call.who.fans]
    shown, more = page(people, call.offset, call.limit)
    flags = {
        "hasStoryTips": False,
        "hasTopStoryTips": False,
        "isStoryBlockedUser": False,
        "isStoryLiked": False,
        "showMediaCount": True,
    }
    rows = [{**fan_row(call.who, fan, call.now), **flags, "avatarThumbs": None} for fan in shown]
    return {"list": rows, "hasMore": more}


@route("GET /stories/{sid}/stats")
def stats(call: Call) -> Any:
    story = story_of(call)
    start, end = story["at"], min(call.now, story["at"] + timedelta(days=2))
    empty = chart((), start, end)
    return {
        "createdAt": iso(story["at"]),
        "storyCommentAll": [],
        "storyCommentChart": empty,
        "storyCommentCount": 0,
        "storyLikeAll": [],
        "storyLikeChart": chart([(start, story["likes"])], start, end),
        "storyLikeCount": story["likes"],
        "storyLookAll": [],
        "storyLookChart": chart([(start, len(story["viewers"]))], start, end),
        "storyLookCount": str(len(story["viewers"])),
        "storyTipAll": [],
        "storyTipChart": empty,
        "storyTipCount": 0,
        "storyTipSum": story["tips_cents"] // 100,
        "storyTipSumChart": empty,
    }


def highlight_of(call: Call) -> Row:
    found = call.who.highlights.get(call.id("hid"))
    if found is None:
        raise Fail(404, "Highlight not found")
    return found


def highlight_row(call: Call, row: Row) -> Row:
    cover = call.who.stories.get(row["cover"])
    media = medias(call.who, cover["media"], call.world.signer) if cover else []
    return {
        "id": row["id"],
        "userId": call.who.id,
        "title": row["title"],
        "coverStoryId": row["cover"],
        "createdAt": iso(row["at"]),
        "cover": media[0]["files"]["thumb"]["url"] if media else None,
        "storiesCount": len(row["stories"]),
    }


LISTS = ("GET /stories/highlights", "GET /users/me/stories/highlights", "GET /users/{uid}/stories/highlights")


@route(*LISTS)
def highlights(call: Call) -> Any:
    shown, more = page(list(call.who.highlights.values()), call.offset, call.limit)
    return {"list": [highlight_row(call, row) for row in shown], "hasMore": more}


@route("GET /stories/highlights/{hid}")
def highlight(call: Call) -> Any:
    row = highlight_of(call)
    stories = [
        story_row(call, call.who.stories[number]) | {"texts": []}
        for number in row["stories"]
        if number in call.who.stories
    ]
    return {**highlight_row(call, row), "stories": stories}


@route("POST /stories/highlights", "PUT /stories/highlights/{hid}")
def write_highlight(call: Call) -> Any:
    fresh: Row = {"id": call.world.new_id(), "title": "", "stories": [], "cover": 0, "at": call.now}
    row = highlight_of(call) if "hid" in call.params else fresh
    row["title"] = str(call.field("title") or row["title"])
    chosen = ids(call.field("storyIds", "story_ids", default=row["stories"]))
    row["stories"] = [number for number in chosen if number in call.who.stories]
    first = row["stories"][0] if row["stories"] else 0
    row["cover"] = int(call.field("coverStoryId", "cover_story_id") or row["cover"] or first)
    call.who.highlights[row["id"]] = row
    return highlight_row(call, row)


@route("DELETE /stories/highlights/{hid}")
def delete_highlight(call: Call) -> Any:
    del call.who.highlights[highlight_of(call)["id"]]
    return OK


@route(
    "PATCH /stories/highlights/{hid}/{sid}",
    "POST /stories/highlights/{hid}/{sid}",
    "DELETE /stories/highlights/{hid}/{sid}",
)
def highlight_story(call: Call) -> Any:
    row, story = highlight_of(call), story_of(call)
    if call.request.method == "DELETE":
        row["stories"] = [number for number in row["stories"] if number != story["id"]]
    elif story["id"] not in row["stories"]:
        row["stories"].append(story["id"])
    return OK
