"""Vault, vault lists, uploads."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import orjson

from scripts.simulator.generate.content import EXT, register
from scripts.simulator.model import Media
from scripts.simulator.render.messages import media_row
from scripts.simulator.routes.base import OK, Call, Fail, ids, matches, page, route

if TYPE_CHECKING:
    from scripts.simulator.world import World

KEYS = {"most-liked": lambda media: (media.likes, media.id), "highest-tips": lambda media: (media.tips_cents, media.id)}


def media_of(call: Call, number: int) -> Media:
    media = call.who.vault.get(number)
    if media is None or media.hidden:
        raise Fail(404, "Media not found")
    return media


def resolve_media(call: Call, values: list[Any]) -> list[int]:
    """Vault ids, and upload objects (each usable once), as the ids of vault media."""
    found = []
    for value in values:
        if isinstance(value, dict):
            media = call.world.processed.pop(str(value.get("processId")), None)
            if media is None or media[0] != call.who.id:
                raise Fail(400, "Wrong media file")
            call.who.vault[media[1].id] = media[1]
            found.append(media[1].id)
        elif str(value).isdigit() and int(value) in call.who.vault:
            found.append(int(value))
        else:
            raise Fail(400, f"Wrong media file {value}")
    return found


def states(call: Call, media: Media) -> list[dict[str, Any]]:
    return [
        {
            "id": row["id"],
            "type": row["type"],
            "name": row["name"],
            "hasMedia": row["id"] in media.lists,
            "canAddMedia": True,
        }
        for row in call.who.vault_lists.values()
    ]


def posted(call: Call) -> set[int]:
    """The media that posts use, gathered once per request."""
    if "posted" not in call.memo:
        call.memo["posted"] = {number for post in call.who.posts.values() for number in post["media"]}
    return call.memo["posted"]  # type: ignore[no-any-return]


def vault_row(call: Call, media: Media, *, listed: bool) -> dict[str, Any]:
    return {
        **media_row(call.who, media, call.world.signer, vault=listed),
        "hasPosts": media.id in posted(call),
        "counters": {"likesCount": media.likes, "tipsSumm": media.tips_cents // 100},
        "listStates": states(call, media),
    }


@route("GET /vault/media", "GET /media/vault")
def vault(call: Call) -> Any:
    kind = (call.get("type") or "").rstrip("s")
    inside = call.get("list")
    rows = [
        media
        for media in call.who.vault.values()
        if not media.hidden
        and (kind in {"", "all"} or media.kind == kind)
        and (not inside or inside == "all" or int(inside) in media.lists)
    ]
    key = KEYS.get(call.get("field") or "", lambda media: (media.created, media.id))
    rows.sort(key=key, reverse=call.get("sort") != "asc")
    shown, more = page(rows, call.offset, call.limit if call.get("limit") else 24)
    return {"list": [vault_row(call, media, listed=True) for media in shown], "hasMore": more}


@route("GET /vault/media/{mid}", "GET /media/vault/{mid}")
def vault_item(call: Call) -> Any:
    return vault_row(call, media_of(call, call.id("mid")), listed=False)


@route("PUT /vault/media/hidden", "DELETE /media/vault/delete-media")
def hide(call: Call) -> Any:
    for number in ids(call.field("mediaIds", "media_ids", default=[]) or call.all("mediaIds[]", "media_ids[]")):
        media_of(call, number).hidden = True
    return OK


@route("POST /vault/media", "POST /media/vault")
def keep(call: Call) -> Any:
    """Put an upload object (the body, or the first of `mediaFiles`) into the vault; returns the new media."""
    chosen = call.body.get("mediaFiles") or [call.body]
    return media_row(call.who, call.who.vault[resolve_media(call, chosen)[0]], call.world.signer, vault=True)


@route("GET /vault/media/hash")
def known(call: Call) -> Any:
    """The de-duplication probe: 200 with the media, 404 when its bytes are new."""
    media = call.world.hashes.get((call.who.id, call.get("h"), call.get("size")))
    if media is None:
        raise Fail(404, "Media not found")
    return vault_row(call, media, listed=False)


def list_row(call: Call, row: dict[str, Any]) -> dict[str, Any]:
    inside = [media for media in call.who.vault.values() if row["id"] in media.lists and not media.hidden]
    kinds = [media.kind for media in inside]
    custom = row["type"] == "custom"
    return {
        "id": row["id"],
        "type": row["type"],
        "name": row["name"],
        "hasMedia": bool(inside),
        "canUpdate": custom,
        "canDelete": custom,
        "videosCount": kinds.count("video"),
        "photosCount": kinds.count("photo"),
        "gifsCount": kinds.count("gif"),
        "audiosCount": kinds.count("audio"),
        "medias": _thumbs(call, inside[:3]),
    }


def _thumbs(call: Call, medias: list[Media]) -> list[dict[str, Any]]:
    return [
        {"type": media.kind, "url": media_row(call.who, media, call.world.signer, vault=True)["files"]["thumb"]}
        for media in medias
    ]


def list_of(call: Call) -> dict[str, Any]:
    row = call.who.vault_lists.get(call.id("lid"))
    if row is None:
        raise Fail(404, "List not found")
    return row


@route("GET /vault/lists", "GET /media/vault/lists", etag=True)
def lists(call: Call) -> Any:
    rows = [row for row in call.who.vault_lists.values() if matches(call.get("query"), row["name"])]
    shown, more = page(rows, call.offset, call.limit if call.get("limit") else 100)
    kinds = [media.kind for media in call.who.vault.values() if not media.hidden]
    head = {"canCreateVaultLists": True, "hasMore": more, "order": "desc", "sort": "recent"}
    if call.flag("lightweight"):
        light = [
            {
                "id": row["id"],
                "type": row["type"],
                "name": row["name"],
                "canUpdate": row["type"] == "custom",
                "mediaCount": sum(row["id"] in media.lists for media in call.who.vault.values()),
            }
            for row in shown
        ]
        return {"list": light, "all": {"mediaCount": len(kinds)}, **head}
    counts = {f"{name}sCount": kinds.count(name) for name in ("video", "photo", "gif", "audio")}
    newest = list(call.who.vault.values())[-3:]
    return {"list": [list_row(call, row) for row in shown], "all": {**counts, "medias": _thumbs(call, newest)}, **head}


@route("POST /vault/lists", "POST /media/vault/lists")
def create_list(call: Call) -> Any:
    name = str(call.field("name") or "")
    if not name:
        raise Fail(400, "Name is required")
    row: dict[str, Any] = {"id": call.world.new_id(), "name": name, "type": "custom", "created": call.now}
    call.who.vault_lists[row["id"]] = row
    return list_row(call, row)


@route("GET /vault/lists/{lid}", "GET /media/vault/lists/{lid}")
def one_list(call: Call) -> Any:
    return list_row(call, list_of(call))


@route("PATCH /vault/lists/{lid}", "PUT /vault/lists/{lid}", "PUT /media/vault/lists/{lid}")
def rename_list(call: Call) -> Any:
    row = list_of(call)
    row["name"] = str(call.field("name") or row["name"])
    return list_row(call, row)


@route("DELETE /vault/lists/{lid}", "DELETE /media/vault/lists/{lid}")
def delete_list(call: Call) -> Any:
    del call.who.vault_lists[list_of(call)["id"]]
    return OK


@route("POST /vault/lists/sort")
def sort_lists(_call: Call) -> Any:
    return OK


@route(
    "POST /vault/lists/{lid}/media",
    "DELETE /vault/lists/{lid}/media",
    "POST /media/vault/lists/{lid}/media",
    "DELETE /media/vault/lists/{lid}/media",
)
def list_media(call: Call) -> Any:
    row = list_of(call)
    for number in ids(call.field("mediaIds", "media_ids", "mediaId", default=[])):
        media = media_of(call, number)
        media.lists.add(row["id"]) if call.request.method == "POST" else media.lists.discard(row["id"])
    return list_row(call, row)


@route("POST /upload/signed/create", "POST /upload/signed/finish")
def slot(call: Call) -> Any:
    """Where the bytes go: `putUrl` takes one PUT, `getUrl` reads it back."""
    key = str(call.field("key") or "")
    if not key:
        raise Fail(400, "key is required")
    base = call.world.storage_url
    return {"putUrl": f"{base}/upload/{key}?X-Amz-Signature={call.world.new_id():x}", "getUrl": f"{base}/upload/{key}"}


def register_upload(world: World, creator_id: int, name: str, size: int, md5: str) -> dict[str, Any]:
    """Turn uploaded bytes into a media that one message, post or story may use; returns the object to put there."""
    number = world.new_id()
    ext = name.rsplit(".", 1)[-1].lower()
    kind = next(
        (kind for kind, one in EXT.items() if one == ext), "video" if ext in {"mov", "mkv", "webm"} else "photo"
    )
    process = hashlib.md5(f"{number}".encode()).hexdigest()
    media = Media(number, kind, process, world.now(), max(size, 1), 960, 1280)
    register(media, world.files)
    world.processed[process] = (creator_id, media)
    world.hashes[(creator_id, md5, str(size))] = media
    thumbs = [
        {
            "id": index,
            "url": world.signer.url(f"/files/{process[0]}/{process[:2]}/{process}/150x150_{process}.jpg", creator_id),
        }
        for index in (1, 2)
    ]
    return {
        "processId": process,
        "host": f"convert{number % 3 + 1}.onlyfans.com",
        "sourceUrl": f"{world.storage_url}/upload/{name}",
        "extra": orjson.dumps({"id": number}).hex(),
        "additional": {"user": str(creator_id)},
        "thumbs": thumbs,
    }
