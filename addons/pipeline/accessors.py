"""JSONPath (jsonpath-ng's syntax) compiled to plain accessors over document nodes.

Compiled: `$`, fields, quoted fields, indexes, `[*]`, `.*`, slices and unions of fields. Everything else (filters,
descendants, …) runs in jsonpath-ng on the decoded value, and its full paths are mapped back to nodes.

One difference from jsonpath-ng: `[*]` means the items of a list and nothing else; `.*` means the members of an object or
the items of a list. Where a list was expected and an object came, a rule then changes nothing.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from jsonpath_ng import jsonpath as jp
from jsonpath_ng.exceptions import JSONPathError
from jsonpath_ng.ext.parser import parse as parse_path

if TYPE_CHECKING:
    from addons.pipeline.node import Node

MAX_LENGTH = 500
Hop = Callable[[list["Node"]], list["Node"]]

_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_WILDCARD = re.compile(r"(\[\s*\*\s*\])|\*")


class BadJsonPath(ValueError):
    """The text is not a JSONPath, or not one that can be used at this place."""


@dataclass(frozen=True, slots=True)
class Accessor:
    """A compiled path. `find` gives nodes in document order; absent parts give nothing, never an error."""

    text: str
    hops: tuple[Hop, ...] | None = field(repr=False)
    slow: Any = field(default=None, repr=False)
    others: tuple[Accessor, ...] = field(default=(), repr=False)
    """Further paths, whose nodes follow those of this one."""

    @property
    def compiled(self) -> bool:
        return self.hops is not None and all(other.compiled for other in self.others)

    def find(self, node: Node) -> list[Node]:
        found = self._find(node)
        for other in self.others:
            found = found + other.find(node)
        return found

    def _find(self, node: Node) -> list[Node]:
        if self.hops is None:
            return self._find_slow(node)
        nodes = [node]
        for hop in self.hops:
            nodes = hop(nodes)
            if not nodes:
                break
        return nodes

    def lists(self, node: Node) -> list[Node] | None:
        """The lists whose items `find` gives; None where a path does not end in `[*]`."""
        found = self._lists(node)
        for other in self.others:
            more = other.lists(node)
            found = found + more if found is not None and more is not None else None
        return found

    def _lists(self, node: Node) -> list[Node] | None:
        if not self.hops or self.hops[-1] is not _items:
            return None
        nodes = [node]
        for hop in self.hops[:-1]:
            nodes = hop(nodes)
        return [found for found in nodes if found.kind == "array"]

    def _find_slow(self, node: Node) -> list[Node]:
        found: dict[tuple[str | int, ...], Node] = {}
        for datum in self.slow.find(node.value()):
            steps = tuple(_steps(datum.full_path))
            target: Node | None = node
            for step in steps:
                target = target.child(step) if target is not None else None
            if target is not None:
                found[steps] = target
        return list(found.values())


@dataclass(frozen=True, slots=True)
class FieldPath:
    """A chain of fields, relative to a row: `id`, `withUser.id`, `'odd name'.id`."""

    text: str
    fields: tuple[str, ...]

    def read(self, node: Node) -> Node | None:
        """The node at the path, or None where a part is absent or no object."""
        found: Node | None = node
        for name in self.fields:
            if found is None:
                return None
            found = found.get(name)
        return found

    def peek(self, node: Node) -> bytes | None:
        """The JSON text at the path, or None; cheaper than `read`, which makes a node."""
        if len(self.fields) == 1:
            return node.peek(self.fields[0])
        parent = self.parent(node)
        return parent.peek(self.fields[-1]) if parent is not None and self.fields else None

    def parent(self, node: Node) -> Node | None:
        """The object that holds the last field, or None."""
        found: Node | None = node
        if len(self.fields) > 1:
            for name in self.fields[:-1]:
                found = found.get(name) if found is not None else None
        return found if found is not None and found.kind == "object" else None

    @property
    def last(self) -> str:
        return self.fields[-1]


def compile_path(text: str) -> Accessor:
    """Compile an absolute or relative JSONPath. Raises BadJsonPath."""
    tree = _parse(text)
    kinds = [bool(m[1]) for m in _WILDCARD.finditer(_QUOTED.sub("''", text))]
    try:
        hops = tuple(_hops(tree, iter(kinds)))
    except _NotCompiled:
        return Accessor(text, None, tree)
    return Accessor(text, hops)


def together(paths: Sequence[Accessor]) -> Accessor:
    """One accessor that finds what each of `paths` finds, in their order."""
    first, *others = paths
    return replace(first, text=", ".join(path.text for path in paths), others=tuple(others)) if others else first


def compile_fields(text: str) -> FieldPath:
    """Compile a chain of fields (no `[*]`, no index). `$.a.b` is the same as `a.b`; `$` is the row. Raises BadJsonPath."""
    tree = _parse(text)
    names = _field_chain(tree)
    if not names and not isinstance(tree, jp.Root | jp.This):
        raise BadJsonPath(f"`{text}` must be a field or a chain of fields like `withUser.id`")
    return FieldPath(text, tuple(names))


@lru_cache(maxsize=4096)  # jsonpath-ng takes 1 ms for each; rules repeat them, and a reload asks for all again
def _parse(text: str) -> Any:
    if not text.strip():
        raise BadJsonPath("the path is empty")
    if len(text) > MAX_LENGTH:
        raise BadJsonPath(f"the path is longer than {MAX_LENGTH} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return parse_path(text)
    except (JSONPathError, RecursionError, AttributeError, TypeError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise BadJsonPath(f"`{text}` is not a JSONPath: {reason}") from error


def _field_chain(tree: Any) -> list[str]:
    if isinstance(tree, jp.Root | jp.This):
        return []
    if isinstance(tree, jp.Fields) and len(tree.fields) == 1 and tree.fields[0] != "*":
        return [str(tree.fields[0])]
    if isinstance(tree, jp.Child):
        left = _field_chain(tree.left)
        right = _field_chain(tree.right)
        if right and (left or isinstance(tree.left, jp.Root | jp.This)):
            return left + right
    return []


class _NotCompiled(Exception):
    pass


def _hops(tree: Any, wildcards: Iterator[bool]) -> list[Hop]:
    if isinstance(tree, jp.Root | jp.This):
        return []
    if isinstance(tree, jp.Child):
        if isinstance(tree.right, jp.Root):
            raise _NotCompiled
        return _hops(tree.left, wildcards) + _hops(tree.right, wildcards)
    if isinstance(tree, jp.Fields):
        return [_fields(tuple(str(f) for f in tree.fields))]
    if isinstance(tree, jp.Wildcard):
        lists_only = next(wildcards, None)
        if lists_only is None:
            raise _NotCompiled
        return [_items if lists_only else _children]
    if isinstance(tree, jp.Index):
        return [_indexes(tuple(tree.indices))]
    if isinstance(tree, jp.Slice):
        return [_slice(slice(tree.start, tree.end, tree.step))]
    raise _NotCompiled


def _fields(names: tuple[str, ...]) -> Hop:
    if len(names) == 1:
        name = names[0]
        return lambda nodes: [c for n in nodes if (c := n.get(name)) is not None]
    return lambda nodes: [c for n in nodes for name in names if (c := n.get(name)) is not None]


def _items(nodes: list[Node]) -> list[Node]:
    return [c for n in nodes if n.kind == "array" for c in n.children()]


def _children(nodes: list[Node]) -> list[Node]:
    return [c for n in nodes for c in n.children()]


def _indexes(indexes: tuple[int, ...]) -> Hop:
    return lambda nodes: [c for n in nodes for i in indexes if (c := n.at(i)) is not None]


def _slice(part: slice) -> Hop:
    if part.step == 0:
        return lambda _nodes: []
    return lambda nodes: [c for n in nodes if n.kind == "array" for c in n.children()[part]]


def _steps(path: Any) -> Iterator[str | int]:
    """Keys and indexes of a full path that jsonpath-ng found."""
    if isinstance(path, jp.Child):
        yield from _steps(path.left)
        yield from _steps(path.right)
    elif isinstance(path, jp.Fields):
        yield str(path.fields[0])
    elif isinstance(path, jp.Index):
        yield int(path.indices[0])
