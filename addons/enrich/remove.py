"""Take fields out: `{addon: remove, each: '$.list[*]', fields: [view]}`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from addons.enrich.base import ROOT, JsonPaths, Strict, at_paths, field_at, fields_below
from addons.pipeline.accessors import Accessor, FieldPath
from addons.pipeline.document import Document
from addons.pipeline.rule_models import OneOrMore
from addons.pipeline.steps import Access, CompileContext, RowQuery, StepContext


class RemoveParams(Strict):
    each: JsonPaths = Field(default=ROOT, description="the rows: objects of the body")
    fields: OneOrMore = Field(min_length=1, description="fields to take out (`a.b`: inside of `a`)")


@dataclass(frozen=True, slots=True)
class RemoveStep:
    """See the module."""

    each: Accessor
    fields: tuple[FieldPath, ...]
    access: Access

    def needs(self, doc: Document, x: StepContext) -> Iterable[RowQuery]:
        return ()

    def apply(self, doc: Document, x: StepContext) -> None:
        for node in self.each.find(doc.root):
            for path in self.fields:
                parent = path.parent(node)
                if parent is not None and parent.has(path.last):
                    parent.remove(path.last)
                    x.count(path.last)


class Remove:
    """`addon: remove`"""

    name: ClassVar[str] = "remove"
    Params: ClassVar[type[RemoveParams]] = RemoveParams

    @classmethod
    def compile(cls, params: RemoveParams, ctx: CompileContext) -> RemoveStep:
        fields = tuple(field_at(f, ("fields", i)) for i, f in enumerate(params.fields))
        writes = fields_below(params.each, params.fields)
        return RemoveStep(at_paths(params.each, "each"), fields, Access(writes=writes))
