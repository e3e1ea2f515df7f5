"""YAML of rule files as plain data plus the place of every key and value.

Scalars follow YAML 1.2's core rules (`no`, `on` and dates are text), keys are always text. Duplicate keys, tags, merge
keys and several documents are errors; nesting, aliases and size are bounded before anything is built.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from addons.pipeline.problems import Problem

MAX_FILE_BYTES = 1_000_000
MAX_DEPTH = 40
MAX_NODES = 200_000

Path_ = tuple[str | int, ...]

_COLLECTIONS = {"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}
_SCALARS = {"str", "int", "float", "bool", "null", "timestamp", "merge", "value"}
_NULL = {"", "~", "null", "Null", "NULL"}
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")


@dataclass(slots=True)
class Source:
    """One parsed file: `data`, and where each part of it stands (1-based line and column)."""

    name: str
    data: Any = None
    values: dict[Path_, tuple[int, int]] = field(default_factory=dict)
    keys: dict[Path_, tuple[int, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def place(self, path: Path_, *, key: bool = False) -> tuple[int, int]:
        """Line and column of the value (or key) at `path`, else of the nearest part around it that exists."""
        if key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, (1, 1))

    def problem(self, path: Path_, code: str, message: str, hint: str = "", *, key: bool = False) -> Problem:
        line, column = self.place(path, key=key)
        return Problem(self.name, line, column, code, message, hint)


@dataclass(frozen=True, slots=True)
class Place:
    """A part of a file, and where what is wrong with it is collected."""

    source: Source
    path: Path_
    problems: list[Problem]

    def at(self, *parts: str | int) -> Place:
        """A part further inside."""
        return Place(self.source, (*self.path, *parts), self.problems)

    def wrong(self, code: str, message: str, hint: str = "", *, key: bool = False) -> None:
        """Note a problem here; `key`: it is the key that is wrong, not its value."""
        self.problems.append(self.source.problem(self.path, code, message, hint, key=key))

    def __str__(self) -> str:
        line, column = self.source.place(self.path)
        return f"{self.source.name}:{line}:{column}"


class _TooBig(Exception):
    def __init__(self, mark: Any, message: str) -> None:
        super().__init__(message)
        self.mark = mark


def read_source(path: Path, name: str) -> tuple[Source, bytes]:
    """The file at `path`, with the bytes that were read. Never raises: what is wrong is in `Source.problems`."""
    source = Source(name)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        source.problems.append(Problem(name, 1, 1, "file-unreadable", f"the file cannot be read: {reason}"))
        return source, b""
    parse_source(source, raw)
    return source, raw


def parse_source(source: Source, raw: bytes) -> None:
    """Fill `source` from the bytes of a file."""
    if len(raw) > MAX_FILE_BYTES:
        text = f"the file is larger than {MAX_FILE_BYTES:,} bytes"
        source.problems.append(Problem(source.name, 1, 1, "file-unreadable", text, "split it by resource area"))
        return
    raw = raw.removeprefix(codecs.BOM_UTF8)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        message = f"byte {raw[error.start]:#04x} is not UTF-8"
        place = _end_of(raw[: error.start])
        source.problems.append(Problem(source.name, *place, "file-unreadable", message, "save the file as UTF-8"))
        return
    try:
        _check_shape(text)
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
    except _TooBig as error:
        _at(source, error.mark, "yaml-bomb", str(error), "rules need neither deep nesting nor many aliases")
    except yaml.MarkedYAMLError as error:
        what = " ".join(part for part in (error.context, error.problem) if part)
        _at(
            source,
            error.problem_mark or error.context_mark,
            "yaml-syntax",
            f"not YAML: {what}",
            "see the line above too",
        )
    except yaml.reader.ReaderError as error:
        place = _end_of(text.encode()[: error.position])  # CParser counts bytes
        message = f"not YAML: the control character {error.character:#06x}"
        source.problems.append(Problem(source.name, *place, "yaml-syntax", message, "remove it"))
    else:
        if node is not None:
            _Builder(source).build(node)


def _end_of(raw: bytes) -> tuple[int, int]:
    """Line and column behind the beginning of a file, counted in characters."""
    last = raw.rpartition(b"\n")[2]
    return raw.count(b"\n") + 1, len(last.decode(errors="replace")) + 1


def _at(source: Source, mark: Any, code: str, message: str, hint: str = "") -> None:
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    source.problems.append(Problem(source.name, line, column, code, message, hint))


def _check_shape(text: str) -> None:
    """Bound nesting on the event stream: the composer below recurses on the C stack."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise _TooBig(event.start_mark, f"nested deeper than {MAX_DEPTH} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


class _Builder:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.count = 0

    def build(self, node: yaml.Node) -> None:
        try:
            self.source.data = self._value(node, (), 0)
        except _TooBig as error:
            self.source.data = None
            _at(self.source, error.mark, "yaml-bomb", str(error), "write the values out instead of using aliases")

    def _value(self, node: yaml.Node, path: Path_, depth: int) -> Any:
        self.count += 1
        if self.count > MAX_NODES or depth > MAX_DEPTH:
            raise _TooBig(node.start_mark, "aliases expand beyond the limits of a rule file")
        self.source.values[path] = (node.start_mark.line + 1, node.start_mark.column + 1)
        if not isinstance(node, yaml.ScalarNode) and node.tag not in _COLLECTIONS:
            self._wrong(node, "yaml-syntax", f"tag `{node.tag}` is not supported", "rule files hold plain YAML only")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(child, (*path, i), depth + 1) for i, child in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: Path_, depth: int) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._wrong(key_node, "yaml-syntax", "a key must be plain text")
                continue
            key = str(key_node.value)
            if key_node.tag == "tag:yaml.org,2002:merge":
                self._wrong(key_node, "yaml-syntax", "merge keys (`<<`) are not supported", "repeat the keys")
                continue
            if key in out:
                line = self.source.keys[(*path, key)][0]
                hint = f"it stands in line {line} already; keep one of them"
                self._wrong(key_node, "duplicate-key", f"duplicate key `{key}`", hint)
                continue
            self.source.keys[(*path, key)] = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            out[key] = self._value(value_node, (*path, key), depth + 1)
        return out

    def _scalar(self, node: Any) -> Any:
        text = str(node.value)
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        if kind not in _SCALARS:
            self._wrong(node, "yaml-syntax", f"tag `{node.tag}` is not supported", "rule files hold plain YAML only")
            return None
        if node.style:
            return text
        if text in _NULL:
            return None
        if text in _BOOL:
            return _BOOL[text]
        if _INT.match(text) and len(text) < 20:
            return int(text)
        return float(text) if _FLOAT.match(text) else text

    def _wrong(self, node: yaml.Node, code: str, message: str, hint: str = "") -> None:
        _at(self.source, node.start_mark, code, message, hint)
