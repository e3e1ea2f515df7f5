"""Make each row a new object of some of its fields, in this order: `{addon: pick, set: {notes: notice}}`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from addons.enrich.base import ROOT, JsonPaths, JsonValue, Strict, at_paths, dumps, field_at
from addons.pipeline.accessors import Accessor, FieldPath
from addons.pipeline.document import Document
from addons.pipeline.layout import quote
from addons.pipeline.steps import Access, CompileContext, RowQuery, StepContext


class PickParams(Strict):
    each: JsonPaths = Field(default=ROOT, description="the rows: objects of the body")
    set: dict[str, str] = Field(min_length=1, description="field of the new object → path inside the row")
    otherwise: JsonValue = Field(default=None, description="value of a field whose path the row does not have")


@dataclass(frozen=True, slots=True)
class PickStep:
    """See the module."""

    each: Accessor
    fields: tuple[tuple[bytes, FieldPath], ...]
    otherwise: bytes
    access: Access

    def needs(self, doc: Document, x: StepContext) -> Iterable[RowQuery]:
        return ()

    def apply(self, doc: Document, x: StepContext) -> None:
        for node in self.each.find(doc.root):
            if node.kind != "object":
                x.count("no_object")
                continue
            parts = []
            for name, path in self.fields:
                found = path.read(node)
                parts.append(name + b":" + (found.raw if found is not None else self.otherwise))
            node.replace(b"{" + b",".join(parts) + b"}")
            x.count("picked")


class Pick:
    """`addon: pick`"""

    name: ClassVar[str] = "pick"
    Params: ClassVar[type[PickParams]] = PickParams

    @classmethod
    def compile(cls, params: PickParams, ctx: CompileContext) -> PickStep:
        fields = tuple((quote(name), field_at(path, ("set", name))) for name, path in params.set.items())
        each = at_paths(params.each, "each")
        return PickStep(each, fields, dumps(params.otherwise), Access(writes=frozenset(params.each)))
