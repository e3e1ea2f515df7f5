"""Put the body into a list, or into an object as one field: `{addon: wrap, field: users}`.

A body that is a list already is not put into another list.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from addons.enrich.base import Strict
from addons.pipeline.document import Document
from addons.pipeline.steps import Access, CompileContext, RowQuery, StepContext


class WrapParams(Strict):
    field: str | None = Field(
        default=None, min_length=1, description="name of the field; default: the body goes into a list"
    )


WHOLE = Access(writes=frozenset({"$"}))


@dataclass(frozen=True, slots=True)
class WrapStep:
    """See the module."""

    field: str | None
    access: Access = WHOLE

    def needs(self, doc: Document, x: StepContext) -> Iterable[RowQuery]:
        return ()

    def apply(self, doc: Document, x: StepContext) -> None:
        if self.field is not None or doc.root.kind != "array":
            doc.wrap(self.field)


class Wrap:
    """`addon: wrap`"""

    name: ClassVar[str] = "wrap"
    Params: ClassVar[type[WrapParams]] = WrapParams

    @classmethod
    def compile(cls, params: WrapParams, ctx: CompileContext) -> WrapStep:
        return WrapStep(params.field)
