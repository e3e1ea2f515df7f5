"""Runs the steps of a rule on one body: rows of all steps in one query per table, then the steps in list order.

A step that fails has not run: its edits are taken back, it is counted and noted, and the next one goes on (`on_error:
skip`), or the request fails with 503 `enrichment_failed` (`fail`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog

from addons.pipeline.document import Document, NotJson
from addons.pipeline.errors import ApiError
from addons.pipeline.patience import PatientStore, StoreSlow
from addons.pipeline.steps import BoundStep, Row, RowQuery, StepContext

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from addons.pipeline.exchange import Exchange
    from addons.pipeline.services import Services
    from ofapi_store.catalog import Scope

log = structlog.get_logger(__name__)

Wants = dict[tuple[str, str], tuple[set[str], set[str]]]
Rows = dict[tuple[str, str], dict[Any, Row]]


class StepFailed(ApiError):
    """503 `enrichment_failed`: a step with `on_error: fail` could not run."""

    def __init__(self, rule: str, step: str, reason: str) -> None:
        text = f"Step `{step}` of rule `{rule}` failed ({reason}), and the rule wants no answer without it. Try again later."
        super().__init__(503, "enrichment_failed", text)


@dataclass(slots=True)
class _Run:
    x: Exchange
    rule: str
    doc: Document
    context: StepContext
    failed: dict[str, str] = field(default_factory=dict)

    def fail(self, step: BoundStep, reason: str) -> None:
        """Note that a step has not run. Raises StepFailed where the rule wants that."""
        self.failed[step.id] = reason
        self.x.notes.skipped.append((step.id, reason))
        self.x.notes.count("steps_failed")
        log.warning("step has not run", rule=self.rule, step=step.id, reason=reason)
        if step.on_error == "fail":
            raise StepFailed(self.rule, step.id, reason)


class Runner:
    """One per gateway; holds nothing of an exchange."""

    def __init__(self, services: Services, reads: PatientStore | None = None) -> None:
        self._services = services
        self._reads = reads or PatientStore(services.store)

    async def response(self, x: Exchange, body: bytes) -> bytes:
        """Upstream's body after `steps`, in the envelope dialect after `present.steps` too. Raises StepFailed."""
        if x.match is None:
            return body
        rule = x.match.rule
        steps = rule.steps + rule.present if x.dialect == "envelope" else rule.steps
        return await self._run(x, body, steps)

    async def request(self, x: Exchange, body: bytes) -> bytes:
        """The client's body after the `request` steps. Raises StepFailed."""
        return await self._run(x, body, x.match.rule.request if x.match is not None else ())

    async def _run(self, x: Exchange, body: bytes, steps: Sequence[BoundStep]) -> bytes:
        if not steps:
            return body
        try:
            doc = Document(body)
        except NotJson as reason:
            x.notes.skipped.append(("*", str(reason)))
            x.notes.count("not_json")
            return body
        params = x.match.params if x.match is not None else {}
        root = x.state.get("base_url", "")
        context = StepContext(x.account, params, x.query, now=self._services.clock(), base_url=root)
        run = _Run(x, x.rule_id, doc, context)
        try:
            await self._fetch(run, steps)
            for step in steps:
                if step.id not in run.failed:
                    _apply(run, step)
            x.edits += doc.edits
            return doc.render()
        finally:
            doc.close()

    async def _fetch(self, run: _Run, steps: Sequence[BoundStep]) -> None:
        """Rows of all steps, one query per table and key column, on the body as it came."""
        wants: Wants = {}
        asking = []
        for step in steps:
            try:
                queries = list(step.impl.needs(run.doc, run.context))
            except Exception as error:  # an addon of a third party may raise anything
                run.fail(step, _reason(error))
                continue
            if queries:
                asking.append(step)
            for query in queries:
                _add(wants, query)
        if not wants:
            return
        began = time.perf_counter()
        try:
            wait_s = max(step.deadline_ms for step in asking) / 1000
            run.context.rows = await self._reads.within(wait_s, _read, _scope(run.x), wants)
        except Exception as error:  # the store may be down in many ways; the answer goes out without its rows
            for step in asking:
                run.fail(step, _reason(error))
        finally:
            run.x.notes.store_ms += (time.perf_counter() - began) * 1000
            run.x.notes.queries += [f"{t} by {key}: {len(keys)} keys" for (t, key), (keys, _) in wants.items()]


def _apply(run: _Run, step: BoundStep) -> None:
    run.context.counts = {}
    try:
        with run.doc.transaction(run.rule, step.id):
            step.impl.apply(run.doc, run.context)
    except Exception as error:  # an addon of a third party may raise anything
        run.fail(step, _reason(error))
        return
    for name, by in run.context.counts.items():
        run.x.notes.count(name, by)


def _add(wants: Wants, query: RowQuery) -> None:
    keys, columns = wants.setdefault((query.table, query.key_column), (set(), set()))
    keys |= query.keys
    columns |= query.columns


def _read(conn: Connection, scope: Scope, wants: Wants) -> Rows:
    from ofapi_store import catalog

    found: Rows = {}
    for (table, key_column), (keys, columns) in wants.items():
        found[table, key_column] = catalog.fetch(conn, table, scope, key_column, keys, columns)
    return found


def _scope(x: Exchange) -> Scope:
    from ofapi_store.catalog import Scope

    account = x.account
    team = account.team_id if account is not None else x.principal.team.id if x.principal is not None else None
    return Scope(team, account.id if account is not None else None)


def _reason(error: BaseException) -> str:
    """What went wrong, without values that may be private."""
    return "its rows took too long" if isinstance(error, StoreSlow) else type(error).__name__
