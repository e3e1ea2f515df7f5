"""`observe` of a rule, compiled: rows for the store from a body of upstream's.

Columns name a path inside the object, or a constant: `=text`, where `{param}` is a path parameter of the request.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from addons.pipeline.accessors import Accessor, BadJsonPath, FieldPath, compile_fields, compile_path, together
from addons.pipeline.document import Document, NotJson
from addons.pipeline.node import Node
from addons.pipeline.paths import fill_text
from addons.pipeline.rule_models import ObserveRule
from addons.pipeline.rule_yaml import Place
from addons.pipeline.steps import BoundStep, StepContext

MAX_ROWS = 5_000
ROW = compile_fields("$")


@dataclass(frozen=True, slots=True)
class CompiledObserve:
    """One entry of `observe`. `rows` gives column → plain Python (numbers with a fraction as Decimal)."""

    table: str
    each: Accessor
    paths: Mapping[str, FieldPath]
    constants: Mapping[str, str]
    keep_null: bool = True
    when: tuple[FieldPath, ...] = ()
    index: int = 0
    steps: tuple[BoundStep, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.paths, *self.constants)

    def rows(self, doc: Document, params: Mapping[str, str]) -> list[dict[str, Any]]:
        """Rows found in a body, at most 5,000. A column whose field is absent is left out of its row."""
        fixed = {name: fill_text(text, params) for name, text in self.constants.items()}
        nodes = self.each.find(doc.root)[:MAX_ROWS]
        return [self._row(node, fixed) for node in nodes if node.kind == "object" and self._wanted(node)]

    def _wanted(self, node: Node) -> bool:
        return not self.when or any(path.peek(node) not in (None, b"null", b"false") for path in self.when)

    def _row(self, node: Node, fixed: Mapping[str, str]) -> dict[str, Any]:
        row: dict[str, Any] = dict(fixed)
        for column, path in self.paths.items():
            found = path.read(node)
            if found is None or (found.kind == "null" and not self.keep_null):
                continue
            row[column] = found.value()
        return row


def compile_observe(
    entry: ObserveRule, place: Place, index: int = 0, steps: tuple[BoundStep, ...] = ()
) -> CompiledObserve:
    """Compile one entry, number `index` of its rule; what cannot be compiled is noted at its place.

    `steps`: those of the entry, as they were compiled.
    """
    each = [path for index, text in enumerate(entry.each) if (path := _path(text, place.at("each", index)))]
    when = [found for index, text in enumerate(entry.when or ()) if (found := _field(text, place.at("when", index)))]
    paths: dict[str, FieldPath] = {}
    constants: dict[str, str] = {}
    for column, text in entry.columns.items():
        if text.startswith("="):
            constants[column] = text[1:]
        else:
            paths[column] = _field(text, place.at("columns", column)) or ROW
    rows = together(each or [compile_path("$")])
    return CompiledObserve(entry.into, rows, paths, constants, entry.keep_null, tuple(when), index, steps)


def _path(text: str, place: Place) -> Accessor | None:
    try:
        return compile_path(text)
    except BadJsonPath as error:
        place.wrong("bad-jsonpath", str(error), "for example `$.list[*]`")
        return None


def _field(text: str, place: Place) -> FieldPath | None:
    try:
        return compile_fields(text)
    except BadJsonPath as error:
        place.wrong("bad-jsonpath", str(error), "for example `user.id`")
        return None


def observed_rows(
    observes: tuple[CompiledObserve, ...], params: Mapping[str, str], body: bytes, steps: Sequence[BoundStep] = ()
) -> dict[str, list[dict[str, Any]]]:
    """Rows by table for one body; empty where the body is no JSON.

    Those of the rule's `steps` that need no rows of the store run first, so that what they set (the type of a
    transaction) can be observed, too; then those of the entry, whose edits no client sees.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    try:
        doc = Document(body)
    except NotJson:
        return found
    _apply(doc, steps, params)
    for observe in observes:
        _apply(doc, observe.steps, params)
        rows = observe.rows(doc, params)
        if rows:
            found.setdefault(observe.table, []).extend(rows)
    return found


def _apply(doc: Document, steps: Sequence[BoundStep], params: Mapping[str, str]) -> None:
    x = StepContext(account=None, params=params, query={})
    for step in steps:
        if not step.access.tables:
            with contextlib.suppress(Exception), doc.transaction():
                step.impl.apply(doc, x)
