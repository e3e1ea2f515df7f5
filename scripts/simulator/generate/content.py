"""Vault, posts and stories."""

from __future__ import annotations

import hashlib
import random
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from scripts.simulator.files import FileTable
from scripts.simulator.generate.messages import sentences
from scripts.simulator.model import Creator, Media

if TYPE_CHECKING:
    from scripts.simulator.world import Options

EXT = {"photo": "jpg", "video": "mp4", "gif": "gif", "audio": "mp3"}
LARGEST = 50 * 1024 * 1024


def vault(who: Creator, options: Options, rng: random.Random, base: datetime, files: FileTable) -> None:
    """Files from 2 KB to 50 MB; each photo and video has a preview, a square preview and a thumb."""
    number = who.id * 100
    for position in range(options.media):
        number += rng.randrange(1, 50)
        kind = rng.choices(("photo", "video", "gif", "audio"), (70, 22, 5, 3))[0]
        size = (
            2048
            if position == 0
            else int(2048 * 1000 ** rng.random())
            if kind != "video"
            else int(200_000 * 200 ** rng.random())
        )
        if position == 1:
            kind, size = "video", LARGEST
        created = base - timedelta(days=rng.random() * 380, seconds=position)
        key = hashlib.md5(f"{options.seed}:{number}".encode()).hexdigest()
        media = Media(
            id=number,
            kind=kind,
            key=key,
            created=created,
            size=size,
            width=rng.choice((960, 1080, 2316)),
            height=rng.choice((1280, 1440, 3088)),
            duration=rng.randrange(5, 600) if kind in {"video", "audio"} else 0,
            likes=rng.randrange(200),
            tips_cents=rng.choice((0, 0, 500, 2000)),
        )
        who.vault[number] = media
        register(media, files)
    _vault_lists(who, base)


def _vault_lists(who: Creator, base: datetime) -> None:
    for offset, name in enumerate(("Stories", "Messages", "Posts", "Beach", "Gym")):
        number = who.id + 500 + offset
        who.vault_lists[number] = {
            "id": number,
            "name": name,
            "type": "custom" if offset > 2 else name.lower(),
            "created": base,
        }
        for media in list(who.vault.values())[offset::7]:
            media.lists.add(number)


def register(media: Media, files: FileTable) -> None:
    """Make the media's files known to the CDN."""
    for name, size in variants(media):
        files.add(media.key, name, size)


def variants(media: Media) -> list[tuple[str, int]]:
    """(file name, bytes): full, preview, square preview, thumb; then 240p and 720p of a video."""
    ext = EXT[media.kind]
    rows = [(f"{media.width}x{media.height}_{media.key}.{ext}", media.size)]
    rows += [
        (f"{side}_{media.key}.jpg", max(2048, min(media.size // part, 400_000)))
        for side, part in (("960x1280", 3), ("300x300", 20), ("150x150", 40))
    ]
    if media.kind == "video":
        rows += [
            (f"{side}_{media.key}.mp4", max(4096, media.size // part)) for side, part in (("240p", 8), ("720p", 2))
        ]
    return rows


def posts(who: Creator, options: Options, rng: random.Random, base: datetime) -> None:
    texts = sentences(rng)
    photos = list(who.vault)
    number = 700_000_000 + who.id
    for position in range(options.posts):
        number += rng.randrange(1, 900)
        when = base - timedelta(days=(options.posts - position) * 380 / options.posts, seconds=rng.randrange(3_000))
        first = rng.randrange(len(photos)) if photos else 0
        who.posts[number] = post(number, texts[position % len(texts)], photos[first : first + rng.randrange(4)], when)
        who.posts[number].update(
            price=rng.choice((0, 0, 0, 1000)),
            likes=rng.randrange(300),
            looks=rng.randrange(3000),
            pinned=position in {3, 9},
            archived=position % 29 == 7,
        )
        people = list(who.fans.values())[: rng.randrange(8)]
        for offset, fan in enumerate(fan for fan in people if not fan.deleted):
            who.posts[number]["comments"].append(
                comment(number * 10 + offset, fan.id, texts[-1 - offset], when + timedelta(hours=offset + 1))
            )
    for offset, name in enumerate(("Favourites", "Travel")):
        key = str(who.id + 900 + offset)
        who.labels[key] = {"id": int(key), "name": name, "type": "custom"}


def post(number: int, text: str, media: list[int], when: datetime) -> dict[str, Any]:
    return {
        "id": number,
        "text": text,
        "media": list(media),
        "at": when,
        "price": 0,
        "likes": 0,
        "looks": 0,
        "liked": False,
        "pinned": False,
        "archived": False,
        "labels": [],
        "comments": [],
        "tips_cents": 0,
        "expires": None,
    }


def comment(number: int, author: int, text: str, when: datetime) -> dict[str, Any]:
    return {"id": number, "author": author, "text": text, "at": when, "liked": False, "likes": 0, "pinned": False}


def stories(who: Creator, rng: random.Random, base: datetime) -> None:
    """A few that are still up (24 hours), and an archive."""
    photos = [media.id for media in who.vault.values() if media.kind in {"photo", "video"}]
    fans = [fan.id for fan in who.fans.values() if not fan.deleted]
    number = 60_000_000 + who.id
    for position in range(30 if photos else 0):
        number += rng.randrange(1, 40)
        when = base - timedelta(hours=(30 - position) * 5, seconds=rng.randrange(600))
        who.stories[number] = story(number, [rng.choice(photos)], when)
        who.stories[number]["viewers"] = fans[: rng.randrange(min(60, len(fans)) + 1)]
        who.stories[number]["likes"] = rng.randrange(20)
    for offset, title in enumerate(("Best of", "Holidays")):
        chosen = list(who.stories)[offset * 4 : offset * 4 + 4]
        if chosen:
            key = who.id + 700 + offset
            who.highlights[key] = {"id": key, "title": title, "stories": chosen, "cover": chosen[0], "at": base}


def story(number: int, media: list[int], when: datetime) -> dict[str, Any]:
    return {
        "id": number,
        "media": list(media),
        "at": when,
        "watched": False,
        "viewers": [],
        "likes": 0,
        "tips_cents": 0,
        "texts": [],
        "question": None,
        "canvas": (1080, 1920),
    }
