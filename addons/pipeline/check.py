"""What only shows between rules, or between a rule and this installation: ids, rank collisions, unreachable rules,
unknown handlers, tables, columns and template parameters, steps that read what earlier steps write.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from addons.pipeline.matcher import Route
from addons.pipeline.paths import names_in
from addons.pipeline.plan import ACCOUNT_NAMES, CompiledRule
from addons.pipeline.problems import Problem, did_you_mean, nearest
from addons.pipeline.rule_yaml import Path_, Source
from addons.pipeline.steps import BoundStep, TableUse

Entry = tuple[CompiledRule, Source, Path_]


@dataclass(frozen=True, slots=True)
class Known:
    """What rules may name. None: not checked (a part that is not installed)."""

    handlers: frozenset[str] | None = None
    tables: Mapping[str, frozenset[str]] | None = None
    observed: Mapping[str, frozenset[str]] | None = None
    keys: Mapping[str, frozenset[str]] | None = None
    selectors: frozenset[str] | None = None

    @classmethod
    def installed(cls) -> Known:
        """Handler names of `addons.compute.registry`, tables and columns of `ofapi_store.catalog`."""
        from addons.compute.registry import names, selectors
        from ofapi_store.catalog import lookup_columns, lookup_keys, observe_columns

        return cls(frozenset(names()), lookup_columns(), observe_columns(), lookup_keys(), frozenset(selectors()))


def check_rules(entries: Sequence[Entry], known: Known) -> list[Problem]:
    """Every problem between rules. Disabled rules are checked for themselves, but collide with nothing but ids."""
    problems = [*_ids(entries), *_ranks(entries)]
    for rule, source, path in entries:
        problems += _handler(rule, source, path, known)
        problems += _observe(rule, source, path, known)
        problems += _steps(rule, source, path, known)
    return problems


def _ids(entries: Iterable[Entry]) -> Iterable[Problem]:
    seen: dict[str, str] = {}
    for rule, source, path in entries:
        line, column = source.place((*path, "id"))
        if not rule.id:
            continue
        if rule.id in seen:
            text, hint = f"duplicate rule id `{rule.id}`", f"the other one is at {seen[rule.id]}; rename one of them"
            yield Problem(source.name, line, column, "duplicate-id", text, hint, rule.id)
        else:
            seen[rule.id] = f"{source.name}:{line}:{column}"


@dataclass(frozen=True, slots=True)
class _Spelling:
    route: Route[CompiledRule]
    where: tuple[str, int, int]

    @property
    def place(self) -> str:
        return ":".join(map(str, self.where))


def _ranks(entries: Iterable[Entry]) -> list[Problem]:
    spellings: list[_Spelling] = []
    for rule, source, path in entries:
        if rule.active:
            for index, (method, template) in enumerate(rule.templates):
                place = source.place((*path, "match", index))
                spellings.append(_Spelling(Route.of(method, template, rule), (source.name, *place)))
    problems: list[Problem] = []
    for index, one in enumerate(spellings):
        for other in spellings[:index]:
            found = _compare(one, other)
            if found is not None:
                problems.append(found)
    return problems


def _compare(one: _Spelling, other: _Spelling) -> Problem | None:
    """What is wrong between two spellings of different rules, if anything; told at the later one or the loser."""
    a, b = one.route, other.route
    if a.owner is b.owner or not _meet(a.method, b.method) or not a.template.overlaps(b.template):
        return None
    if a.rank == b.rank:
        text = f"`{a}` and `{b}` of rule `{b.owner.id}` have equal rank and can match one path"
        hint = f"the other one is at {other.place}; give one of them a `priority`"
        return Problem(*one.where, "overlap", text, hint, a.owner.id)
    winner, loser = (other, one) if b.rank < a.rank else (one, other)
    if winner.route.template.covers(loser.route.template) and winner.route.method in ("*", loser.route.method):
        text = f"`{loser.route}` is never reached: rule `{winner.route.owner.id}` always wins with `{winner.route}`"
        hint = f"the winner is at {winner.place}; change its `priority` or remove this spelling"
        return Problem(*loser.where, "unreachable", text, hint, loser.route.owner.id)
    return None


def _meet(one: str, other: str) -> bool:
    return one == other or "*" in (one, other)


def _handler(rule: CompiledRule, source: Source, path: Path_, known: Known) -> Iterable[Problem]:
    for key, name in (("handler", rule.spec.handler), ("then", rule.spec.then)):
        if name is not None and known.handlers is not None and name not in known.handlers:
            hint = did_you_mean(name, known.handlers, what="handlers")
            yield source.problem((*path, key), "unknown-handler", f"unknown handler `{name}`", hint)
    index = rule.spec.index
    if index is not None and known.selectors is not None and index.handler not in known.selectors:
        hint = did_you_mean(index.handler, known.selectors, what="handlers of `index`")
        text = f"unknown handler `{index.handler}`"
        yield source.problem((*path, "index", "handler"), "unknown-handler", text, hint)


def _observe(rule: CompiledRule, source: Source, path: Path_, known: Known) -> Iterable[Problem]:
    names = _parameters(rule)
    for observe in rule.observe:
        place = (*path, "observe", observe.index)
        if known.observed is not None:
            columns = {c: ("columns", c) for c in observe.columns}
            yield from _table(TableUse(observe.table, columns, ("into",)), known.observed, source, place)
        for column, text in observe.constants.items():
            for name in names_in(text):
                if names is not None and name not in names:
                    hint = did_you_mean(name, names, what="parameters that every `match` has")
                    message = f"the constant `={text}` names a parameter that not every `match` has"
                    yield source.problem((*place, "columns", column), "unknown-parameter", message, hint)


def _parameters(rule: CompiledRule) -> set[str] | None:
    """The parameters that every `match` has; None where no `match` is right, so that nothing can be said of names."""
    return set.intersection(*({*t.names} for _, t in rule.templates)) if rule.templates else None


def _table(use: TableUse, tables: Mapping[str, frozenset[str]], source: Source, path: Path_) -> Iterable[Problem]:
    if use.table not in tables:
        hint = did_you_mean(use.table, tables, what="tables")
        yield source.problem((*path, *use.path), "unknown-table", f"unknown table `{use.table}`", hint)
        return
    columns = tables[use.table]
    for column, where in use.columns.items():
        if column not in columns and not (column.startswith("extra.") and "extra" in columns):
            hint = did_you_mean(column, columns, what=f"columns of {use.table}")
            if "extra" in columns and nearest(column, columns) is None:
                hint += f"; what has no column is kept as `extra.{column}`"
            text = f"table `{use.table}` has no column `{column}`"
            yield source.problem((*path, *where), "unknown-column", text, hint, key=True)


def _key(use: TableUse, known: Known, source: Source, path: Path_) -> Iterable[Problem]:
    """A column that exists, but that rows are not found by."""
    columns, keys = (known.tables or {}).get(use.table, ()), (known.keys or {}).get(use.table)
    if keys and use.key is not None and use.key in columns and use.key in use.columns and use.key not in keys:
        text = f"rows of `{use.table}` cannot be found by `{use.key}`"
        hint = f"they are found by: {', '.join(sorted(keys))}"
        yield source.problem((*path, *use.columns[use.key]), "unknown-column", text, hint, key=True)


def _steps(rule: CompiledRule, source: Source, path: Path_, known: Known) -> Iterable[Problem]:
    own = _parameters(rule)
    names = None if own is None else ACCOUNT_NAMES | own
    for key, steps in ((("request",), rule.request), (("steps",), rule.steps), (("present", "steps"), rule.present)):
        written: dict[str, BoundStep] = {}
        for step in steps:
            place = (*path, *key, step.index)
            yield from _step(step, names, source, place, known)
            if not step.whole:
                continue
            if step.access.tables:
                yield from _stale_reads(step, written, source, place)
            written |= dict.fromkeys(step.access.writes, step)


def _stale_reads(step: BoundStep, written: Mapping[str, BoundStep], source: Source, place: Path_) -> Iterable[Problem]:
    """Rows are asked for on the unedited body, so a key that an earlier step writes would be read too soon."""
    for text, where in step.access.reads.items():
        for path, earlier in written.items():
            if text == path or text.startswith((f"{path}.", f"{path}[")):
                message = f"this step reads `{text}`, which step `{earlier.id}` changes before it"
                hint = "rows are fetched before any step has run: put this step first, or read another field"
                yield source.problem((*place, *where), "read-after-write", message, hint)
                break


def _step(step: BoundStep, names: Set[str] | None, source: Source, place: Path_, known: Known) -> Iterable[Problem]:
    access = step.access
    if known.tables is not None:
        for use in access.tables:
            yield from _table(use, known.tables, source, place)
            yield from _key(use, known, source, place)
    for name, where in access.names.items():
        if names is not None and name not in names:
            hint = did_you_mean(name, names, what="parameters")
            text = f"`{{{name}}}` is no parameter that every `match` of this rule has"
            yield source.problem((*place, *where), "unknown-parameter", text, hint)
