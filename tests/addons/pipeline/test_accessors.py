"""addons/pipeline/accessors: compiled paths find what jsonpath-ng finds."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonpath_ng.ext import parse

from addons.pipeline.accessors import BadJsonPath, compile_fields, compile_path, together
from addons.pipeline.document import Document

KEYS = st.sampled_from(["a", "b", "list", "x y"])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "s"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=15,
)
HOPS = st.sampled_from(
    [".a", ".b", ".list", "['x y']", ".*", "[0]", "[-1]", "[1]", "[0,2]", "[1:]", "[:2]", "[::2]", "[-2:]", ".a,b"]
)


@given(st.dictionaries(KEYS, VALUES, max_size=4) | st.lists(VALUES, max_size=4), st.lists(HOPS, max_size=4))
def test_compiled_paths_find_what_jsonpath_ng_finds(value: Any, hops: list[str]) -> None:
    """For any value and any path of compiled parts, the nodes are those of jsonpath-ng, in its order."""
    text = "$" + "".join(hops)
    accessor = compile_path(text)
    assert accessor.compiled
    doc = Document(json.dumps(value).encode())
    assert [n.value() for n in doc.find(accessor)] == [d.value for d in parse(text).find(value)]


@given(
    st.dictionaries(KEYS, VALUES, max_size=4) | st.lists(VALUES, max_size=4),
    st.lists(HOPS | st.sampled_from(["[*]", "[ * ]"]), max_size=4),
)
def test_all_items_of_lists_are_those_of_jsonpath_ng(value: Any, hops: list[str]) -> None:
    """`[*]` finds what jsonpath-ng finds for the slice of a whole list, and nothing of an object."""
    doc = Document(json.dumps(value).encode())
    found = doc.find(compile_path("$" + "".join(hops)))
    whole = "$" + "".join("[:]" if hop.strip("[] ") == "*" and hop[0] == "[" else hop for hop in hops)
    assert [n.value() for n in found] == [d.value for d in parse(whole).find(value)]


@given(
    VALUES.filter(lambda v: isinstance(v, dict | list)),
    st.sampled_from(["$..a", "$.list[?(@.a)]", "$.list[?(@.a > 0)].b"]),
)
def test_other_paths_run_in_jsonpath_ng(value: Any, text: str) -> None:
    """Filters and descendants are not compiled, and their results are nodes that can be edited."""
    accessor = compile_path(text)
    assert not accessor.compiled
    doc = Document(json.dumps(value).encode())
    assert [n.value() for n in doc.find(accessor)] == [d.value for d in parse(text).find(value)]


def test_star_in_brackets_is_for_lists_only() -> None:
    """`[*]` gives the items of a list and nothing of an object; `.*` gives both."""
    doc = Document(b'{"list":{"id":{"id":1}}}')
    assert doc.find(compile_path("$.list[*]")) == []
    assert len(doc.find(compile_path("$.list.*"))) == 1


def test_paths_together() -> None:
    """Several paths find what each finds, one after the other; their lists are known where each has some."""
    doc = Document(b'{"list":[1,2],"users":[3]}')
    both = together([compile_path("$.list[*]"), compile_path("$.users[*]"), compile_path("$[*]")])
    assert [n.value() for n in doc.find(both)] == [1, 2, 3]
    assert [n.value() for n in both.lists(doc.root) or []] == [[1, 2], [3]]
    assert both.compiled
    slow = together([compile_path("$.list[*]"), compile_path("$..users")])
    assert [n.value() for n in doc.find(slow)] == [1, 2, [3]]
    assert slow.lists(doc.root) is None
    assert not slow.compiled


def test_deep_values_are_no_crash() -> None:
    """A path that runs in jsonpath-ng on a deep value gives a Python error that a step may have, never a crash."""
    doc = Document(b'{"a":' + b"[" * 900 + b"]" * 900 + b"}")
    with contextlib.suppress(RecursionError):
        doc.find(compile_path("$..id"))


@pytest.mark.parametrize("text", ["", "  ", "$.", "$.a[", "$[?(", "a b c[", "$." + "a" * 600, "$.a[?(@.b ==)]"])
def test_bad_paths(text: str) -> None:
    """What cannot be parsed is BadJsonPath with the reason."""
    with pytest.raises(BadJsonPath):
        compile_path(text)


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("id", ("id",)),
        ("$.id", ("id",)),
        ("withUser.id", ("withUser", "id")),
        ("'odd name'.id", ("odd name", "id")),
        ("$", ()),
    ],
)
def test_field_chains(text: str, fields: tuple[str, ...]) -> None:
    """Inside a row, a path is a field or a chain of fields; `$` is the row."""
    assert compile_fields(text).fields == fields


@pytest.mark.parametrize("text", ["a[0]", "a[*]", "*", "a,b", "$..a", "a.*"])
def test_field_chains_are_plain(text: str) -> None:
    """Inside a row, nothing that could give many values is accepted."""
    with pytest.raises(BadJsonPath):
        compile_fields(text)


def test_field_path_reads_and_finds_its_parent() -> None:
    """`read` gives the value, `parent` the object that would be written to; both None where the way is missing."""
    doc = Document(b'{"u":{"id":1},"n":null,"s":"x"}')
    path = compile_fields("u.id")
    found = path.read(doc.root)
    assert found is not None
    assert found.value() == 1
    parent = path.parent(doc.root)
    assert parent is not None
    assert parent.pointer == "/u"
    for text in ("v.id", "n.id", "s.id"):
        assert compile_fields(text).read(doc.root) is None
        assert compile_fields(text).parent(doc.root) is None
