"""Decoding JSON text: one level of it, some members, one string, or all. Number text and lone surrogates survive."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal

import msgspec

Kind = Literal["object", "array", "string", "number", "bool", "null"]

KINDS: dict[int, Kind] = {0x7B: "object", 0x5B: "array", 0x22: "string", 0x74: "bool", 0x66: "bool", 0x6E: "null"}
"""By the first byte; what is not here is a number."""
OBJECT = msgspec.json.Decoder(type=dict[str, msgspec.Raw])
ARRAY = msgspec.json.Decoder(type=list[msgspec.Raw])
_STRING = msgspec.json.Decoder(type=str)
_DIGITS = 4000  # Python refuses to read longer integers


def escaped(key: str | int) -> str:
    """A part of a JSON Pointer."""
    if isinstance(key, int):
        return str(key)
    return key.replace("~", "~0").replace("/", "~1") if "~" in key or "/" in key else key


@dataclass(frozen=True, slots=True)
class SomeMembers:
    """Decoders that keep some members of an object and skip the others. `fields`: name → field, UNSET if absent."""

    one: msgspec.json.Decoder[Any]
    each: msgspec.json.Decoder[list[Any]]
    fields: dict[str, str]


@lru_cache(maxsize=256)
def some_members(names: tuple[str, ...]) -> SomeMembers:
    at = {name: f"m{i}" for i, name in enumerate(names)}
    fields = [
        (field, msgspec.Raw | msgspec.UnsetType, msgspec.field(name=name, default=msgspec.UNSET))
        for name, field in at.items()
    ]
    kept: Any = msgspec.defstruct("Kept", fields, gc=False)
    return SomeMembers(msgspec.json.Decoder(type=kept), msgspec.json.Decoder(type=list[kept]), at)


def text_of(raw: bytes) -> str:
    """What the text of a JSON string spells. Bytes that are not UTF-8 become lone surrogates."""
    try:
        return _STRING.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return str(VALUES.decode(raw.decode("utf-8", "surrogateescape")))


def _int(text: str) -> int | Decimal:
    return int(text) if len(text) < _DIGITS else Decimal(text)


VALUES = json.JSONDecoder(parse_float=Decimal, parse_int=_int, strict=False)
"""Whole values: numbers with fraction or exponent as Decimal."""
