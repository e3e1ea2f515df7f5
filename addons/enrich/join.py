"""Copy fields of one object of the body onto another, byte for byte.

```yaml
- addon: join                     # the statistics beside a message become fields of the message
  each: $.purchases
  from: $.purchases.stats
  set: {sentCount: sentCount, viewedCount: viewedCount}
```
With `on`, `from` may give many objects, and each row takes from the one whose key is equal:
`from: $.stats[*]`, `on: {id: messageId}`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from addons.enrich.base import ROOT, JsonPaths, JsonPathText, Strict, at_path, at_paths, field_at, fields_below
from addons.enrich.lookup import key_of
from addons.pipeline.accessors import Accessor, FieldPath
from addons.pipeline.document import Document
from addons.pipeline.node import Node
from addons.pipeline.steps import Access, CompileContext, RowQuery, StepContext


class JoinParams(Strict):
    each: JsonPaths = Field(default=ROOT, description="the rows: objects of the body that get fields")
    source: JsonPathText = Field(alias="from", description="the object, from the root of the body, that has the values")
    on: dict[str, str] = Field(
        default={}, max_length=1, description="path inside the row → path inside the other object that must be equal"
    )
    set: dict[str, str] = Field(
        min_length=1, description="target field (`a.b`: inside of `a`) → path inside the other object"
    )


@dataclass(frozen=True, slots=True)
class JoinStep:
    """See the module."""

    each: Accessor
    source: Accessor
    on: tuple[FieldPath, FieldPath] | None
    fields: tuple[tuple[FieldPath, FieldPath], ...]
    access: Access

    def needs(self, doc: Document, x: StepContext) -> Iterable[RowQuery]:
        return ()

    def apply(self, doc: Document, x: StepContext) -> None:
        others = self.source.find(doc.root)
        by_key = {key_of(self.on[1].peek(o)): o for o in others} if self.on is not None else {}
        for node in self.each.find(doc.root):
            other = others[0] if others else None
            if self.on is not None:
                key = key_of(self.on[0].peek(node))
                other = by_key.get(key) if key is not None else None
            if other is None:
                x.count("missing")
            else:
                self._set(node, other, x)

    def _set(self, node: Node, other: Node, x: StepContext) -> None:
        for target, source in self.fields:
            parent, found = target.parent(node), source.read(other)
            if parent is not None and found is not None:
                parent.set(target.last, found.raw)
                x.count(target.last)


class Join:
    """`addon: join`"""

    name: ClassVar[str] = "join"
    Params: ClassVar[type[JoinParams]] = JoinParams

    @classmethod
    def compile(cls, params: JoinParams, ctx: CompileContext) -> JoinStep:
        on = next(((field_at(a, ("on", a)), field_at(b, ("on", a))) for a, b in params.on.items()), None)
        return JoinStep(
            each=at_paths(params.each, "each"),
            source=at_path(params.source, ("from",)),
            on=on,
            fields=tuple((field_at(t, ("set", t)), field_at(s, ("set", t))) for t, s in params.set.items()),
            access=Access(writes=fields_below(params.each, params.set)),
        )
