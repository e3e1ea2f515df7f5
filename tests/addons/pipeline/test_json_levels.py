"""Decoding JSON text level by level, without losing what other readers lose."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from addons.pipeline.json_levels import ARRAY, KINDS, OBJECT, VALUES, escaped, some_members, text_of


@pytest.mark.parametrize(
    ("text", "kind"),
    [("{}", "object"), ("[1]", "array"), ('"x"', "string"), ("true", "bool"), ("false", "bool"), ("null", "null")],
)
def test_the_first_byte_tells_the_kind(text: str, kind: str) -> None:
    """Everything else is a number."""
    assert KINDS[ord(text[0])] == kind
    assert not any(ord(char) in KINDS for char in "-0123456789")


def test_one_level_is_decoded_and_the_rest_is_left_as_it_is() -> None:
    """Members and items keep their bytes, blanks and number text included."""
    assert {k: bytes(v) for k, v in OBJECT.decode(b'{"a": 1.10 ,"b":[1, 2]}').items()} == {"a": b"1.10", "b": b"[1, 2]"}
    assert [bytes(v) for v in ARRAY.decode(b'[1.10,{"x": 0}]')] == [b"1.10", b'{"x": 0}']


def test_some_members_are_found_and_the_others_not_looked_at() -> None:
    """By any name, also ones that are no identifiers; the decoder of a set of names is made once."""
    some = some_members(("id", "a-b", "none"))
    found = some.one.decode(b'{"x":[{"y":1}],"a-b":{"c":1.0},"id":7}')
    values = {name: getattr(found, field) for name, field in some.fields.items()}
    assert (bytes(values["id"]), bytes(values["a-b"]), values["none"]) == (b"7", b'{"c":1.0}', msgspec.UNSET)
    assert some_members(("id", "a-b", "none")) is some


@pytest.mark.parametrize(
    ("raw", "text"),
    [(b'"a\\u00e9\\n"', "aé\n"), ('"é"'.encode(), "é"), (b'"\xff"', "\udcff"), (b'"\\ud800"', "\ud800")],
)
def test_strings_are_read_whatever_their_bytes(raw: bytes, text: str) -> None:
    """Invalid UTF-8 and lone surrogates too: upstream's bytes are never refused for them."""
    assert text_of(raw) == text


def test_numbers_are_exact() -> None:
    """80 digits, cents, and more digits than Python reads as an integer."""
    assert VALUES.decode("[1.10, 5, 1e3, -0.0]") == [Decimal("1.10"), 5, Decimal("1e3"), Decimal("-0.0")]
    assert VALUES.decode("9" * 80) == int("9" * 80)
    assert VALUES.decode("9" * 5000) == Decimal("9" * 5000)


@pytest.mark.parametrize(("key", "part"), [("a", "a"), ("a/b", "a~1b"), ("a~b", "a~0b"), ("~1", "~01"), (3, "3")])
def test_parts_of_pointers_are_escaped(key: str | int, part: str) -> None:
    """RFC 6901: `~` before `/`."""
    assert escaped(key) == part
