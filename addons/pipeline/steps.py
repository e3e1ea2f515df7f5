"""The protocol between the runner and enrichment addons. See docs/architecture.md, "Steps"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import BaseModel

from ofapi_store.catalog import Row

__all__ = [
    "Access",
    "BoundStep",
    "CompileContext",
    "Row",
    "RowQuery",
    "RuleProblem",
    "Step",
    "StepAddon",
    "StepContext",
    "TableUse",
]

if TYPE_CHECKING:
    from addons.pipeline.document import Document
    from addons.pipeline.exchange import AccountContext


class RuleProblem(Exception):
    """A parameter that cannot work. `path`: keys and indexes below the step, for `file:line:col`. `code`: one of `problems.CODES`."""

    def __init__(self, path: Sequence[str | int], message: str, hint: str = "", *, code: str = "bad-step") -> None:
        super().__init__(message)
        self.code = code
        self.path = tuple(path)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class CompileContext:
    """What a step may know at load time. `where`: `response`, `request` or `present`."""

    rule_id: str
    step_id: str
    where: str


@dataclass(frozen=True, slots=True)
class RowQuery:
    """Rows wanted from one table: `keys` are values of `key_column`, as text; scoped to the exchange's account or team."""

    table: str
    key_column: str
    keys: frozenset[str]
    columns: frozenset[str]


@dataclass(slots=True)
class StepContext:
    """What `apply` may read. `rows[(table, key_column)]` maps key, as text → Row for all that `needs` asked for."""

    account: AccountContext | None
    params: Mapping[str, str]
    query: Mapping[str, Any]
    rows: dict[tuple[str, str], dict[Any, Row]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    base_url: str = ""  # root of this dialect, as the client reaches it: `https://gateway.example/api`
    memo: dict[int, Any] = field(default_factory=dict)
    """What a step found in `needs` and may use in `apply` while the document has no edits; by `id(step)`."""

    def count(self, name: str, by: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + by


class Step(Protocol):
    """One compiled step. Both calls are free of I/O; a step that changes nothing does nothing."""

    def needs(self, doc: Document, x: StepContext) -> Iterable[RowQuery]: ...

    def apply(self, doc: Document, x: StepContext) -> None: ...


class StepAddon(Protocol):
    """What an entry of `pipeline/registry.py` is: a class with these three."""

    name: ClassVar[str]
    Params: ClassVar[type[BaseModel]]

    @classmethod
    def compile(cls, params: Any, ctx: CompileContext) -> Step: ...


@dataclass(frozen=True, slots=True)
class TableUse:
    """Columns of a store table that a step reads; `path`: where the rule names them, for `file:line:col`. `key`: the one that rows are found by."""

    table: str
    columns: Mapping[str, tuple[str | int, ...]]
    path: tuple[str | int, ...] = ("table",)
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """What a step reads and writes, for the check at load: paths like `$.list[*].id`, and where the rule names them."""

    reads: Mapping[str, tuple[str | int, ...]] = field(default_factory=dict)
    writes: frozenset[str] = frozenset()
    tables: tuple[TableUse, ...] = ()
    names: Mapping[str, tuple[str | int, ...]] = field(default_factory=dict)  # path parameters used by templates


@dataclass(frozen=True, slots=True, eq=False)
class BoundStep:
    """A step of a rule with what the runner needs to know of it. `whole`: false where a wrong part of it was left out."""

    id: str
    addon: str
    impl: Step
    on_error: str = "skip"
    deadline_ms: int = 2000
    index: int = 0
    whole: bool = True

    @property
    def access(self) -> Access:
        found = getattr(self.impl, "access", None)
        return found if isinstance(found, Access) else Access()
