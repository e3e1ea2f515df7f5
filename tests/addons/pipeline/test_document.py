"""addons/pipeline/document: untouched bytes stay, edits splice, failed transactions leave nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.pipeline.accessors import compile_path
from addons.pipeline.document import Document, NotJson
from addons.pipeline.exchange import Origin
from addons.pipeline.node import Node

SPACE = st.sampled_from(["", "", "", " ", "\n  ", "\t"])
NAME = st.sampled_from(["id", "a", "b", "é", "x y", "\\u0061", "list", ""])
SCALAR = st.sampled_from(
    [
        "1",
        "1.10",
        "-0",
        "1e5",
        "9" * 80,
        "null",
        "true",
        "false",
        '""',
        '"x\\/y"',
        '"\\ud83d\\ude00"',
        '"\\ud800"',
        '"é,]}"',
    ]
)


@st.composite
def json_text(draw: st.DrawFn, depth: int = 3) -> str:
    """JSON with any spacing, duplicate keys, escaped keys, odd numbers and lone surrogates."""
    kind = draw(st.integers(0, 3 if depth else 1))
    if kind < 2 and depth < 3:
        return draw(SCALAR)
    ws = lambda: draw(SPACE)  # noqa: E731
    size = draw(st.integers(0, 4))
    if kind % 2:
        return (
            "["
            + ",".join(f"{ws()}{draw(json_text(depth - 1))}{ws()}" for _ in range(size))
            + (ws() if not size else "")
            + "]"
        )
    members = [f'{ws()}"{draw(NAME)}"{ws()}:{ws()}{draw(json_text(depth - 1))}{ws()}' for _ in range(size)]
    return "{" + ",".join(members) + (ws() if not size else "") + "}"


def load(text: bytes) -> Any:
    return json.loads(text)


def nodes(node: Node) -> list[Node]:
    return [node, *(inner for child in node.children() for inner in nodes(child))]


@given(json_text())
def test_reading_changes_nothing(text: str) -> None:
    """A body that was walked through, whatever its spacing and oddities, renders byte for byte, and reads as json reads."""
    body = text.encode("utf-8", "surrogatepass")
    doc = Document(body)
    for node in nodes(doc.root):
        assert json.dumps(node.value(), default=float) == json.dumps(json.loads(node.raw), default=float) or node.raw
    assert doc.render() is body
    for node in nodes(doc.root):
        node._dirty = True
    assert doc.root.raw == body.strip()


@given(json_text(), st.data())
def test_edits_do_what_they_do_to_plain_data(text: str, data: st.DataObject) -> None:
    """Any series of edits gives the JSON that the same edits give on decoded data."""
    doc = Document(text.encode())
    plain = load(text.encode())
    for _ in range(data.draw(st.integers(1, 6))):
        path = data.draw(st.sampled_from([p for p, v in walk(plain) if isinstance(v, dict)] or [None]))
        if path is None:
            return
        node, target = at(doc.root, path), reach(plain, path)
        name = data.draw(st.sampled_from([*target, "new", "a"]))
        match data.draw(st.sampled_from(["set", "remove", "rename", "replace"])):
            case "set":
                node.set(name, b'{"n":1.10}')
                target[name] = {"n": 1.1}
            case "remove":
                node.remove(name)
                target.pop(name, None)
            case "rename" if name in target and name != "renamed":
                node.rename(name, "renamed")
                target.pop("renamed", None)
                items = [("renamed" if k == name else k, v) for k, v in target.items()]
                target.clear()
                target.update(items)
            case "replace" if name in target:
                child = node.get(name)
                assert child is not None
                child.replace(b'[{"r":2}]')
                target[name] = [{"r": 2}]
    assert load(doc.render()) == plain


@given(json_text(), st.data())
def test_failed_transaction_leaves_nothing(text: str, data: st.DataObject) -> None:
    """After a transaction that raises, bytes and edits are as before, and later edits work."""
    doc = Document(text.encode())
    doc.root.child(0 if doc.root.kind == "array" else "a")
    with doc.transaction("rule", "kept"):
        for node in nodes(doc.root):
            if node.kind == "object":
                node.set("kept", b"1")
                break
    before, edits = doc.render(), list(doc.edits)
    with pytest.raises(ZeroDivisionError), doc.transaction("rule", "broken"):
        for node in nodes(doc.root):
            if node.kind == "object":
                for name in [name for name, _ in node.items()]:
                    data.draw(
                        st.sampled_from(
                            [node.remove, lambda n, o=node: o.rename(n, "q"), lambda n, o=node: o.set(n, b"[]")]
                        )
                    )(name)
                node.set("kept", b"2")
        doc.wrap("all")
        raise ZeroDivisionError
    assert doc.render() == before
    assert doc.edits == edits
    if doc.root.kind == "object":
        doc.root.set("later", b"true")
        assert load(doc.render())["later"] is True


def walk(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    out = [(path, value)]
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        out += walk(inner, (*path, key))
    return out


def reach(value: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        value = value[part]
    return value


def at(node: Node, path: tuple[Any, ...]) -> Node:
    for part in path:
        found = node.child(part)
        assert found is not None
        node = found
    return node


def edited(body: bytes, path: str, name: str, value: bytes) -> bytes:
    doc = Document(body)
    for node in doc.find(compile_path(path)):
        node.set(name, value)
    return doc.render()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # a new member goes in before the closing brace
        (b'{"id":1}', b'{"id":1,"n":0}'),
        (b'{ "id" : 1 }\n', b'{ "id" : 1,"n":0 }\n'),
        (b"{}", b'{"n":0}'),
        (b"{ }", b'{"n":0 }'),
        # a member that is there is replaced in its place
        (b'{"n":"old","id":1}', b'{"n":0,"id":1}'),
        (b'{ "n" :  {"deep":[1]} , "id":1 }', b'{ "n" :  0 , "id":1 }'),
        # of duplicates the last one, which is the one that readers see
        (b'{"n":1,"n":1,"x":1}', b'{"n":1,"n":0,"x":1}'),
        (b'{"id":1,"id":2}', b'{"id":1,"id":2,"n":0}'),
        (b'{"n":"}","a":1,"n":"}"}', b'{"n":"}","a":1,"n":0}'),
        # escaped spelling of the same name
        (b'{"\\u006e":1}', b'{"\\u006e":0}'),
        # everything else stays: numbers, escapes, bytes that are not UTF-8
        (b'{"m":1.10,"big":' + b"7" * 80 + b',"s":"a\\/b","bad":"\xff\xfe"}', None),
        (b'{"\xff":1,"n":2}', b'{"\xff":1,"n":0}'),
    ],
)
def test_set_splices(body: bytes, expected: bytes | None) -> None:
    """Setting a field changes that field and no other byte."""
    assert edited(body, "$", "n", b"0") == (expected if expected is not None else body[:-1] + b',"n":0}')


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"5",
        b'"x"',
        b"null",
        b"true",
        b"{",
        b"[1,]",
        b'{"a":01}',
        b'{"a":NaN}',
        b"\xef\xbb\xbf{}",
        b"{}x",
        b"<html>",
        b"'a'",
    ],
)
def test_what_is_not_json(body: bytes) -> None:
    """An empty body, a scalar, a BOM and invalid JSON are NotJson."""
    with pytest.raises(NotJson):
        Document(body)


@pytest.mark.parametrize("body", [b"[" * 200_000 + b"]" * 200_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000])
def test_deep_nesting_is_refused(body: bytes) -> None:
    """A nesting bomb is NotJson, never a crash."""
    with pytest.raises(NotJson, match="deep"):
        Document(body)


def test_rename_keeps_the_place() -> None:
    """A renamed field stays where it was; one that has the new name already goes."""
    doc = Document(b'{"a" : 1, "b":2 ,"c":3}')
    doc.root.rename("a", "c")
    assert doc.render() == b'{"c" : 1, "b":2}'
    assert [(e.pointer, e.old, e.new) for e in doc.edits] == [
        ("/c", b"3", None),
        ("/a", b"1", None),
        ("/c", None, b"1"),
    ]


def test_remove_takes_the_separator() -> None:
    """Removed members and items leave valid JSON and the other bytes."""
    doc = Document(b'[1, {"a":1 , "b":2} ,3]')
    doc.root.remove(0)
    inner = doc.root.at(0)
    assert inner is not None
    inner.remove("a")
    inner.remove("absent")
    assert doc.render() == b'[ {"b":2} ,3]'.replace(b'{"b', b'{ "b')
    inner.remove("b")
    doc.root.remove(-1)
    assert load(doc.render()) == [{}]


def test_unwrap_and_wrap() -> None:
    """The part that becomes the body keeps its edits; pointers count from the new root."""
    doc = Document(b' {"list":[{"id":1}],"hasMore":true} ')
    item = doc.find(compile_path("$.list[*]"))[0]
    item.set("n", b"0")
    found = doc.root.get("list")
    assert found is not None
    doc.unwrap(found)
    item.set("m", b"1")
    assert doc.render() == b' [{"id":1,"n":0,"m":1}] '
    assert [e.pointer for e in doc.edits] == ["/list/0/n", "", "/0/m"]
    doc.wrap("data")
    assert load(doc.render()) == {"data": [{"id": 1, "n": 0, "m": 1}]}


def test_edits_say_who_and_whence() -> None:
    """An edit has pointer (escaped as RFC 6901 says), old and new bytes, rule, step and origin."""
    doc = Document(b'{"a/b":{"~x":"old"}}')
    origin = Origin("fans", "7", 1.5)
    with doc.transaction("fans-all", "lookup"):
        inner = doc.root.get("a/b")
        assert inner is not None
        inner.set("~x", b"null", origin)
    edit = doc.edits[0]
    assert (edit.pointer, edit.old, edit.new) == ("/a~1b/~0x", b'"old"', b"null")
    assert (edit.rule, edit.step, edit.origin) == ("fans-all", "lookup", origin)


def test_reads_of_another_kind_give_nothing() -> None:
    """Asking a list for a field, or an object for an item, is None; setting there is a TypeError."""
    doc = Document(b'{"list":{"x":1},"n":[1]}')
    assert doc.root.at(0) is None
    listed = doc.root.get("n")
    assert listed is not None
    assert listed.get("x") is None
    assert listed.at(5) is None
    assert listed.at(-1) is not None
    with pytest.raises(TypeError, match="/n is array"):
        listed.set("x", b"1")


@pytest.mark.parametrize(
    "body",
    [
        b'[{"n":1},{"n":2},{"n":3}]',
        b'[{"n":1}, {"n":2}, {"n":3}]',
        b'[{"n":1} ,{"n":2}, {"n":3}]',
        b'[ {"n":1},  {"n":2},{"n":3}]',
        b'[{"n":1},{"n":2},{"n":3}  ]',
        b'[{"n":", "},  {"n":2},{"n":", "}]',
    ],
)
def test_whitespace_between_items_stays(body: bytes) -> None:
    """However a list is spaced, only the member that was added is new."""
    doc = Document(body)
    for node in doc.root.children():
        node.set("m", b"0")
    assert doc.render() == body.replace(b"}", b',"m":0}')


def test_a_member_that_was_added_can_be_read_and_edited() -> None:
    """A new member waits as bytes, and is a value like any other to whoever reads it; a rollback takes all of it back."""
    doc = Document(b'{"a":1}')
    with doc.transaction():
        doc.root.set("b", b'{"c":1}')
    with pytest.raises(RuntimeError), doc.transaction():
        found = doc.root.get("b")
        assert found is not None
        found.set("d", b"2")
        assert doc.render() == b'{"a":1,"b":{"c":1,"d":2}}'
        doc.root.set("b", b"3")
        raise RuntimeError
    assert doc.render() == b'{"a":1,"b":{"c":1}}'
    assert (doc.root.peek("b"), len(doc.edits)) == (b'{"c":1}', 1)
