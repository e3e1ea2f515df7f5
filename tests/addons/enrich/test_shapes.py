"""The addons that reshape a body: rename, unwrap, wrap, remove, const, copy, pick, map, date_offset, join."""

from __future__ import annotations

from typing import Any

import pytest

from tests.addons.enrich.bench import run

CASES: list[tuple[str, dict[str, Any], bytes, bytes]] = [
    # rename: in place, nested, absent
    ("rename", {"each": "$[*]", "set": {"withUser": "fan"}}, b'[{"withUser":{"id":1},"x":1.10},{}]', b'[{"fan":{"id":1},"x":1.10},{}]'),
    ("rename", {"set": {"a.b": "c"}}, b'{"a":{"b":1},"b":2}', b'{"a":{"c":1},"b":2}'),
    # unwrap and wrap
    ("unwrap", {"path": "$.list"}, b'{"list":[1, 2],"hasMore":true}', b"[1, 2]"),
    ("unwrap", {"path": "$.list"}, b'{"users":[]}', b'{"users":[]}'),
    ("wrap", {}, b'{"id": 1}', b'[{"id": 1}]'),
    ("wrap", {}, b"[1]", b"[1]"),
    ("wrap", {"field": "users"}, b"[1.10]", b'{"users":[1.10]}'),
    ("wrap", {"field": "list", "only": "list"}, b"[1.10]", b'{"list":[1.10]}'),
    ("wrap", {"field": "list", "only": "list"}, b'{"list":[]}', b'{"list":[]}'),
    ("wrap", {"only": "object"}, b'{"a":1}', b'[{"a":1}]'),
    # remove
    ("remove", {"each": "$[*]", "fields": ["a", "b.c"]}, b'[{"a":1,"b":{"c":1,"d":2}},{"x":1}]', b'[{"b":{"d":2}},{"x":1}]'),
    ("remove", {"fields": "a"}, b'{"a":1}', b"{}"),
    # const
    ("const", {"set": {"a": None, "b": [1]}}, b'{"a":1}', b'{"a":null,"b":[1]}'),
    ("const", {"set": {"a": 0, "b": 0}, "only_absent": True}, b'{"a":1}', b'{"a":1,"b":0}'),
    # copy: bytes of the source
    ("copy", {"set": {"b": "a.n", "c": "a.missing"}}, b'{"a":{"n":1.10}}', b'{"a":{"n":1.10},"b":1.10}'),
    # pick: a new object, in the order of the rule
    ("pick", {"set": {"notes": "notice", "none": "x.y"}}, b'{"id":1,"notice":"a\\/b"}', b'{"notes":"a\\/b","none":null}'),
    ("pick", {"each": "$[*]", "set": {"id": "id"}}, b'[{"id":1,"x":2},5]', b'[{"id":1},5]'),
    # map: text, number, bool and null as words
    ("map", {"field": "f", "values": {"weekly": 7, "1": "one"}}, b'{"f":"weekly"}', b'{"f":7}'),
    ("map", {"field": "f", "values": {"true": "yes", "null": "none"}}, b'{"f":true}', b'{"f":"yes"}'),
    ("map", {"field": "f", "values": {"x": 1}}, b'{"f":"other"}', b'{"f":"other"}'),
    # date_offset: zero is no end
    ("date_offset", {"from": "days", "set": "at"}, b'{"days":2,"x":1}', b'{"x":1,"at":"2025-06-03T12:00:00+00:00"}'),
    ("date_offset", {"from": "days", "set": "at"}, b'{"days":0}', b'{"at":null}'),
    ("date_offset", {"from": "h", "set": "at", "unit": "hours", "keep": True}, b'{"h":1}', b'{"h":1,"at":"2025-06-01T13:00:00+00:00"}'),
    ("date_offset", {"from": "days", "set": "at"}, b'{"days":1e999}', b'{"days":1e999}'),
    ("date_offset", {"from": "days", "set": "at"}, b'{"days":"2"}', b'{"days":"2"}'),
    # join: the one object, or the one with an equal key
    ("join", {"each": "$.m", "from": "$.stats", "set": {"sent": "n", "x": "no"}}, b'{"m":{"id":1},"stats":{"n":1.10}}', b'{"m":{"id":1,"sent":1.10},"stats":{"n":1.10}}'),
    ("join", {"each": "$.a[*]", "from": "$.b[*]", "on": {"id": "of"}, "set": {"v": "v"}}, b'{"a":[{"id":1},{"id":2}],"b":[{"of":"2","v":5}]}', b'{"a":[{"id":1},{"id":2,"v":5}],"b":[{"of":"2","v":5}]}'),
    ("join", {"each": "$.m", "from": "$.stats", "set": {"v": "v"}}, b'{"m":{}}', b'{"m":{}}'),
]  # fmt: skip


@pytest.mark.parametrize(("addon", "params", "body", "expected"), CASES)
def test_body_becomes(addon: str, params: dict[str, Any], body: bytes, expected: bytes) -> None:
    """The body changes as the rule says, and by no other byte."""
    assert run(addon, params, body).body == expected


@pytest.mark.parametrize("addon", sorted({case[0] for case in CASES}))
@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"list":{"a":1}}', b'[null,1,"x",[]]'])
def test_bodies_of_other_shapes(addon: str, body: bytes) -> None:
    """No addon fails on a body that is not as its rule expects."""
    params = next(params for name, params, *_ in CASES if name == addon)
    run(addon, params, body)
