"""Chats: their messages in the order of time, ids rising with it."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from scripts.simulator.model import Chat, Creator, Message

if TYPE_CHECKING:
    from scripts.simulator.world import Options

WORDS = [
    "hey",
    "thanks",
    "love",
    "that",
    "photo",
    "when",
    "is",
    "the",
    "next",
    "stream",
    "tomorrow",
    "morning",
    "coffee",
    "beach",
    "sunset",
    "training",
    "new",
    "set",
    "you",
    "look",
    "great",
    "how",
    "was",
    "your",
    "day",
    "miss",
    "talking",
    "send",
    "more",
    "please",
    "wow",
    "amazing",
    "good",
    "night",
    "see",
    "you",
    "soon",
    "haha",
]
SENTENCES = 400
FIRST_ID = 4_000_000_000


def sentences(rng: random.Random) -> list[str]:
    """A stock of message texts, as upstream stores them (HTML paragraphs)."""
    texts = [" ".join(rng.choices(WORDS, k=rng.randrange(2, 14))) for _ in range(SENTENCES)]
    texts[3] += " &amp; more &lt;3"
    texts[7] += '<br />second line \\ "quoted" ✨'
    return [f"<p>{text}</p>" for text in texts]


def chats(who: Creator, options: Options, rng: random.Random, base: datetime) -> None:
    """`options.messages` messages over `options.chats` chats; some fans never answer (mass messages only)."""
    people = [fan for fan in who.fans.values() if not fan.deleted]
    partners = people[:: max(1, len(people) // max(1, options.chats))][: options.chats]
    if not partners:
        return
    counts = _counts(len(partners), options.messages, rng)
    rows = []
    for fan, count in zip(partners, counts, strict=True):
        silent = rng.random() < 0.12
        start = min(fan.spans[0].start, base - timedelta(hours=2))
        width = (base - start).total_seconds() - 60
        rows += [(start + timedelta(seconds=int(rng.random() * width)), fan.id, silent) for _ in range(count)]
    rows.sort()
    _write(who, rows, rng)
    for chat in who.chats.values():
        _read_state(chat, rng)


def _counts(chats_wanted: int, total: int, rng: random.Random) -> list[int]:
    weights = [rng.random() ** 2 + 0.02 for _ in range(chats_wanted)]
    scale = (total - chats_wanted) / sum(weights) if total > chats_wanted else 0
    counts = [1 + int(weight * scale) for weight in weights]
    counts[0] += max(0, total - sum(counts))
    return counts


def _write(who: Creator, rows: list[tuple[datetime, int, bool]], rng: random.Random) -> None:
    texts = sentences(rng)
    photos = list(who.vault) or [0]
    number = FIRST_ID + who.id
    for when, fan_id, silent in rows:
        number += 1 + int(rng.random() * 40)
        dice = rng.random()
        mine = silent or dice < 0.55
        message = Message(number, fan_id, mine, texts[int(rng.random() * SENTENCES)], when)
        if dice < 0.08:
            first = int(rng.random() * len(photos))
            message.media = tuple(photos[first : first + 1 + int(rng.random() * 3)])
            message.text_cdn = dice < 0.01
        elif dice < 0.12 and mine:
            message.queue_id = 1_000 + int(rng.random() * 30)
        elif dice > 0.99:
            message.liked = True
        chat = who.chats.get(fan_id)
        if chat is None:
            chat = who.chats[fan_id] = Chat(fan_id)
        chat.messages.append(message)
        who.messages[number] = message


def _read_state(chat: Chat, rng: random.Random) -> None:
    trailing = 0
    for message in reversed(chat.messages):
        if message.mine:
            break
        trailing += 1
    chat.unread = min(trailing, 5) if rng.random() < 0.6 else 0
    for message in chat.messages[len(chat.messages) - chat.unread :]:
        message.new = True
    read = chat.messages[: len(chat.messages) - chat.unread]
    chat.last_read_id = read[-1].id if read else 0
    if rng.random() < 0.05:
        chat.messages[0].pinned = True
    chat.priority = rng.random() < 0.04
    chat.muted = rng.random() < 0.04
