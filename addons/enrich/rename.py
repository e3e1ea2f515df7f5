"""Give fields other names, in their places: `{addon: rename, each: '$[*]', set: {withUser: fan}}`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from addons.enrich.base import ROOT, JsonPaths, Strict, at_paths, field_at, fields_below
from addons.pipeline.accessors import Accessor, FieldPath
from addons.pipeline.document import Document
from addons.pipeline.steps import Access, CompileContext, RowQuery, StepContext


class RenameParams(Strict):
    each: JsonPaths = Field(default=ROOT, description="the rows: objects of the body")
    set: dict[str, str] = Field(min_length=1, description="present name (`a.b`: inside of `a`) → new name")


@dataclass(frozen=True, slots=True)
class RenameStep:
    """See the module."""

    each: Accessor
    names: tuple[tuple[FieldPath, str], ...]
    access: Access

    def needs(self, doc: Document, x: StepContext) -> Iterable[RowQuery]:
        return ()

    def apply(self, doc: Document, x: StepContext) -> None:
        for node in self.each.find(doc.root):
            for old, new in self.names:
                parent = old.parent(node)
                if parent is not None and parent.has(old.last):
                    parent.rename(old.last, new)
                    x.count(new)


class Rename:
    """`addon: rename`"""

    name: ClassVar[str] = "rename"
    Params: ClassVar[type[RenameParams]] = RenameParams

    @classmethod
    def compile(cls, params: RenameParams, ctx: CompileContext) -> RenameStep:
        names = tuple((field_at(old, ("set", old)), new) for old, new in params.set.items())
        writes = fields_below(params.each, (name for pair in params.set.items() for name in pair))
        return RenameStep(at_paths(params.each, "each"), names, Access(writes=writes))
