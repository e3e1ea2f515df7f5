"""Set fields of each row from one row of a store table.

```yaml
- addon: lookup
  table: fans
  each: $.list[*]
  by: {fan_id: withUser.id}
  set: {lastReplyAt: last_reply_at, withUser.lastReplyAt: last_reply_at}
```
A row that the store does not have gets `defaults`, else nulls (`lastReplyAt: null` means: never); with
`only_if_found: true` it is left as it is.

What the body itself says is not in the store yet: it is stored once the answer has gone out. `newest` lets a time of the
body count where it is later than the row's:
`newest: {last_reply_at: {each: '$.list[*]', by: fromUser.id, value: createdAt}}`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from pydantic import Field

from addons.enrich.base import (
    ROOT,
    JsonPaths,
    JsonPathText,
    JsonValue,
    Strict,
    at_path,
    at_paths,
    dumps,
    field_at,
    fields_below,
)
from addons.pipeline.accessors import Accessor, FieldPath, together
from addons.pipeline.document import Document
from addons.pipeline.exchange import Origin
from addons.pipeline.items import Item, items_of
from addons.pipeline.json_levels import text_of
from addons.pipeline.node import Node
from addons.pipeline.steps import Access, CompileContext, Row, RowQuery, RuleProblem, StepContext, TableUse
from ofapi_store.catalog_tables import TABLES
from ofapi_store.errors import BadValue
from ofapi_store.types import parse_time

type Wanted = str | dict[str, Wanted]
type Times = Mapping[str, Mapping[str, datetime]]
"""Column → key → the latest time that the body says."""

MAX_ROWS = 5_000


class NewestParams(Strict):
    each: JsonPaths = Field(description="the objects of the body that hold a time")
    by: JsonPathText = Field(description="path inside the object to the key of the row that the time is about")
    value: JsonPathText = Field(description="path inside the object to the time")


class LookupParams(Strict):
    table: str = Field(description="store table")
    each: JsonPaths = Field(default=ROOT, description="the rows: objects of the body")
    by: dict[str, JsonPathText] = Field(
        min_length=1, max_length=1, description="key column → path inside the row that holds the key"
    )
    set: dict[str, Wanted] = Field(
        min_length=1, description="target field (`a.b`: inside of `a`) → column; a mapping builds an object of columns"
    )
    defaults: dict[str, JsonValue] = Field(
        default={}, description="column → value where the store has no row, or null in that column"
    )
    newest: dict[str, NewestParams] = Field(
        default={}, description="column with a time → where the body may say a later one"
    )
    only_if_found: bool = Field(default=False, description="true: rows that the store does not have stay as they are")
    only_where: dict[str, JsonValue] = Field(
        default={}, description="path inside the row → value it must have, or `{params.x}`; other rows are left out"
    )
    when: JsonPaths | None = Field(
        default=None, description="only rows with a value other than null or false here, or in one of several places"
    )


@dataclass(frozen=True, slots=True)
class Newest:
    """One entry of `newest`."""

    each: Accessor
    key: FieldPath
    time: FieldPath

    def times(self, doc: Document) -> dict[str, datetime]:
        """The latest time of each key; what is no time is left out."""
        found: dict[str, datetime] = {}
        for node in self.each.find(doc.root)[:MAX_ROWS]:
            key, said = key_of(self.key.peek(node)), self.time.read(node)
            if key is None or said is None:
                continue
            with contextlib.suppress(BadValue):
                at = parse_time(said.value())
                found[key] = max(at, found.get(key, at))
        return found


@dataclass(frozen=True, slots=True)
class LookupStep:
    """See the module."""

    table: str
    each: Accessor
    column: str
    key: FieldPath
    targets: tuple[tuple[FieldPath, Wanted], ...]
    columns: frozenset[str]
    defaults: Mapping[str, Any]
    newest: Mapping[str, Newest]
    only_if_found: bool
    only_where: tuple[tuple[FieldPath, Any], ...]
    when: tuple[FieldPath, ...]
    first: tuple[str, ...]
    """The members of a row that are looked at, so that no others need be decoded."""
    flat: bool
    """Nothing below those members is looked at or set."""
    access: Access

    def needs(self, doc: Document, x: StepContext) -> Iterable[RowQuery]:
        found = x.memo[id(self)] = list(self._rows(doc, x))
        keys = frozenset([key for _, key in found if key is not None])
        if keys:
            yield RowQuery(self.table, self.column, keys, self.columns)

    def apply(self, doc: Document, x: StepContext) -> None:
        rows = x.rows.get((self.table, self.column), {})
        times = {column: newest.times(doc) for column, newest in self.newest.items()}
        done: dict[str, tuple[list[tuple[FieldPath, bytes]], Origin | None]] = {}
        found = x.memo.get(id(self)) if not doc.edits else None
        for node, key in found if found is not None else self._rows(doc, x):
            if key is None:
                x.count("no_key")
                continue
            row = rows.get(key)
            if row is None:
                x.count("missing")
                if self.only_if_found:
                    continue
            if (values := done.get(key)) is None:
                values = done[key] = self._values(key, row, times)
            self._set(node, *values, x)

    def _values(self, key: str, row: Row | None, times: Times) -> tuple[list[tuple[FieldPath, bytes]], Origin | None]:
        """What each target gets, and the row that it comes from; None where the body knew something later."""
        origin: Origin | None = Origin(self.table, row.row_id, row.age_s) if row is not None else Origin(self.table, "")
        columns = row.values if row is not None else {}
        later: dict[str, datetime] = {}
        for column, said in times.items():
            at, stored = said.get(key), columns.get(column)
            if at is not None and (stored is None or at > stored):
                later[column], origin = at, None
        columns = {**columns, **later} if later else columns
        return [(target, dumps(self._pick(wanted, columns))) for target, wanted in self.targets], origin

    def _set(
        self, row_at: Node | Item, values: list[tuple[FieldPath, bytes]], origin: Origin | None, x: StepContext
    ) -> None:
        counts = x.counts
        for target, value in values:
            parent = row_at if isinstance(row_at, Item) else target.parent(row_at)
            if parent is None:
                x.count("no_target")
                continue
            name = target.fields[-1]
            parent.set(name, value, origin)
            counts[name] = counts.get(name, 0) + 1

    def _rows(self, doc: Document, x: StepContext) -> Iterable[tuple[Node | Item, str | None]]:
        items = items_of(doc.root, self.each, self.first) if self.flat else None
        if items is not None:
            name = self.key.last
            return [(item, key_of(item.peek(name))) for item in items[:MAX_ROWS]]
        return self._nodes(doc, x)

    def _nodes(self, doc: Document, x: StepContext) -> Iterable[tuple[Node, str | None]]:
        for node in self.each.find(doc.root)[:MAX_ROWS]:
            node.look(self.first)
            if node.kind == "object" and self._wanted(node, x):
                yield node, key_of(self.key.peek(node))

    def _wanted(self, node: Node, x: StepContext) -> bool:
        if self.when and all(path.peek(node) in (None, b"null", b"false") for path in self.when):
            return False
        return not self.only_where or all(_is(path.read(node), value, x) for path, value in self.only_where)

    def _pick(self, wanted: Wanted, columns: Mapping[str, Any]) -> Any:
        if isinstance(wanted, dict):
            return {name: self._pick(inner, columns) for name, inner in wanted.items()}
        value = columns.get(wanted)
        return self.defaults.get(wanted) if value is None else value


class Lookup:
    """`addon: lookup`"""

    name: ClassVar[str] = "lookup"
    Params: ClassVar[type[LookupParams]] = LookupParams

    @classmethod
    def compile(cls, params: LookupParams, ctx: CompileContext) -> LookupStep:
        if ctx.where == "present":
            raise RuleProblem(
                ("table",), "rows are fetched once, for `steps`", "move the step from `present` to `steps`"
            )
        (column, key), *_ = params.by.items()
        named = {c: ("set", *where) for c, where in _columns(params.set)} | {column: ("by", column)}
        for option in ("defaults", "newest"):
            for name in getattr(params, option):
                if name not in named:
                    text = f"`{name}` is no column that `set` uses"
                    raise RuleProblem((option, name), text, "name a column of `set`")
        key_path = field_at(key, ("by", column))
        targets = tuple((field_at(t, ("set", t)), wanted) for t, wanted in params.set.items())
        conditions = tuple((field_at(p, ("only_where", p)), v) for p, v in params.only_where.items())
        when = tuple(field_at(path, ("when", index)) for index, path in enumerate(params.when or ()))
        paths = [key_path, *(t for t, _ in targets), *(c for c, _ in conditions), *when]
        return LookupStep(
            table=params.table,
            each=at_paths(params.each, "each"),
            column=column,
            key=key_path,
            targets=targets,
            columns=frozenset(named),
            defaults=params.defaults,
            newest={column: _newest(params.table, column, one) for column, one in params.newest.items()},
            only_if_found=params.only_if_found,
            only_where=conditions,
            when=when,
            first=tuple(sorted({path.fields[0] for path in paths if path.fields})),
            flat=not conditions and not when and all(len(path.fields) == 1 for path in paths),
            access=Access(
                reads=dict.fromkeys(fields_below(params.each, [key]), ("by", column)),
                writes=fields_below(params.each, params.set),
                tables=(TableUse(params.table, named, key=column),),
                names=_path_parameters(params.only_where),
            ),
        )


def _newest(table: str, column: str, params: NewestParams) -> Newest:
    where = ("newest", column)
    known = TABLES[table].columns.get(column) if table in TABLES else None
    if known is not None and known.kind != "time":
        raise RuleProblem(where, f"`{column}` is no time", "`newest` is for columns with a time")
    each = together([at_path(text, (*where, "each", index)) for index, text in enumerate(params.each)])
    return Newest(each, field_at(params.by, (*where, "by")), field_at(params.value, (*where, "value")))


def key_of(text: bytes | None) -> str | None:
    """A key from its JSON text, so that `"12"` and `12` find the same row; None for what is no key."""
    if text is None:
        return None
    if text.isdigit() or (text[:1] == b"-" and text[1:].isdigit()):
        return text.decode()
    return text_of(text) or None if text[:1] == b'"' else None


def _is(node: Node | None, value: Any, x: StepContext) -> bool:
    if isinstance(value, str) and value.startswith("{params.") and value.endswith("}"):
        return key_of(node.raw if node is not None else None) == x.params.get(value[8:-1])
    return bool((node.value() if node is not None else None) == value)


def _path_parameters(only_where: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Names of the template's parameters that conditions compare with, and where each is named."""
    return {
        value[8:-1]: ("only_where", path)
        for path, value in only_where.items()
        if isinstance(value, str) and value.startswith("{params.")
    }


def _columns(wanted: dict[str, Wanted]) -> Iterable[tuple[str, tuple[str, ...]]]:
    for name, inner in wanted.items():
        if isinstance(inner, dict):
            yield from ((column, (name, *where)) for column, where in _columns(inner))
        else:
            yield inner, (name,)
