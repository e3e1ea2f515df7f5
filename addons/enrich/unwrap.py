"""Make one value inside the body the whole body: `{addon: unwrap, path: $.list}`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from addons.enrich.base import JsonPathText, Strict, at_path
from addons.pipeline.accessors import Accessor
from addons.pipeline.document import Document
from addons.pipeline.steps import Access, CompileContext, RowQuery, StepContext


class UnwrapParams(Strict):
    path: JsonPathText = Field(description="the value; where there is none, the body stays as it is")


WHOLE = Access(writes=frozenset({"$"}))


@dataclass(frozen=True, slots=True)
class UnwrapStep:
    """See the module."""

    path: Accessor
    access: Access = WHOLE

    def needs(self, doc: Document, x: StepContext) -> Iterable[RowQuery]:
        return ()

    def apply(self, doc: Document, x: StepContext) -> None:
        found = self.path.find(doc.root)
        if found:
            doc.unwrap(found[0])
        else:
            x.count("no_path")


class Unwrap:
    """`addon: unwrap`"""

    name: ClassVar[str] = "unwrap"
    Params: ClassVar[type[UnwrapParams]] = UnwrapParams

    @classmethod
    def compile(cls, params: UnwrapParams, ctx: CompileContext) -> UnwrapStep:
        return UnwrapStep(at_path(params.path, ("path",)))
