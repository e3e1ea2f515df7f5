"""One value inside a `Document`: reads decode one level, writes splice. See `document.py`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from addons.pipeline import json_scan, layout
from addons.pipeline.exchange import Origin
from addons.pipeline.json_levels import ARRAY, KINDS, OBJECT, VALUES, Kind, escaped, some_members, text_of
from addons.pipeline.layout import Slot

if TYPE_CHECKING:
    from addons.pipeline.document import Document


class Node:
    """A value. `raw`: its bytes as they are now. Reads never raise for a value of another kind; they give None.

    Life of a container: decoded lazily into `_parts` (name → original bytes); new members wait in `_added`; the first
    edit of anything else lays all members out as `_slots`.
    """

    __slots__ = ("_added", "_dirty", "_kids", "_parts", "_seen", "_slots", "_source", "doc", "key", "kind", "parent")

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
        self._slots: list[Slot] | None = None
        self._dirty = False

    # -- reading ---------------------------------------------------------------------------------------------------

    @property
    def raw(self) -> bytes:
        """The JSON text of this value, edits included."""
        return self._render() if self._dirty else bytes(self._source)

    @property
    def pointer(self) -> str:
        """JSON Pointer (RFC 6901) from the root as it is now."""
        found = ""
        node: Node = self
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
                new = self._added[name] = Node(self.doc, new, self, name)
            return new
        part = self._members().get(name)
        return self._kid(name, part) if part is not None else None

    def look(self, names: tuple[str, ...]) -> None:
        """Decode these members of an object and no others, for `peek`, `has` and `set`: of a wide object the cheapest."""
        if self.kind != "object" or self._parts is not None or self._seen is not None:
            return
        decoder, fields = some_members(names)
        try:
            self._seen = decoder.decode(self._source), fields
        except (msgspec.DecodeError, UnicodeDecodeError):
            return

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
            if not kids:
                self._kids = kids = {i: Node(self.doc, part, self, i) for i, part in enumerate(parts)}
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
        node = Node(self.doc, part, self, key)
        self._kids[key] = node
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

    # -- writing ---------------------------------------------------------------------------------------------------

    def set(self, name: str, value: bytes, origin: Origin | None = None) -> None:
        """Add or replace a member of an object. A new member goes in before the closing brace."""
        self._must_be("object")
        self._keep()
        if self._slots is not None:
            old = self._replace_slot(name, Node(self.doc, value, self, name))
        elif (old := self._part(name)) is not None:
            if (kid := self._kids.get(name)) is not None:
                old = kid.raw
            self._kids[name] = new = Node(self.doc, value, self, name)
            new._dirty = True
        elif self._added is None:
            self._added = {name: value}
        else:
            old = layout.text(before) if (before := self._added.get(name)) is not None else None
            self._added[name] = value
        self._touch()
        self.doc.record(self.pointer, name, old, value, origin)

    def remove(self, key: str | int) -> None:
        """Take a member or an item out, with its separator. Nothing happens where it is absent."""
        node = self.child(key)
        if node is None:
            return
        self._keep()
        slots = self._lay_out()
        if isinstance(key, int):
            key %= len(slots)
            kept = [s for i, s in enumerate(slots) if i != key]
        else:
            kept = [s for s in slots if s.name != key]
        if kept and slots[-1] is not kept[-1]:
            kept[-1] = kept[-1].with_after(slots[-1].after)
        self._slots = kept
        self._number()
        self._touch()
        self.doc.record(self.pointer, key, node.raw, None, None)

    def rename(self, name: str, new: str) -> None:
        """Give a member another name, in its place. A member that has the new name already goes away."""
        node = self.get(name)
        if node is None or name == new:
            return
        if self.has(new):
            self.remove(new)
        self._keep()
        self._slots = [slot.renamed(new) if slot.name == name else slot for slot in self._lay_out()]
        self._touch()
        raw = node.raw
        self.doc.record(self.pointer, name, raw, None, None)
        self.doc.record(self.pointer, new, None, raw, None)
        self._number()

    def replace(self, value: bytes, origin: Origin | None = None) -> None:
        """Put other JSON in the place of this value; this node then is that value."""
        old = self.raw
        self._keep()
        self._become(value)
        self._dirty = True
        if self.parent is not None:
            self.parent._touch()
        self.doc.record_at(self.pointer, old, value, origin)

    def _become(self, value: bytes | msgspec.Raw) -> None:
        self._source = value
        self.kind = KINDS.get(memoryview(value)[0], "number")
        self._parts, self._seen, self._kids = None, None, {}
        self._added, self._slots, self._dirty = None, None, False

    def _must_be(self, kind: Kind) -> None:
        if self.kind != kind:
            raise TypeError(f"{self.pointer or 'the body'} is {self.kind}, not {kind}")

    def _keep(self) -> None:
        """Remember the state before an edit, for a rollback."""
        if not self.doc.recording:
            return
        if not self._dirty and not self._kids and self._added is None:
            self.doc.undo.append((self, None))
        else:
            added = dict(self._added) if self._added is not None else None
            slots = list(self._slots) if self._slots is not None else None
            saved = (self._source, self.kind, self._parts, dict(self._kids), added, slots, self._dirty)
            self.doc.undo.append((self, saved))

    def restore(self, saved: Any) -> None:
        """Back to a state that `_keep` remembered; None is that of a node as it was made."""
        if saved is None:
            self._kids, self._added, self._slots, self._dirty = {}, None, None, False
            return
        self._source, self.kind, self._parts, self._kids, self._added, self._slots, self._dirty = saved
        self._seen = None
        for key, kid in self._kids.items():
            kid.key, kid.parent = key, self
        self._number()

    def release(self) -> None:
        """Let go of parent, document and children, so that they are freed at once and not when cycles are collected."""
        kids, self._kids, self.parent, self._slots = self._kids, {}, None, None
        del self.doc
        for kid in kids.values():
            kid.release()

    def _touch(self) -> None:
        node: Node | None = self
        while node is not None and not node._dirty:
            node._dirty = True
            node = node.parent

    # -- layout ----------------------------------------------------------------------------------------------------

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
            slot.value = Node(self.doc, slot.value, self, slot.name if self.kind == "object" else index)
        return slot.value

    def _replace_slot(self, name: str, new: Node) -> bytes | None:
        slots = self._slots = self._lay_out()
        index = self._slot(name)
        if index is not None:
            old = slots[index].text()
            slots[index] = slots[index].with_value(new)
            return old
        layout.append(slots, name, new)
        return None

    def _number(self) -> None:
        """Set the keys of children to where they are now."""
        for index, slot in enumerate(self._slots or ()):
            if isinstance(slot.value, Node):
                slot.value.key = slot.name if self.kind == "object" else index
                slot.value.parent = self

    def _lay_out(self) -> list[Slot]:
        """A fresh list of all members or items with the bytes between them; equal to the source when rendered."""
        if self._slots is not None:
            return list(self._slots)
        raw = bytes(self._source)
        if self.kind == "object":
            slots = layout.object_slots(raw, self._members(), self._kids)
        else:
            slots = layout.array_slots(raw, self._list(), self._kids)
        for name, new in (self._added or {}).items():
            layout.append(slots, name, new)
        self._added = None
        return slots

    def _render(self) -> bytes:
        if self.kind not in ("object", "array"):
            return bytes(self._source)
        if self._slots is None:
            changed = [key for key, kid in self._kids.items() if kid._dirty]
            spliced = self._splice(changed) if changed else self._source
            if spliced is not None:
                return layout.with_added(spliced, self._added) if self._added else bytes(spliced)
            self._slots = self._lay_out()
        body = b",".join([s.before + s.key + s.colon + s.text() + s.after for s in self._slots])
        return b"{" + body + b"}" if self.kind == "object" else b"[" + body + b"]"

    def _splice(self, changed: list[str | int]) -> bytes | None:
        """The source with changed children put in; None where their places take a scan to find."""
        if self.kind == "array":
            joined = self._join_items()
            if joined is not None:
                return joined
        raw = bytes(self._source)
        spans = layout.spans(raw, self._members() if self.kind == "object" else self._list())
        if spans is None:
            return None
        out: list[bytes] = []
        at = 0
        for start, end, key in sorted((*spans[key], key) for key in changed):
            out += (raw[at:start], self._kids[key].raw)
            at = end
        return b"".join((*out, raw[at:]))

    def _join_items(self) -> bytes | None:
        """A list with nothing or one blank after each comma, with the changed ones put in; None where it is spaced else."""
        parts, kids = self._list(), self._kids
        comma = layout.comma_of(self._source, parts)
        if comma is None:
            return None
        texts = [kid.raw if (kid := kids.get(i)) is not None and kid._dirty else part for i, part in enumerate(parts)]
        return b"".join((b"[", comma.join(texts), b"]"))
