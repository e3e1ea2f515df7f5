"""Set fields to fixed values: `{addon: const, set: {type: null}, only_absent: true}`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from addons.enrich.base import ROOT, JsonPaths, JsonValue, Strict, at_paths, dumps, field_at, fields_below
from addons.pipeline.accessors import Accessor, FieldPath
from addons.pipeline.document import Document
from addons.pipeline.steps import Access, CompileContext, RowQuery, StepContext


class ConstParams(Strict):
    each: JsonPaths = Field(default=ROOT, description="the rows: objects of the body")
    set: dict[str, JsonValue] = Field(min_length=1, description="target field (`a.b`: inside of `a`) → value")
    only_absent: bool = Field(default=False, description="true: fields that are there stay as they are")


@dataclass(frozen=True, slots=True)
class ConstStep:
    """See the module."""

    each: Accessor
    values: tuple[tuple[FieldPath, bytes], ...]
    only_absent: bool
    access: Access

    def needs(self, doc: Document, x: StepContext) -> Iterable[RowQuery]:
        return ()

    def apply(self, doc: Document, x: StepContext) -> None:
        for node in self.each.find(doc.root):
            for path, value in self.values:
                parent = path.parent(node)
                if parent is not None and not (self.only_absent and parent.has(path.last)):
                    parent.set(path.last, value)
                    x.count(path.last)


class Const:
    """`addon: const`"""

    name: ClassVar[str] = "const"
    Params: ClassVar[type[ConstParams]] = ConstParams

    @classmethod
    def compile(cls, params: ConstParams, ctx: CompileContext) -> ConstStep:
        values = tuple((field_at(t, ("set", t)), dumps(v)) for t, v in params.set.items())
        writes = fields_below(params.each, params.set)
        return ConstStep(at_paths(params.each, "each"), values, params.only_absent, Access(writes=writes))
