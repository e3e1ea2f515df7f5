"""Put other words in the place of a field's: `{addon: map, field: frequency, values: {weekly: 7}}`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from addons.enrich.base import ROOT, JsonPaths, JsonValue, Strict, at_paths, dumps, field_at, fields_below
from addons.enrich.lookup import key_of
from addons.pipeline.accessors import Accessor, FieldPath
from addons.pipeline.document import Document
from addons.pipeline.steps import Access, CompileContext, RowQuery, StepContext


class MapParams(Strict):
    each: JsonPaths = Field(default=ROOT, description="the rows: objects of the body")
    field: str = Field(description="field whose value changes (`a.b`: inside of `a`)")
    values: dict[str, JsonValue] = Field(min_length=1, description="present value as text → new value; others stay")


@dataclass(frozen=True, slots=True)
class MapStep:
    """See the module."""

    each: Accessor
    field: FieldPath
    values: Mapping[str, bytes]
    access: Access

    def needs(self, doc: Document, x: StepContext) -> Iterable[RowQuery]:
        return ()

    def apply(self, doc: Document, x: StepContext) -> None:
        for node in self.each.find(doc.root):
            parent, found = self.field.parent(node), self.field.peek(node)
            key = found.decode() if found in (b"true", b"false", b"null") else key_of(found)
            new = self.values.get(key) if key is not None else None
            if parent is not None and new is not None:
                parent.set(self.field.last, new)
                x.count(self.field.last)


class MapValues:
    """`addon: map`"""

    name: ClassVar[str] = "map"
    Params: ClassVar[type[MapParams]] = MapParams

    @classmethod
    def compile(cls, params: MapParams, ctx: CompileContext) -> MapStep:
        values = {key: dumps(value) for key, value in params.values.items()}
        access = Access(writes=fields_below(params.each, [params.field]))
        return MapStep(at_paths(params.each, "each"), field_at(params.field, ("field",)), values, access)
