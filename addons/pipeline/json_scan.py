"""Where the members of a JSON object and the items of a list stand in their bytes.

msgspec gives values quickly but neither their offsets nor duplicate keys; these scanners give both. The text is known
to be valid JSON (strings may hold bytes that are not UTF-8), so the patterns need not check it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

_WS = re.compile(rb"[ \t\n\r]*")
_KEY = re.compile(rb'[ \t\n\r]*("(?:[^"\\]|\\.)*+")[ \t\n\r]*:[ \t\n\r]*', re.DOTALL)
_SCALAR = re.compile(rb'"(?:[^"\\]|\\.)*+"|[^\s,\]}]+', re.DOTALL)
_JUMP = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Span:
    """One member: `lead` whitespace starts at `start`, then key text, value; `end` is the comma's or brace's place."""

    start: int
    key_start: int
    key_end: int
    value_start: int
    value_end: int
    end: int


def key_text(raw: bytes) -> str:
    """The name that a key's JSON text spells. Bytes that are not UTF-8 become lone surrogates."""
    if b"\\" not in raw:
        return raw[1:-1].decode("utf-8", "surrogateescape")
    return str(json.loads(raw.decode("utf-8", "surrogateescape"), strict=False))


def value_end(raw: bytes, at: int) -> int:
    """Where the value that begins at `at` ends."""
    if raw[at] not in b"[{":
        found = _SCALAR.match(raw, at)
        assert found is not None
        return found.end()
    depth = 0
    for token in _JUMP.finditer(raw, at):
        first = raw[token.start()]
        if first in b"[{":
            depth += 1
        elif first in b"]}":
            depth -= 1
            if depth == 0:
                return token.end()
    raise ValueError("unbalanced JSON")


def members(raw: bytes) -> list[Span]:
    """Members of the object `raw`, duplicates included, in order."""
    out: list[Span] = []
    at = 1
    while (key := _KEY.match(raw, at)) is not None:
        end = value_end(raw, key.end())
        stop = skip(raw, end)
        out.append(Span(at, key.start(1), key.end(1), key.end(), end, stop))
        at = stop + 1
        if raw[stop] == 0x7D:
            break
    return out


def items(raw: bytes) -> list[tuple[int, int]]:
    """Start and end of each item of the list `raw`."""
    out: list[tuple[int, int]] = []
    at = skip(raw, 1)
    while raw[at] != 0x5D:
        end = value_end(raw, at)
        out.append((at, end))
        at = skip(raw, end)
        if raw[at] == 0x2C:
            at = skip(raw, at + 1)
    return out


def skip(raw: bytes, at: int) -> int:
    found = _WS.match(raw, at)
    assert found is not None
    return found.end()


def members_known(raw: bytes, values: list[bytes]) -> list[Span] | None:
    """`members`, given the values in order: skips each instead of scanning it. None where a key occurs twice.

    Each value is compared with the bytes at its supposed place, so a wrong guess cannot go unnoticed.
    """
    out: list[Span] = []
    at = 1
    for value in values:
        key = _KEY.match(raw, at)
        if key is None or not raw.startswith(value, key.end()):
            return None
        end = key.end() + len(value)
        stop = skip(raw, end)
        if raw[stop] not in b",}":
            return None
        out.append(Span(at, key.start(1), key.end(1), key.end(), end, stop))
        at = stop + 1
    return out if out and out[-1].end == len(raw) - 1 else None
