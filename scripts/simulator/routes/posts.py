"""Posts, comments, labels."""

from __future__ import annotations

from typing import Any

from scripts.simulator import times
from scripts.simulator.generate.content import comment as new_comment
from scripts.simulator.generate.content import post as new_post
from scripts.simulator.render.common import chart, money
from scripts.simulator.render.messages import medias
from scripts.simulator.render.users import author
from scripts.simulator.routes.base import OK, Call, Fail, as_html, matches, page, plain, route
from scripts.simulator.routes.media import resolve_media
from scripts.simulator.times import iso

Row = dict[str, Any]


def post_of(call: Call) -> Row:
    post = call.who.posts.get(call.id("pid"))
    if post is None:
        raise Fail(404, "Post not found")
    return post


def precise(post: Row) -> str:
    return f"{post['at'].timestamp():.6f}"


def post_row(call: Call, post: Row, *, full: bool = False) -> Row:
    return {
        "responseType": "post",
        "id": post["id"],
        "postedAt": iso(post["at"]),
        "postedAtPrecise": precise(post),
        "expiredAt": None,
        "author": author(call.who) if full else {"id": call.who.id, "_view": "s"},
        "text": post["text"],
        "rawText": plain(post["text"]),
        "lockedText": False,
        "isFavorite": post["liked"],
        "canReport": False,
        **dict.fromkeys(("canDelete", "canComment", "canEdit", "canEditText"), True),
        "isPinned": post["pinned"],
        "isArchived": post["archived"],
        "favoritesCount": post["likes"],
        "mediaCount": len(post["media"]),
        "isMediaReady": True,
        "voting": [],
        "isOpened": True,
        "canToggleFavorite": True,
        "streamId": None,
        "price": money(post["price"]),
        "hasVoting": False,
        "isAddedToBookmarks": False,
        **dict.fromkeys(("isMarkdownDisabled", "isPrivateArchived", "isDeleted", "hasUrl"), False),
        "commentsCount": len(post["comments"]),
        "mentionedUsers": [],
        "linkedUsers": [],
        "linkedPosts": [],
        "canViewMedia": True,
        "preview": [],
        "canPurchase": False,
        "tipsAmount": f"${post['tips_cents'] / 100:.2f}",
        "labels": list(post["labels"]),
        "media": medias(call.who, post["media"], call.world.signer),
    }


def counters(call: Call) -> dict[str, int]:
    kinds = [
        call.who.vault[one].kind for post in call.who.posts.values() for one in post["media"] if one in call.who.vault
    ]
    archived = sum(post["archived"] for post in call.who.posts.values())
    return {
        "archivedPostsCount": archived,
        "audiosCount": kinds.count("audio"),
        "mediasCount": len(kinds),
        "photosCount": kinds.count("photo"),
        "postsCount": len(call.who.posts) - archived,
        "privateArchivedPostsCount": 0,
        "streamsCount": 0,
        "videosCount": kinds.count("video"),
    }


@route("GET /posts", "GET /users/{uid}/posts", "GET /users/{uid}/posts/archived")
def posts(call: Call) -> Any:
    """By offset, or by `beforePublishTime` (the `tailMarker` of the page before)."""
    owner = call.params.get("uid")
    mine = owner is None or owner in {"me", str(call.who.id), call.who.username}
    archived = call.request.path.endswith("archived")
    rows = [row for row in call.who.posts.values() if row["archived"] == archived] if mine else []
    if call.get("pinned") in {"1", "true"}:
        rows = [row for row in rows if row["pinned"]]
    rows = [row for row in rows if matches(call.get("query"), plain(row["text"]))]
    keys: dict[str, Any] = {
        "favorites_count": lambda row: (row["likes"], row["id"]),
        "tips_summ": lambda row: (row["tips_cents"], row["id"]),
    }
    ascending = "asc" in {call.get("sort"), call.get("order")}
    field = call.get("order") if call.get("order") not in {"asc", "desc"} else call.get("sort")
    rows.sort(key=keys.get(field or "", lambda row: (row["at"], row["id"])), reverse=not ascending)
    before = call.get("beforePublishTime")
    if before:
        rows = [row for row in rows if (precise(row) > before) == ascending and precise(row) != before]
    shown, more = page(rows, call.offset, call.limit)
    return {
        "list": [post_row(call, row) for row in shown],
        "hasMore": more,
        "headMarker": precise(shown[0]) if shown else None,
        "tailMarker": precise(shown[-1]) if shown else None,
        "counters": counters(call),
    }


@route("GET /posts/{pid}")
def one(call: Call) -> Any:
    return post_row(call, post_of(call), full=True)


def fill(call: Call, post: Row) -> None:
    """Take the fields that a write names."""
    text = call.field("text")
    if text is not None:
        post["text"] = as_html(str(text))
    if call.field("mediaFiles", "media_files") is not None:
        post["media"] = resolve_media(call, call.field("mediaFiles", "media_files"))
    if call.field("price") is not None:
        post["price"] = round(float(call.field("price")) * 100)
    if call.field("labels", "labelIds", "label_ids") is not None:
        post["labels"] = [str(one) for one in call.field("labels", "labelIds", "label_ids")]


@route("POST /posts")
def create(call: Call) -> Any:
    """With `scheduledDate` or `saveForLater` it goes to the queue instead."""
    post = new_post(call.world.new_id() + 10**9, "", [], call.now)
    fill(call, post)
    if not post["text"] and not post["media"]:
        raise Fail(400, "Empty post")
    when, later = call.field("scheduledDate", "scheduled_date"), bool(call.field("saveForLater", "save_for_later"))
    if when or later:
        publish = times.parse(str(when), call.now, call.now) if when else None
        call.who.queue[post["id"]] = {
            "id": post["id"],
            "type": "post",
            "text": post["text"],
            "media": post["media"],
            "price": post["price"],
            "created": call.now,
            "publish": publish,
            "later": later,
        }
    else:
        call.who.posts[post["id"]] = post
    return post_row(call, post, full=True)


@route("PUT /posts/{pid}")
def update(call: Call) -> Any:
    post = post_of(call)
    fill(call, post)
    return post_row(call, post, full=True)


@route("DELETE /posts/{pid}")
def delete(call: Call) -> Any:
    del call.who.posts[post_of(call)["id"]]
    return {"success": True, "counters": counters(call)}


@route("POST /posts/{pid}/archive", "POST /posts/{pid}/unarchive", "DELETE /posts/{pid}/archive")
def archive(call: Call) -> Any:
    post_of(call)["archived"] = call.request.method == "POST" and not call.request.path.endswith("unarchive")
    return {"counters": counters(call), "labelStates": [label_row(call, label) for label in call.who.labels.values()]}


@route("POST /posts/{pid}/pin", "DELETE /posts/{pid}/pin")
def pin(call: Call) -> Any:
    post_of(call)["pinned"] = call.request.method == "POST"
    return OK


@route("POST /posts/{pid}/favorites/{uid}", "DELETE /posts/{pid}/favorites/{uid}")
def favourite(call: Call) -> Any:
    post, on = post_of(call), call.request.method == "POST"
    post["likes"] += int(on) - int(post["liked"])
    post["liked"] = on
    return {"isFavorite": on, "favoritesCount": post["likes"], "success": True}


@route("GET /posts/{pid}/stats")
def stats(call: Call) -> Any:
    post = post_of(call)
    start, end = call.dates()
    empty = chart((), start, end)
    looks = [(post["at"], post["looks"])]
    return {
        "isAvailable": True,
        "hasStats": True,
        "hasVideo": False,
        "commentCount": len(post["comments"]),
        "likeCount": post["likes"],
        "lookCount": post["looks"],
        "uniqueLookCount": post["looks"] // 2,
        "lookDuration": post["looks"] * 3,
        "lookDurationAverage": 3,
        "purchasedCount": 0,
        "purchasedSumm": 0,
        "tipCount": 0,
        "tipSum": post["tips_cents"] // 100,
        "tipChart": empty,
        "tipSumChart": empty,
        "purchasesChart": empty,
        "likeChart": chart([(post["at"], post["likes"])], start, end),
        "lookChart": chart(looks, start, end),
        "uniqueLookChart": chart(looks, start, end),
        "commentChart": chart(((row["at"], 1) for row in post["comments"]), start, end),
    }


@route("GET /posts/top", "GET /posts/chart")
def top(call: Call) -> Any:
    start, end = call.dates()
    if call.request.path.endswith("chart"):
        return {"chart": chart(((row["at"], 1) for row in call.who.posts.values()), start, end)}
    best = sorted(call.who.posts.values(), key=lambda row: (row["likes"], row["id"]), reverse=True)
    return {"list": [post_row(call, row) for row in best[:5]], "hasMore": False}


def comment_row(call: Call, row: Row, *, full: bool = False) -> Row:
    mine = row["author"] == call.who.id
    who = (
        {**author(call.who), "canReport": False, "creditsMinAlternatives": 1, "lastSeen": None, "subscribedOn": None}
        if full and mine
        else {"id": row["author"], "_view": "s"}
    )
    return {
        "id": row["id"],
        "postedAt": iso(row["at"]),
        "changedAt": iso(row["at"]),
        "author": who,
        "text": row["text"],
        "giphyId": None,
        "isLiked": row["liked"],
        "isLikedByAuthor": row["liked"],
        "isPinned": row["pinned"],
        "likesCount": row["likes"],
        "canLike": True,
    }


def comment_of(call: Call) -> Row:
    found = next((row for row in post_of(call)["comments"] if row["id"] == call.id("cid")), None)
    if found is None:
        raise Fail(404, "Comment not found")
    return found  # type: ignore[no-any-return]


@route("GET /posts/{pid}/comments")
def comments(call: Call) -> Any:
    rows = sorted(post_of(call)["comments"], key=lambda row: (row["at"], row["id"]), reverse=call.get("sort") != "asc")
    shown, more = page(rows, call.offset, call.limit)
    return {"list": [comment_row(call, row) for row in shown], "hasMore": more, "nextOffset": call.offset + len(shown)}


@route("POST /posts/{pid}/comments")
def add_comment(call: Call) -> Any:
    text = str(call.field("text") or "")
    if not text:
        raise Fail(400, "Empty comment")
    row = new_comment(call.world.new_id() + 2 * 10**9, call.who.id, as_html(text), call.now)
    post_of(call)["comments"].append(row)
    return comment_row(call, row, full=True)


@route("DELETE /posts/{pid}/comments/{cid}", "DELETE /comments/{cid}")
def delete_comment(call: Call) -> Any:
    if "pid" not in call.params:
        owner = next(
            (post for post in call.who.posts.values() if any(row["id"] == call.id("cid") for row in post["comments"])),
            None,
        )
        if owner is None:
            raise Fail(404, "Comment not found")
        call.params["pid"] = str(owner["id"])
    post_of(call)["comments"].remove(comment_of(call))
    return OK


@route("POST /posts/{pid}/comments/{cid}/like", "DELETE /posts/{pid}/comments/{cid}/like")
def like_comment(call: Call) -> Any:
    row, on = comment_of(call), call.request.method == "POST"
    row["likes"] += int(on) - int(row["liked"])
    row["liked"] = on
    return {"success": True, "isLiked": on, "likesCount": row["likes"]}


@route("POST /posts/{pid}/comments/{cid}/pin", "DELETE /posts/{pid}/comments/{cid}/pin")
def pin_comment(call: Call) -> Any:
    comment_of(call)["pinned"] = call.request.method == "POST"
    return OK


def label_row(call: Call, label: Row) -> Row:
    count = sum(str(label["id"]) in post["labels"] for post in call.who.posts.values())
    return {
        "id": str(label["id"]),
        "name": label["name"],
        "type": label["type"],
        "isClearInProgress": False,
        "posts": [],
        "postsCount": count,
    }


@route("GET /labels", "GET /posts/labels", etag=True)
def labels(call: Call) -> Any:
    shown, more = page(list(call.who.labels.values()), call.offset, call.limit)
    return {
        "list": [label_row(call, label) for label in shown],
        "hasMore": more,
        "nextOffset": call.offset + len(shown),
        "hashSort": "",
        "order": "desc",
        "sort": "custom",
    }


@route("POST /labels", "POST /posts/labels")
def create_label(call: Call) -> Any:
    name = str(call.field("name") or "")
    if not name:
        raise Fail(400, "Name is required")
    label = {"id": call.world.new_id(), "name": name, "type": "custom"}
    call.who.labels[str(label["id"])] = label
    return {**label_row(call, label), "id": label["id"]}
