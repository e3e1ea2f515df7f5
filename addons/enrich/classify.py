"""Set a field to a word that follows from a text of the row; patterns are data of the rule, the first that fits wins.

```yaml
- addon: classify
  each: $.list[*]
  from: description
  set: type
  patterns:
    - {starts: [tip], is: tips}
    - {regex: 'post (purchase )?(by|from)', is: post}
```
The text is compared without HTML tags, with entities resolved, white space folded, and in any case. What nothing fits
gets `otherwise` (null).
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field, model_validator

from addons.enrich.base import ROOT, JsonPaths, JsonPathText, JsonValue, Strict, at_paths, dumps, field_at, fields_below
from addons.pipeline.accessors import Accessor, FieldPath
from addons.pipeline.document import Document
from addons.pipeline.rule_models import OneOrMore
from addons.pipeline.steps import Access, CompileContext, RowQuery, RuleProblem, StepContext

_TAG = re.compile(r"<[^<>]*>")
_SPACE = re.compile(r"\s+")
MAX_TEXT = 10_000


class Pattern(Strict):
    starts: OneOrMore | None = Field(default=None, description="the text begins with one of these, as whole words")
    contains: OneOrMore | None = Field(default=None, description="one of these occurs in the text")
    equals: OneOrMore | None = Field(default=None, description="the text is one of these")
    regex: str | None = Field(default=None, description="regular expression that is found in the text")
    value: JsonValue = Field(alias="is", description="what the field becomes")

    @model_validator(mode="after")
    def _one(self) -> Pattern:
        if sum(p is not None for p in (self.starts, self.contains, self.equals, self.regex)) != 1:
            raise ValueError("a pattern has exactly one of `starts`, `contains`, `equals`, `regex`")
        return self


class ClassifyParams(Strict):
    each: JsonPaths = Field(default=ROOT, description="the rows: objects of the body")
    source: JsonPathText = Field(alias="from", description="path inside the row to the text")
    set: str = Field(description="field that gets the word")
    patterns: list[Pattern] = Field(min_length=1, description="tried in order")
    otherwise: JsonValue = Field(default=None, description="where no pattern fits, or there is no text")
    strip_html: bool = Field(default=True, description="compare without tags and entities")


Test = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class ClassifyStep:
    """See the module."""

    each: Accessor
    source: FieldPath
    target: FieldPath
    patterns: tuple[tuple[Test, bytes], ...]
    otherwise: bytes
    strip_html: bool
    access: Access

    def needs(self, doc: Document, x: StepContext) -> Iterable[RowQuery]:
        return ()

    def apply(self, doc: Document, x: StepContext) -> None:
        for node in self.each.find(doc.root):
            parent = self.target.parent(node)
            if parent is None:
                continue
            found = self.source.read(node)
            text = found.value() if found is not None and found.kind == "string" else ""
            value = self._word(plain(text) if self.strip_html else text.casefold())
            parent.set(self.target.last, value)
            x.count(self.target.last if value != self.otherwise else "unclassified")

    def _word(self, text: str) -> bytes:
        return next((value for test, value in self.patterns if test(text)), self.otherwise)


class Classify:
    """`addon: classify`"""

    name: ClassVar[str] = "classify"
    Params: ClassVar[type[ClassifyParams]] = ClassifyParams

    @classmethod
    def compile(cls, params: ClassifyParams, ctx: CompileContext) -> ClassifyStep:
        return ClassifyStep(
            each=at_paths(params.each, "each"),
            source=field_at(params.source, ("from",)),
            target=field_at(params.set, ("set",)),
            patterns=tuple((_test(p, i), dumps(p.value)) for i, p in enumerate(params.patterns)),
            otherwise=dumps(params.otherwise),
            strip_html=params.strip_html,
            access=Access(
                reads=dict.fromkeys(fields_below(params.each, [params.source]), ("from",)),
                writes=fields_below(params.each, [params.set]),
            ),
        )


def plain(text: str) -> str:
    """Text for comparing: no tags, entities resolved, single spaces, case folded."""
    return _SPACE.sub(" ", html.unescape(_TAG.sub(" ", text[:MAX_TEXT]))).strip().casefold()


def _test(pattern: Pattern, index: int) -> Test:
    if pattern.regex is not None:
        try:
            return _found(re.compile(pattern.regex, re.IGNORECASE))
        except (re.error, OverflowError, RecursionError) as error:
            text = f"`{pattern.regex}` is not a regular expression: {error}"
            raise RuleProblem(("patterns", index, "regex"), text, code="bad-regex") from error
    words = tuple(w.casefold() for w in pattern.starts or pattern.contains or pattern.equals or ())
    if pattern.starts is not None:
        return _found(re.compile(rf"(?:{'|'.join(map(re.escape, words))})(?!\w)"), start=True)
    if pattern.contains is not None:
        return lambda text: any(word in text for word in words)
    return lambda text: text in words


def _found(pattern: re.Pattern[str], *, start: bool = False) -> Test:
    find = pattern.match if start else pattern.search
    return lambda text: find(text) is not None
