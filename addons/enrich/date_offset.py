"""Make a date-time of a number of days or hours from now.

`{addon: date_offset, from: offerExpiration, set: expiredAt, unit: days}`; zero gives null: no end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Literal

from pydantic import Field

from addons.enrich.base import ROOT, JsonPaths, Strict, at_paths, dumps, field_at, fields_below
from addons.pipeline.accessors import Accessor, FieldPath
from addons.pipeline.document import Document
from addons.pipeline.steps import Access, CompileContext, RowQuery, StepContext

MOST = 100_000


class DateOffsetParams(Strict):
    each: JsonPaths = Field(default=ROOT, description="the rows: objects of the body")
    source: str = Field(alias="from", description="field with the number; it is taken out")
    set: str = Field(description="field that gets the date-time (UTC)")
    unit: Literal["days", "hours", "minutes"] = Field(default="days", description="unit of the number")
    keep: bool = Field(default=False, description="true: the field with the number stays")


@dataclass(frozen=True, slots=True)
class DateOffsetStep:
    """See the module."""

    each: Accessor
    source: FieldPath
    target: FieldPath
    unit: str
    keep: bool
    access: Access

    def needs(self, doc: Document, x: StepContext) -> Iterable[RowQuery]:
        return ()

    def apply(self, doc: Document, x: StepContext) -> None:
        for node in self.each.find(doc.root):
            parent, holder, found = self.target.parent(node), self.source.parent(node), self.source.read(node)
            if parent is None or holder is None or found is None or found.kind != "number":
                x.count("no_number")
                continue
            number = float(found.raw)
            if not 0 <= number <= MOST:
                x.count("no_number")
                continue
            when = x.now + timedelta(**{self.unit: number}) if number else None
            if not self.keep:
                holder.remove(self.source.last)
            parent.set(self.target.last, dumps(when))
            x.count(self.target.last)


class DateOffset:
    """`addon: date_offset`"""

    name: ClassVar[str] = "date_offset"
    Params: ClassVar[type[DateOffsetParams]] = DateOffsetParams

    @classmethod
    def compile(cls, params: DateOffsetParams, ctx: CompileContext) -> DateOffsetStep:
        writes = fields_below(params.each, (params.source, params.set))
        return DateOffsetStep(
            each=at_paths(params.each, "each"),
            source=field_at(params.source, ("from",)),
            target=field_at(params.set, ("set",)),
            unit=params.unit,
            keep=params.keep,
            access=Access(writes=writes),
        )
