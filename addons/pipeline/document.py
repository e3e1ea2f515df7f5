"""Lazily parsed JSON over the original bytes: untouched bytes are never re-encoded, edits splice.

Only the objects and lists that accessors pass through are decoded, one level at a time (`msgspec.Raw`). Duplicate keys
read as the last one, as in every JSON parser, and an edit changes the last one. Every edit is recorded with its JSON
Pointer; a transaction that fails takes its edits back.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from addons.pipeline.exchange import Edit, Origin
from addons.pipeline.json_levels import escaped
from addons.pipeline.layout import quote
from addons.pipeline.node import Node

if TYPE_CHECKING:
    from addons.pipeline.accessors import Accessor

_WS = b" \t\n\r"
_RAW = msgspec.json.Decoder(type=msgspec.Raw)


class NotJson(ValueError):
    """The body is no JSON object or list that could be edited: empty, a scalar, invalid, or nested too deep."""


class Document:
    """A JSON body that can be read and edited without re-encoding it.

    Bytes that are not UTF-8 inside of strings are kept as they are. Raises NotJson.
    """

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.edits: list[Edit] = []
        self.undo: list[tuple[Node | None, Any]] = []
        self.recording = False
        self._rule = ""
        self._step = ""
        value = body.strip(_WS)
        at = len(body) - len(body.lstrip(_WS))
        self._around = body[:at], body[at + len(value) :]
        self.root = Node(self, value or b"n", None, "")
        _check(body, self.root)
        if self.root.kind not in ("object", "array"):
            raise NotJson(f"the body is a JSON {self.root.kind}, not an object or a list")

    def find(self, accessor: Accessor) -> list[Node]:
        """Nodes at a compiled path."""
        return accessor.find(self.root)

    def render(self) -> bytes:
        """The body with its edits; `body` itself where nothing was edited."""
        before, after = self._around
        return self.body if not self.edits else b"".join((before, *self.root.chunks(), after))

    def close(self) -> None:
        """Free what was decoded; neither the document nor its nodes can be used any more."""
        self.undo.clear()
        self.root.release()

    def unwrap(self, node: Node) -> None:
        """Make a node inside the body the whole body."""
        if node is self.root:
            return
        old = self.root.raw
        if self.recording:
            self.undo.append((None, (self.root, node, node.parent, node.key)))
        self.root, node.parent, node.key = node, None, ""
        self.record_at("", old, node.raw, None)

    def wrap(self, name: str | None) -> None:
        """Put the whole body into a new object as its member `name`, or (None) into a list."""
        old = self.root.raw
        if self.recording:
            self.undo.append((None, (self.root, None, None, "")))
        new = b"[" + old + b"]" if name is None else b"{" + quote(name) + b":" + old + b"}"
        self.root = Node(self, new, None, "")
        self.record_at("", old, new, None)

    @contextmanager
    def transaction(self, rule: str = "", step: str = "") -> Iterator[None]:
        """Edits inside belong to this rule and step; an exception takes them back, and goes on."""
        outer = (self._rule, self._step, self.recording)
        undo_mark, edit_mark = len(self.undo), len(self.edits)
        self._rule, self._step, self.recording = rule or self._rule, step or self._step, True
        try:
            yield
        except BaseException:
            self._roll_back(undo_mark)
            del self.edits[edit_mark:]
            raise
        finally:
            self._rule, self._step, self.recording = outer
            if not self.recording:
                self.undo.clear()

    def _roll_back(self, mark: int) -> None:
        while len(self.undo) > mark:
            node, saved = self.undo.pop()
            if node is not None:
                node.restore(saved)
                continue
            self.root, inner, parent, key = saved
            if inner is not None:
                inner.parent, inner.key = parent, key

    def record(self, pointer: str, key: str | int, old: bytes | None, new: bytes | None, origin: Origin | None) -> None:
        """Note an edit of the member or item `key` of the container at `pointer`."""
        self.edits.append(Edit(f"{pointer}/{escaped(key)}", old, new, self._rule, self._step, origin))

    def record_at(self, pointer: str, old: bytes | None, new: bytes | None, origin: Origin | None) -> None:
        """Note an edit of the value at `pointer`."""
        self.edits.append(Edit(pointer, old, new, self._rule, self._step, origin))


def _check(body: bytes, root: Node) -> None:
    """Raise NotJson unless the whole body is one JSON value. Its outermost level is decoded on the way."""
    try:
        if root.load():
            return
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    check_json(body)


def check_json(body: bytes) -> None:
    """Raise NotJson unless the body is one JSON value; numbers of any length, duplicate keys and any text pass."""
    try:
        _RAW.decode(body)
        return
    except RecursionError:
        raise NotJson("the body is nested too deep") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    try:  # msgspec refuses lone surrogates (`\ud800`), which JavaScript may send
        json.loads(
            body.decode("utf-8", "surrogateescape"), parse_constant=_no_constant, parse_int=_skip, parse_float=_skip
        )
    except (ValueError, RecursionError) as error:
        raise NotJson(f"the body is not JSON: {error}") from None


def _skip(_text: str) -> int:
    return 0


def _no_constant(text: str) -> None:
    raise ValueError(f"`{text}` is no JSON value")
