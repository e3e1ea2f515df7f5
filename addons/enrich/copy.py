"""Set fields to what other fields of the row hold, byte for byte: `{addon: copy, set: {name: user.name}}`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from addons.enrich.base import ROOT, JsonPaths, Strict, at_paths, field_at, fields_below
from addons.pipeline.accessors import Accessor, FieldPath
from addons.pipeline.document import Document
from addons.pipeline.steps import Access, CompileContext, RowQuery, StepContext


class CopyParams(Strict):
    each: JsonPaths = Field(default=ROOT, description="the rows: objects of the body")
    set: dict[str, str] = Field(min_length=1, description="target field (`a.b`: inside of `a`) → path inside the row")


@dataclass(frozen=True, slots=True)
class CopyStep:
    """See the module."""

    each: Accessor
    paths: tuple[tuple[FieldPath, FieldPath], ...]
    access: Access

    def needs(self, doc: Document, x: StepContext) -> Iterable[RowQuery]:
        return ()

    def apply(self, doc: Document, x: StepContext) -> None:
        for node in self.each.find(doc.root):
            for target, source in self.paths:
                parent, found = target.parent(node), source.read(node)
                if parent is None or found is None:
                    x.count("incomplete")
                    continue
                parent.set(target.last, found.raw)
                x.count(target.last)


class Copy:
    """`addon: copy`"""

    name: ClassVar[str] = "copy"
    Params: ClassVar[type[CopyParams]] = CopyParams

    @classmethod
    def compile(cls, params: CopyParams, ctx: CompileContext) -> CopyStep:
        paths = tuple((field_at(t, ("set", t)), field_at(s, ("set", t))) for t, s in params.set.items())
        writes = fields_below(params.each, params.set)
        return CopyStep(at_paths(params.each, "each"), paths, Access(writes=writes))
