"""Put the body into a list, or into an object as one field: `{addon: wrap, field: users}`.

A body that is a list already is not put into another list. `only: list` leaves objects as they are: where upstream
sends a bare list instead of `{list: […]}`, `{addon: wrap, field: list, only: list}` makes it one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from addons.enrich.base import Strict
from addons.pipeline.document import Document
from addons.pipeline.steps import Access, CompileContext, RowQuery, StepContext


class WrapParams(Strict):
    field: str | None = Field(
        default=None, min_length=1, description="name of the field; default: the body goes into a list"
    )
    only: Literal["list", "object"] | None = Field(default=None, description="a body of another kind stays as it is")


WHOLE = Access(writes=frozenset({"$"}))


@dataclass(frozen=True, slots=True)
class WrapStep:
    """See the module."""

    field: str | None
    only: str | None = None
    access: Access = WHOLE

    def needs(self, doc: Document, x: StepContext) -> Iterable[RowQuery]:
        return ()

    def apply(self, doc: Document, x: StepContext) -> None:
        kind = "list" if doc.root.kind == "array" else doc.root.kind
        if self.only in (None, kind) and (self.field is not None or kind != "list"):
            doc.wrap(self.field)


class Wrap:
    """`addon: wrap`"""

    name: ClassVar[str] = "wrap"
    Params: ClassVar[type[WrapParams]] = WrapParams

    @classmethod
    def compile(cls, params: WrapParams, ctx: CompileContext) -> WrapStep:
        return WrapStep(params.field, params.only)
