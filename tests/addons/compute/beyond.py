"""A bench over rules/beyond.yaml, with fans and payments in its store."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from ofapi_store.engine import Store
from ofapi_store.queries import ingest
from ofapi_store.secrets import SecretBox
from tests.addons.pipeline.harness import Bench, Got, make_bench

RULES = (Path(__file__).parents[3] / "rules" / "beyond.yaml").read_text()


def beyond_bench(store: Store, box: SecretBox, tmp_path: Path) -> Bench:
    return make_bench(store, box, tmp_path, rules=RULES)


def put(bench: Bench, table: str, rows: Iterable[Mapping[str, Any]], account_id: str | None = None) -> None:
    """Rows as observing stores them."""
    with bench.store.write() as conn:
        ingest.observe(conn, table, account_id or bench.account.id, rows, observed_at=datetime.now(UTC))


def paid(number: int, at: str, amount: float, kind: str | None = "subs", **more: Any) -> dict[str, Any]:
    """A transaction with a fee of a fifth."""
    gross = Decimal(str(amount))
    values = {"transaction_id": f"t{number}", "created_at": at, "amount": gross, "net": gross * 4 / 5, "fee": gross / 5}
    return {**values, "type": kind, "status": "done", "fan_id": 5, **more}


async def post(bench: Bench, path: str, **body: Any) -> Got:
    """POST JSON in the envelope dialect."""
    headers = {"Content-Type": "application/json"}
    return await bench.call("POST", f"/api/{path}", body=json.dumps(body).encode(), headers=headers)
