"""All members of an object, or items of a list, with the bytes between them: what an edited container is rendered from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from addons.pipeline import json_scan

if TYPE_CHECKING:
    from addons.pipeline.node import Node

Chunk = bytes | memoryview | msgspec.Raw
Spans = dict[str | int, tuple[int, int]]
COLON = ord(":")


class Slot:
    """A member or item of a container that is laid out: whitespace, key text, colon, value, whitespace.

    `value` stays bytes until someone asks for it as a node.
    """

    __slots__ = ("after", "before", "colon", "key", "name", "value")

    def __init__(  # noqa: PLR0917 (a plain record)
        self, name: str, before: bytes, key: bytes, colon: bytes, value: Node | bytes, after: bytes
    ) -> None:
        self.name = name
        self.before = before
        self.key = key
        self.colon = colon
        self.value = value
        self.after = after

    def text(self) -> bytes:
        return text(self.value)

    def with_value(self, value: Node) -> Slot:
        return Slot(self.name, self.before, self.key, self.colon, value, self.after)

    def renamed(self, name: str) -> Slot:
        return Slot(name, self.before, quote(name), self.colon, self.value, self.after)

    def with_after(self, after: bytes) -> Slot:
        return Slot(self.name, self.before, self.key, self.colon, self.value, after)


def text(value: Node | bytes) -> bytes:
    """JSON text of a value that may not be a node yet."""
    return value if isinstance(value, bytes) else value.raw


@lru_cache(maxsize=1024)
def quote(text: str) -> bytes:
    """JSON text of a string."""
    try:
        return msgspec.json.encode(text)
    except UnicodeEncodeError:
        return json.dumps(text).encode()


def append(slots: list[Slot], name: str, value: Node | bytes) -> None:
    """A new last member; whitespace before the closing brace stays there."""
    after = slots[-1].after if slots else b""
    if slots:
        slots[-1] = slots[-1].with_after(b"")
    slots.append(Slot(name, b"", quote(name), b":", value, after))


def object_slots(raw: bytes, parts: Mapping[str, msgspec.Raw], kids: Mapping[str | int, Node]) -> list[Slot]:
    """Slots of an object, duplicates included; a node that exists already takes its (last) member's place."""
    places = json_scan.members_known(raw, [bytes(part) for part in parts.values()])
    names = list(parts)
    if places is None:
        places = json_scan.members(raw)
        names = [json_scan.key_text(raw[s.key_start : s.key_end]) for s in places]
    last = {name: index for index, name in enumerate(names)}
    slots = []
    for index, (name, s) in enumerate(zip(names, places, strict=True)):
        kid = kids.get(name) if last[name] == index else None
        value = kid or raw[s.value_start : s.value_end]
        key, colon = raw[s.key_start : s.key_end], raw[s.key_end : s.value_start]
        slots.append(Slot(name, raw[s.start : s.key_start], key, colon, value, raw[s.value_end : s.end]))
    return slots


def array_slots(raw: bytes, parts: Sequence[msgspec.Raw], kids: Mapping[str | int, Node]) -> list[Slot]:
    """Slots of a list."""
    slots = []
    at = 1
    for index, part in enumerate(parts):
        start = json_scan.skip(raw, at)
        end = start + len(part)
        stop = json_scan.skip(raw, end)
        slots.append(Slot("", raw[at:start], b"", b"", kids.get(index) or bytes(part), raw[end:stop]))
        at = stop + 1
    return slots


def comma_of(size: int, parts: Sequence[msgspec.Raw]) -> bytes:
    """What may stand between the items of a list of `size` bytes: `, ` or `,`. Who uses it looks at each."""
    return b", " if size - 2 - sum(map(len, parts)) == 2 * len(parts) - 2 else b","


def added(raw: Chunk, new: Mapping[str, Node | bytes]) -> list[Chunk]:
    """An object with new members at its end; whitespace before the closing brace stays there."""
    view = memoryview(raw)
    end = end_of(view, len(view))
    return [view[:end], members(new, first=end == 1), view[end:]]


def members(new: Mapping[str, Node | bytes], *, first: bool) -> bytes:
    """The text of new members, which goes in before the closing brace; `first`: into an empty object."""
    more = b"" if first else b","
    for name, value in new.items():
        more += b"%b:%b," % (quote(name), text(value))
    return more[:-1]


def end_of(raw: bytes | memoryview, end: int) -> int:
    """Where new members of the object that ends at `end` go in: after the last one, before whitespace and the brace."""
    end -= 1
    while raw[end - 1] in b" \t\n\r":
        end -= 1
    return end


def spans(raw: bytes, parts: Mapping[str, msgspec.Raw] | Sequence[msgspec.Raw]) -> Spans | None:
    """Where the values stand; None where a key is written with escapes, or twice."""
    if isinstance(parts, Mapping):
        return _compact(raw, parts) or _compared(raw, parts)
    found: Spans = {}
    at = 1
    for index, part in enumerate(parts):
        at = _past_space(raw, at)
        end = at + len(part)
        found[index] = at, end
        at = _past_space(raw, end) + 1
    return found


def _compact(raw: bytes, parts: Mapping[str, msgspec.Raw]) -> Spans | None:
    """Whitespace, an escape or a duplicate would make `raw` longer than the sum of what it must hold."""
    found: Spans = {}
    at = 1
    for name, part in parts.items():
        at += len(name) + 3
        end = at + len(part)
        found[name] = at, end
        at = end + 1
    return found if at == len(raw) else None


def _compared(raw: bytes, parts: Mapping[str, msgspec.Raw]) -> Spans | None:
    """Every byte that is not whitespace is compared with what it must be."""
    found: Spans = {}
    at = 1
    for name, part in parts.items():
        key = b'"%b"' % name.encode("utf-8", "surrogatepass")
        at = _past_space(raw, at)
        colon = _past_space(raw, at + len(key))
        start = _past_space(raw, colon + 1)
        end = start + len(part)
        stop = _past_space(raw, end)
        if not (raw.startswith(key, at) and raw[colon] == COLON and raw.startswith(bytes(part), start)):
            return None
        if raw[stop] not in b",}":
            return None
        found[name] = start, end
        at = stop + 1
    return found if at == len(raw) else None


def _past_space(raw: bytes, at: int) -> int:
    size = len(raw)
    while at < size - 1 and raw[at] in b" \t\n\r":
        at += 1
    return min(at, size - 1)
