"""addons/pipeline/items: objects of a list that are read and added to without nodes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.pipeline.accessors import compile_path
from addons.pipeline.document import Document
from addons.pipeline.items import items_of
from addons.pipeline.node import Node

EACH = compile_path("$.list[*]")
NAMES = ("a", "id")
MEMBER = st.sampled_from(
    ['"id":1', '"id" : "x"', '"a":null', '"\\u0061":2', '"b":{"id":3}', '"c":"]},"', '"e":[1, 2]', '"é":1.10']
)
SPACE = st.sampled_from(["", "", " ", "\n  "])
EDIT = st.tuples(st.integers(0, 5), st.sampled_from(["a", "id"]), st.sampled_from([b"7", b'{"n":1}', b"null"]))


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A list of up to six objects with any spacing, with duplicate and escaped keys among them."""
    rows = []
    for _ in range(draw(st.integers(0, 6))):
        inside = (draw(SPACE) + "," + draw(SPACE)).join(draw(st.lists(MEMBER, max_size=4)))
        rows.append(f"{draw(SPACE)}{{{draw(SPACE)}{inside}{draw(SPACE)}}}{draw(SPACE)}")
    separator = draw(st.sampled_from([",", ", ", ",\n"]))
    return f'{{"list":[{separator.join(rows)}],"hasMore":false}}'.encode()


def rows_of(doc: Document) -> list[Node]:
    return EACH.find(doc.root)


def told(doc: Document) -> list[tuple[str, bytes | None, bytes | None, str]]:
    return [(edit.pointer, edit.old, edit.new, edit.step) for edit in doc.edits]


@given(bodies(), st.lists(EDIT, max_size=8))
def test_the_same_as_with_nodes(body: bytes, edits: list[tuple[int, str, bytes]]) -> None:
    """Reads, bytes and recorded edits are those of nodes, whatever the spacing, and for members that are there already."""
    plain, quick = Document(body), Document(body)
    items = items_of(quick.root, EACH, NAMES)
    assert items is not None
    assert [[i.peek(n) for n in NAMES] for i in items] == [[r.peek(n) for n in NAMES] for r in rows_of(plain)]
    with plain.transaction("r", "s"), quick.transaction("r", "s"):
        for index, name, value in edits:
            if index < len(items):
                rows_of(plain)[index].set(name, value)
                items[index].set(name, value)
    assert quick.render() == plain.render()
    assert told(quick) == told(plain)


@given(bodies(), st.lists(EDIT, max_size=4), st.data())
def test_nodes_made_later_know_of_it(body: bytes, edits: list[tuple[int, str, bytes]], data: st.DataObject) -> None:
    """What items were given is seen and kept by every later edit through nodes."""
    doc = Document(body)
    value: dict[str, Any] = json.loads(body)
    for item, row in zip(items_of(doc.root, EACH, NAMES) or [], value["list"], strict=True):
        item.set("a", b"5")
        row["a"] = 5
    any_edit(doc, value, data)
    for index, name, new in edits:
        if index < len(value["list"]):
            rows_of(doc)[index].set(name, new)
            value["list"][index][name] = json.loads(new)
    assert json.loads(doc.render()) == value


@given(bodies(), st.booleans(), st.lists(EDIT, max_size=6), st.data())
def test_a_failed_transaction_takes_it_back(
    body: bytes, before: bool, edits: list[tuple[int, str, bytes]], data: st.DataObject
) -> None:
    """Also where nodes were made of the items since, and where an earlier step had given them members that stay."""
    doc = Document(body)
    items = items_of(doc.root, EACH, NAMES) or []
    if before:
        for item in items:
            item.set("a", b"1")
    kept, edited = doc.render(), told(doc)
    with pytest.raises(ZeroDivisionError), doc.transaction("r", "s"):
        for index, name, value in edits:
            if index < len(items):
                items[index].set(name, value)
        any_edit(doc, json.loads(doc.render()), data)
        raise ZeroDivisionError
    assert (doc.render(), told(doc)) == (kept, edited)
    for row in rows_of(doc):
        row.set("later", b"true")
    assert [row["later"] for row in json.loads(doc.render())["list"]] == [True] * len(items)


def any_edit(doc: Document, value: dict[str, Any], data: st.DataObject) -> None:
    """One edit through nodes, done to the decoded value as well."""
    rows, found = value["list"], doc.root.get("list")
    assert found is not None
    match data.draw(st.sampled_from(["none", "read", "remove item", "remove member", "rename", "append"])):
        case "read":
            assert [json.loads(row.raw) for row in rows_of(doc)] == rows
        case "remove item" if rows:
            found.remove(0)
            del rows[0]
        case "remove member" if rows:
            rows_of(doc)[-1].remove("a")
            rows[-1].pop("a", None)
        case "rename" if rows and "new" not in rows[0]:
            rows_of(doc)[0].rename("a", "new")
            if "a" in rows[0]:
                rows[0]["new"] = rows[0].pop("a")
        case "append":
            doc.root.set("more", b"[]")
            value["more"] = []


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b'{"list":[{"id":1},null]}', "$.list[*]"),
        (b'{"list":[{"id":1},[{"id":2}]]}', "$.list[*]"),
        (b'{"list":[{"id":1}]}', "$.list[0]"),
        (b'{"list":[{"id":1}]}', "$..id"),
    ],
)
def test_rows_that_are_not_all_objects_of_a_list_need_nodes(body: bytes, path: str) -> None:
    """None, and whoever asked takes nodes."""
    assert items_of(Document(body).root, compile_path(path), NAMES) is None


def test_a_list_that_was_edited_needs_nodes() -> None:
    """Its original bytes no longer are what there is."""
    doc = Document(b'{"list":[{"id":1}]}')
    rows_of(doc)[0].set("id", b"2")
    assert items_of(doc.root, EACH, NAMES) is None


def test_no_list_is_no_rows() -> None:
    """Absent, or an object where a list was expected: nothing to do, and no need for nodes."""
    assert items_of(Document(b'{"list":{"id":1}}').root, EACH, NAMES) == []
    assert items_of(Document(b'{"x":1}').root, EACH, NAMES) == []
