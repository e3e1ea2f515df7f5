"""Reading of one value inside a `Document`: one level is decoded at a time. See `document.py`; writing is in `node.py`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from addons.pipeline import json_scan
from addons.pipeline.json_levels import ARRAY, KINDS, OBJECT, VALUES, Kind, escaped, some_members, text_of

if TYPE_CHECKING:
    from addons.pipeline.document import Document
    from addons.pipeline.layout import Slot
    from addons.pipeline.node import Node


class ReadNode:
    """A value as it is now, edits included. Reads never raise for a value of another kind; they give None.

    A container is decoded lazily into `_parts` (name → original bytes). What edits leave besides is `Node`'s.
    """

    __slots__ = (
        "_added",
        "_dirty",
        "_fresh",
        "_kids",
        "_parts",
        "_seen",
        "_slots",
        "_source",
        "doc",
        "key",
        "kind",
        "parent",
    )

    def __init__(self, doc: Document, source: bytes | msgspec.Raw, parent: Node | None, key: str | int) -> None:
        self.doc = doc
        self._source: bytes | msgspec.Raw = source
        self.parent = parent
        self.key = key
        self.kind: Kind = KINDS.get(memoryview(source)[0], "number")
        self._parts: dict[str, msgspec.Raw] | list[msgspec.Raw] | None = None
        self._seen: tuple[Any, dict[str, str]] | None = None
        self._kids: dict[str | int, Node] = {}
        self._added: dict[str, Node | bytes] | None = None
        self._fresh: dict[int, dict[str, Node | bytes]] | None = None
        self._slots: list[Slot] | None = None
        self._dirty = False

    @property
    def raw(self) -> bytes:
        """The JSON text of this value."""
        return self._render() if self._dirty else bytes(self._source)

    def _render(self) -> bytes:
        raise NotImplementedError

    def _make(self, key: str | int, source: bytes | msgspec.Raw) -> Node:
        """A node for a member or an item."""
        raise NotImplementedError

    @property
    def pointer(self) -> str:
        """JSON Pointer (RFC 6901) from the root as it is now."""
        found = ""
        node: ReadNode = self
        while node.parent is not None:
            found = f"/{escaped(node.key)}{found}"
            node = node.parent
        return found

    def get(self, name: str) -> Node | None:
        """The member of that name; None where there is none or this is no object."""
        if self.kind != "object":
            return None
        if self._slots is not None:
            found = self._slot(name)
            return self._slot_node(found) if found is not None else None
        kid = self._kids.get(name)
        if kid is not None:
            return kid
        if self._added is not None and (new := self._added.get(name)) is not None:
            if isinstance(new, bytes):
                new = self._added[name] = self._make(name, new)
            return new
        part = self._members().get(name)
        return self._kid(name, part) if part is not None else None

    def look(self, names: tuple[str, ...]) -> None:
        """Decode these members of an object and no others, for `peek`, `has` and `set`: of a wide object the cheapest."""
        if self.kind != "object" or self._parts is not None or self._seen is not None:
            return
        some = some_members(names)
        try:
            self._seen = some.one.decode(self._source), some.fields
        except (msgspec.DecodeError, UnicodeDecodeError):
            return

    def columns(self, names: tuple[str, ...]) -> tuple[list[Any], dict[str, str]] | None:
        """As `look` for every item of a list at once: structs, and name → field. None unless all are untouched objects."""
        if self.kind != "array" or self._kids or self._fresh or self._slots is not None:
            return None
        some = some_members(names)
        try:
            return some.each.decode(self._source), some.fields
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None

    def peek(self, name: str) -> bytes | None:
        """The JSON text of a member as it is now, without making a node of it."""
        if self.kind != "object":
            return None
        if self._slots is None and name not in self._kids and not (self._added and name in self._added):
            return self._part(name)
        found = self.get(name)
        return None if found is None else found.raw

    def has(self, name: str) -> bool:
        """Whether the object has a member of that name."""
        if self.kind != "object" or self._slots is not None:
            return self.get(name) is not None
        return (self._added is not None and name in self._added) or self._part(name) is not None

    def _part(self, name: str) -> bytes | None:
        """A member's bytes in the source."""
        if self._seen is not None and (field := self._seen[1].get(name)) is not None:
            seen = getattr(self._seen[0], field)
            return None if seen is msgspec.UNSET else bytes(seen)
        part = self._members().get(name)
        return None if part is None else bytes(part)

    def at(self, index: int) -> Node | None:
        """The item at `index` (negative: from the end); None where there is none or this is no list."""
        if self.kind != "array":
            return None
        size = len(self)
        if not -size <= index < size:
            return None
        index %= size
        if self._slots is not None:
            return self._slot_node(index)
        return self._kids.get(index) or self._kid(index, self._list()[index])

    def child(self, step: str | int) -> Node | None:
        """`get` or `at`, by the type of `step`."""
        return self.at(step) if isinstance(step, int) else self.get(step)

    def items(self) -> Iterator[tuple[str, Node]]:
        """Members of an object in order, a duplicate key once with its last value."""
        if self.kind == "object":
            for name in self._names():
                found = self.get(name)
                if found is not None:
                    yield name, found

    def children(self) -> list[Node]:
        """Items of a list or values of an object's members, in order."""
        if self.kind == "array":
            if self._slots is not None:
                return [self._slot_node(index) for index in range(len(self._slots))]
            kids, parts = self._kids, self._list()
            if not kids and not self._fresh:
                self._kids = kids = {i: self._make(i, part) for i, part in enumerate(parts)}
                return list(kids.values())
            return [kids.get(i) or self._kid(i, part) for i, part in enumerate(parts)]
        return [value for _, value in self.items()]

    def __len__(self) -> int:
        if self._slots is not None and self.kind == "array":
            return len(self._slots)
        if self.kind == "array":
            return len(self._list())
        return len(self._names()) if self.kind == "object" else 0

    def __bool__(self) -> bool:
        return True

    def value(self) -> Any:
        """Decoded: dict, list, str, int, Decimal (numbers with fraction or exponent), bool or None."""
        text = self.raw
        if self.kind == "string":
            return text_of(text)
        if self.kind == "null":
            return None
        if self.kind == "number" and len(text) < 18 and text.isdigit():
            return int(text)
        return VALUES.decode(text.decode("utf-8", "surrogateescape"))

    def load(self) -> bool:
        """Decode this level now, strictly. False for what has no level. Raises msgspec's errors, RecursionError."""
        if self.kind == "object":
            self._parts = OBJECT.decode(self._source)
        elif self.kind == "array":
            self._parts = ARRAY.decode(self._source)
        return self._parts is not None

    def _names(self) -> list[str]:
        if self._slots is not None:
            return list(dict.fromkeys(slot.name for slot in self._slots))
        return [*self._members(), *(self._added or ())]

    def _kid(self, key: str | int, part: msgspec.Raw) -> Node:
        node = self._make(key, part)
        self._kids[key] = node
        if self._fresh is not None and isinstance(key, int) and (added := self._fresh.pop(key, None)) is not None:
            node._added, node._dirty = added, True
        return node

    def _members(self) -> dict[str, msgspec.Raw]:
        if self._parts is None:
            try:
                self._parts = OBJECT.decode(self._source)
            except (msgspec.DecodeError, UnicodeDecodeError):
                raw = bytes(self._source)
                self._parts = {
                    json_scan.key_text(raw[s.key_start : s.key_end]): msgspec.Raw(raw[s.value_start : s.value_end])
                    for s in json_scan.members(raw)
                }
        assert isinstance(self._parts, dict)
        return self._parts

    def _list(self) -> list[msgspec.Raw]:
        if self._parts is None:
            try:
                self._parts = ARRAY.decode(self._source)
            except (msgspec.DecodeError, UnicodeDecodeError):
                raw = bytes(self._source)
                self._parts = [msgspec.Raw(raw[a:b]) for a, b in json_scan.items(raw)]
        assert isinstance(self._parts, list)
        return self._parts

    def _slot(self, name: str) -> int | None:
        """The last slot of that name."""
        assert self._slots is not None
        for index in range(len(self._slots) - 1, -1, -1):
            if self._slots[index].name == name:
                return index
        return None

    def _slot_node(self, index: int) -> Node:
        """The value of a slot as a node."""
        assert self._slots is not None
        slot = self._slots[index]
        if isinstance(slot.value, bytes):
            slot.value = self._make(slot.name if self.kind == "object" else index, slot.value)
        return slot.value
