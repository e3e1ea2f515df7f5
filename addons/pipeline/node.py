"""One value inside a `Document` that can be edited: writes splice. See `document.py`; reading is in `node_reading.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from addons.pipeline import layout
from addons.pipeline.json_levels import KINDS, Kind
from addons.pipeline.layout import Chunk, Slot
from addons.pipeline.node_reading import ReadNode

if TYPE_CHECKING:
    from addons.pipeline.exchange import Origin


class Node(ReadNode):
    """A value. New members wait in `_added`, those of items that are no nodes yet in `_fresh`; the first edit of anything
    else lays all members out as `_slots`.
    """

    __slots__ = ()

    def _make(self, key: str | int, source: bytes | msgspec.Raw) -> Node:
        return Node(self.doc, source, self, key)

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

    def add_to(self, index: int, name: str, value: bytes) -> bool:
        """A new last member for the object at `index`, known not to have it. False where that must be `set` on its node."""
        if self._slots is not None or index in self._kids:
            return False
        if self._fresh is None:
            self._fresh = {}
        added = self._fresh.setdefault(index, {})
        if name in added:
            return False
        added[name] = value
        if self.doc.recording:
            self.doc.undo.append((self, (index, name)))
        if not self._dirty:
            self._touch()
        return True

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
        self._added, self._fresh, self._slots, self._dirty = None, None, None, False

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
            fresh = {i: dict(more) for i, more in self._fresh.items()} if self._fresh is not None else None
            saved = (self._source, self.kind, self._parts, dict(self._kids), added, fresh, slots, self._dirty)
            self.doc.undo.append((self, saved))

    def restore(self, saved: Any) -> None:
        """Back to a state that `_keep` or `add_to` remembered; None is that of a node as it was made."""
        if saved is None:
            self._kids, self._added, self._fresh, self._slots, self._dirty = {}, None, None, None, False
            return
        if len(saved) == 2:
            self._take_back(*saved)
            return
        self._source, self.kind, self._parts, self._kids, self._added, self._fresh, self._slots, self._dirty = saved
        self._seen = None
        for key, kid in self._kids.items():
            kid.key, kid.parent = key, self
        self._number()

    def _take_back(self, index: int, name: str) -> None:
        """Undo `add_to`, though a node may have been made of the item since."""
        kid, fresh = self._kids.get(index), self._fresh
        added = kid._added if kid is not None else fresh.get(index) if fresh is not None else None
        if added is not None:
            added.pop(name, None)

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
        self._make_fresh()
        if self.kind == "object":
            slots = layout.object_slots(raw, self._members(), self._kids)
        else:
            slots = layout.array_slots(raw, self._list(), self._kids)
        for name, new in (self._added or {}).items():
            layout.append(slots, name, new)
        self._added = None
        return slots

    def _render(self) -> bytes:
        return b"".join(self.chunks())

    def chunks(self) -> list[Chunk]:
        """`raw` in pieces: joined once at the root, so that a large body is copied once and not at each level."""
        if not self._dirty or self.kind not in ("object", "array"):
            return [self._source]
        if self._slots is None:
            changed = [key for key, kid in self._kids.items() if kid._dirty]
            whole: list[Chunk] = [self._source]
            pieces = self._splice(changed) if changed or self._fresh else whole
            if pieces is not None and self._added:
                return layout.added(pieces[0] if len(pieces) == 1 else b"".join(pieces), self._added)
            if pieces is not None:
                return pieces
            self._slots = self._lay_out()
        body = b",".join([s.before + s.key + s.colon + s.text() + s.after for s in self._slots])
        opening, closing = (b"{", b"}") if self.kind == "object" else (b"[", b"]")
        return [opening, body, closing]

    def _splice(self, changed: list[str | int]) -> list[Chunk] | None:
        """The source with changed children put in; None where their places take a scan to find."""
        if self.kind == "array":
            joined = self._join_items()
            if joined is not None:
                return joined
            changed += self._make_fresh()
        raw = bytes(self._source)
        spans = layout.spans(raw, self._members() if self.kind == "object" else self._list())
        if spans is None:
            return None
        view, out, at = memoryview(raw), list[Chunk](), 0
        for start, end, key in sorted((*spans[key], key) for key in changed):
            out += (view[at:start], *self._kids[key].chunks())
            at = end
        return [*out, view[at:]]

    def _join_items(self) -> list[Chunk] | None:
        """A list with nothing or one blank after each comma, with the changed ones put in; None where it is spaced else."""
        parts, kids, fresh = self._list(), self._kids, self._fresh or {}
        raw = bytes(self._source)
        comma = layout.comma_of(len(raw), parts)
        view, out, done, at = memoryview(raw), list[Chunk](), 0, 1
        for index, part in enumerate(parts):
            if index and not raw.startswith(comma, at - len(comma)):
                return None
            end = at + len(part)
            if added := fresh.get(index):
                stop = layout.end_of(raw, end)
                out += (view[done:stop], layout.members(added, first=stop == at + 1))
                done = stop
            elif (kid := kids.get(index)) is not None and kid._dirty:
                out += (view[done:at], *kid.chunks())
                done = end
            at = end + len(comma)
        return [*out, view[done:]] if at - len(comma) == len(raw) - 1 else None

    def _make_fresh(self) -> list[str | int]:
        """Nodes for all items that have new members and are none yet; gives their indexes."""
        fresh = list(self._fresh or ())
        for index in fresh:
            self._kid(index, self._list()[index])
        return [*fresh]
