"""The protocol between the runner and enrichment addons. See docs/architecture.md, "Steps"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import BaseModel

if TYPE_CHECKING:
    from addons.pipeline.document import Document
    from addons.pipeline.exchange import AccountContext


class RuleProblem(Exception):
    """A parameter that cannot work. `path`: keys and indexes below the step, for `file:line:col`."""

    def __init__(self, path: Sequence[str | int], message: str, hint: str = "") -> None:
        super().__init__(message)
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
    """Rows wanted from one table: `keys` are values of `key_column`; scoped to the exchange's account or team."""

    table: str
    key_column: str
    keys: frozenset[Any]
    columns: frozenset[str]


@dataclass(frozen=True, slots=True)
class Row:
    """One row from the store: `values` by catalog column (plain Python), `row_id` for provenance, `age_s` of its last update."""

    row_id: str
    values: Mapping[str, Any]
    age_s: float | None = None


@dataclass(slots=True)
class StepContext:
    """What `apply` may read. `rows[(table, key_column)]` maps key → Row for all that `needs` asked for."""

    account: AccountContext | None
    params: Mapping[str, str]
    query: Mapping[str, Any]
    rows: dict[tuple[str, str], dict[Any, Row]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, name: str, by: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + by


class Step(Protocol):
    id: str
    on_error: str
    deadline_ms: int | None

    def needs(self, doc: Document, x: StepContext) -> Iterable[RowQuery]: ...

    def apply(self, doc: Document, x: StepContext) -> None: ...


class StepAddon(Protocol):
    name: ClassVar[str]
    Params: ClassVar[type[BaseModel]]

    @classmethod
    def compile(cls, params: Any, ctx: CompileContext) -> Step: ...
