"""Pages of chats and messages, as far as a sync must look into them to know where to stop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from ofapi_store.errors import BadValue
from ofapi_store.types import parse_time

NEVER = datetime.min.replace(tzinfo=UTC)
"""The time of a message that has none to read."""


@dataclass(frozen=True, slots=True)
class Chat:
    """`last`, `at`: id and time of the last message; the time is the earliest possible where there is none to read."""

    fan: str
    last: str
    at: datetime


def of_page(body: bytes) -> list[Chat]:
    found = []
    for row in _rows(body):
        user, last = row.get("withUser"), row.get("lastMessage")
        if isinstance(user, dict) and "id" in user:
            last = last if isinstance(last, dict) else {}
            found.append(Chat(str(user["id"]), str(last.get("id", "")), _time(last)))
    return found


def is_new(chat: Chat, unknown: frozenset[str], since: datetime) -> bool:
    return chat.at >= since or chat.last in unknown


def oldest(body: bytes) -> datetime:
    """The time of the oldest message of a page."""
    return min((_time(row) for row in _rows(body)), default=NEVER)


def _rows(body: bytes) -> list[dict[str, Any]]:
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return []
    rows = data.get("list") if isinstance(data, dict) else data
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _time(message: Mapping[str, Any]) -> datetime:
    try:
        return parse_time(message.get("createdAt"))
    except BadValue:
        return NEVER
