"""Set a field to a text with parts of the row, the path, the query or the account.

```yaml
- addon: template
  each: $.list[*]
  set: {campaignUrl: 'https://onlyfans.com/{account.username}/c{campaignCode}'}
```
`{name}` and `{a.b}` are fields of the row; `{params.x}` a path parameter, `{query.x}` a checked query parameter,
`{account.username}`, `{account.onlyfans_id}` and `{account.id}` the account, `{base_url}` the root of the client's
dialect. A text with a part that is missing or null is not set. A text that is one `{…}` alone keeps the value's type (a
number stays a number); `as` converts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar, Literal

from pydantic import Field

from addons.enrich.base import ROOT, JsonPaths, Strict, at_paths, dumps, field_at, fields_below, number_text
from addons.pipeline.accessors import Accessor, FieldPath
from addons.pipeline.document import Document
from addons.pipeline.node import Node
from addons.pipeline.steps import Access, CompileContext, RowQuery, RuleProblem, StepContext

_PART = re.compile(r"\{([^{}]*)\}")
_ACCOUNT = ("username", "onlyfans_id", "id", "display_name")

type Origin = Literal["row", "params", "query", "account", "base_url"]
type Part = str | tuple[Origin, FieldPath | str]
Convert = Literal["text", "int", "number"]


class TemplateParams(Strict):
    each: JsonPaths = Field(default=ROOT, description="the rows: objects of the body")
    set: dict[str, str] = Field(min_length=1, description="target field → text with `{parts}`")
    convert: Convert | None = Field(
        default=None, alias="as", description="type of the values; default: as they are, else text"
    )


@dataclass(frozen=True, slots=True)
class TemplateStep:
    """See the module."""

    each: Accessor
    targets: tuple[tuple[FieldPath, tuple[Part, ...]], ...]
    convert: str | None
    access: Access

    def needs(self, doc: Document, x: StepContext) -> Iterable[RowQuery]:
        return ()

    def apply(self, doc: Document, x: StepContext) -> None:
        for node in self.each.find(doc.root):
            for target, parts in self.targets:
                parent = target.parent(node)
                if parent is None:
                    continue
                value = _fill(parts, node, x)
                value = _convert(value, self.convert) if value is not None else None
                if value is None:
                    x.count("incomplete")
                    continue
                parent.set(target.last, dumps(value))
                x.count(target.last)


class TextTemplate:
    """`addon: template`"""

    name: ClassVar[str] = "template"
    Params: ClassVar[type[TemplateParams]] = TemplateParams

    @classmethod
    def compile(cls, params: TemplateParams, ctx: CompileContext) -> TemplateStep:
        targets = []
        names: dict[str, tuple[str | int, ...]] = {}
        reads: dict[str, tuple[str | int, ...]] = {}
        for target, text in params.set.items():
            where = ("set", target)
            parts = _parse(text, where)
            targets.append((field_at(target, where), parts))
            for part in parts:
                if isinstance(part, tuple) and part[0] == "params":
                    names[str(part[1])] = where
                elif isinstance(part, tuple) and isinstance(part[1], FieldPath):
                    reads.update(dict.fromkeys(fields_below(params.each, [part[1].text]), where))
        writes = fields_below(params.each, params.set)
        access = Access(reads=reads, writes=writes, names=names)
        return TemplateStep(at_paths(params.each, "each"), tuple(targets), params.convert, access)


def _parse(text: str, where: tuple[str, ...]) -> tuple[Part, ...]:
    parts: list[Part] = []
    at = 0
    for found in _PART.finditer(text):
        if found.start() > at:
            parts.append(text[at : found.start()])
        parts.append(_part(found[1], where))
        at = found.end()
    if at < len(text) or not parts:
        parts.append(text[at:])
    for part in parts:
        if isinstance(part, str) and ("{" in part or "}" in part):
            raise RuleProblem(where, f"`{text}` has a brace without its partner", "write `{name}`")
    return tuple(parts)


def _part(name: str, where: tuple[str, ...]) -> Part:
    origin, _, rest = name.partition(".")
    if origin == "account" and rest:
        if rest not in _ACCOUNT:
            known = ", ".join(f"account.{n}" for n in _ACCOUNT)
            raise RuleProblem(where, f"`{{{name}}}` is not known", f"known: {known}", code="unknown-parameter")
        return "account", rest
    if name == "base_url":
        return "base_url", ""
    if origin == "params" and rest:
        return "params", rest
    if origin == "query" and rest:
        return "query", rest
    return "row", field_at(name, where)


def _fill(parts: tuple[Part, ...], node: Node, x: StepContext) -> Any:
    values = [part if isinstance(part, str) else _value(part, node, x) for part in parts]
    if any(value is None for value in values):
        return None
    if len(values) == 1:
        return values[0]
    return "".join(_text(value) for value in values)


def _value(part: tuple[Origin, FieldPath | str], node: Node, x: StepContext) -> Any:
    origin, name = part
    if isinstance(name, FieldPath):
        found = name.read(node)
        return found.value() if found is not None else None
    if origin == "base_url":
        return x.base_url or None
    if origin == "account":
        return getattr(x.account, name, None) if x.account is not None else None
    return x.params.get(name) if origin == "params" else x.query.get(name)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return number_text(value) if isinstance(value, Decimal) else dumps(value).decode()


def _convert(value: Any, to: str | None) -> Any:
    """`value` as the wanted type; None where it has no such form."""
    if to is None:
        return value
    if to == "text":
        return _text(value)
    try:
        number = Decimal(_text(value))
    except InvalidOperation:
        return None
    if not number.is_finite() or number.adjusted() > 40:
        return None
    return int(number) if to == "int" else number
