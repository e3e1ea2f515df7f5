"""The objects of a list, of which a step reads some members and adds others: cheaper than a node for each of many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from addons.pipeline.accessors import Accessor
    from addons.pipeline.exchange import Origin
    from addons.pipeline.node import Node


class Item:
    """One object. Knows the members that were named to `items_of`, as they were then."""

    __slots__ = ("_fields", "_index", "_list", "_pointer", "_seen")

    def __init__(self, parent: Node, pointer: str, index: int, seen: Any, fields: dict[str, str]) -> None:
        self._list = parent
        self._pointer = pointer
        self._index = index
        self._seen = seen
        self._fields = fields

    def peek(self, name: str) -> bytes | None:
        """The JSON text of a member; None where it is absent."""
        seen = getattr(self._seen, self._fields[name])
        return None if seen is msgspec.UNSET else bytes(seen)

    def set(self, name: str, value: bytes, origin: Origin | None = None) -> None:
        """As `Node.set`."""
        parent = self._list
        if getattr(self._seen, self._fields[name]) is msgspec.UNSET and parent.add_to(self._index, name, value):
            parent.doc.record(f"{self._pointer}/{self._index}", name, None, value, origin)
        elif (node := parent.at(self._index)) is not None:
            node.set(name, value, origin)


def items_of(root: Node, each: Accessor, names: tuple[str, ...]) -> list[Item] | None:
    """The rows at `each` with these members decoded. None where they are not all objects of lists nobody has edited."""
    lists = each.lists(root)
    if lists is None:
        return None
    found: list[Item] = []
    for parent in lists:
        columns = parent.columns(names)
        if columns is None:
            return None
        seen, fields = columns
        pointer = parent.pointer
        found += [Item(parent, pointer, index, one, fields) for index, one in enumerate(seen)]
    return found
