"""Runs one step on one body, as the runner does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from addons.pipeline.document import Document
from addons.pipeline.exchange import AccountContext
from addons.pipeline.registry import built_in
from addons.pipeline.steps import CompileContext, Row, RowQuery, StepContext

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
ACCOUNT = AccountContext("acct_x", "team", "Eve", "authenticated", "99", "eve", None)


@dataclass
class Ran:
    """What a step did."""

    body: bytes
    counts: dict[str, int] = field(default_factory=dict)
    asked: list[RowQuery] = field(default_factory=list)

    @property
    def value(self) -> Any:
        return json.loads(self.body)


def run(
    addon: str,
    params: Mapping[str, Any],
    body: Any,
    *,
    rows: Mapping[str, Mapping[str, Any]] | None = None,
    query: Mapping[str, Any] | None = None,
    path: Mapping[str, str] | None = None,
    where: str = "response",
) -> Ran:
    """`body`: bytes, or plain data. `rows`: key → column → value, for the only table that the step asks."""
    found = built_in()[addon]
    step = found.compile(found.Params.model_validate(dict(params)), CompileContext("rule", addon, where))
    doc = Document(body if isinstance(body, bytes) else json.dumps(body).encode())
    x = StepContext(ACCOUNT, path or {}, query or {}, now=NOW)
    asked = list(step.needs(doc, x))
    for wanted in asked:
        x.rows[wanted.table, wanted.key_column] = {
            key: Row(key, values, 1.0) for key, values in (rows or {}).items() if key in wanted.keys
        }
    with doc.transaction("rule", addon):
        step.apply(doc, x)
    return Ran(doc.render(), x.counts, asked)
