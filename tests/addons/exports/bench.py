"""A gateway over rules/data-exports.yaml, a worker's job handlers, and a store with rows to export."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from addons.exports.serve import ExportServer
from addons.jobs import exports as export_jobs
from addons.jobs import upkeep
from addons.jobs.registry import Registry
from addons.jobs.worker import Worker
from ofapi_store.engine import Store
from ofapi_store.queries import ingest, sync
from ofapi_store.secrets import SecretBox
from tests.addons.pipeline.harness import Bench, Got, make_bench

RULES = (Path(__file__).parents[3] / "rules" / "data-exports.yaml").read_text()
PERIOD = {"start_date": "2025-01-01", "end_date": "2025-12-31"}
QUICK = {"poll_interval_s": 0.02, "lease_s": 2.0, "backoff_s": 0.05, "backoff_max_s": 0.1}


def export_bench(store: Store, box: SecretBox, tmp_path: Path, **sections: Any) -> Bench:
    config = {
        "upstream": {"base_url": "https://up.test"},
        "exports": {"dir": str(tmp_path / "exports")},
        "secrets": {"keys": [{"file": str(_key(tmp_path))}]},
        "jobs": QUICK,
        **sections,
    }
    return make_bench(store, box, tmp_path, rules=RULES, config=config)


def _key(tmp_path: Path) -> Path:
    path = tmp_path / "secret.key"
    if not path.exists():
        path.write_text(SecretBox.generate_key())
    return path


def put(bench: Bench, table: str, rows: list[dict[str, Any]], account_id: str | None = None) -> None:
    """Rows as a sync that has just ended leaves them."""
    account, now = account_id or bench.account.id, datetime.now(UTC)
    with bench.store.write() as conn:
        ingest.observe(conn, table, account, rows, observed_at=now, keep_message_text=True)
        for stream in ("fans", "transactions", "messages", "chargebacks", "tracking_links", "trial_links"):
            sync.save(conn, account, stream, {}, completed=True, now=now)


def transactions(count: int) -> list[dict[str, Any]]:
    return [
        {
            "transaction_id": f"t{n:06}",
            "created_at": f"2025-06-{n % 28 + 1:02}T00:00:00+00:00",
            "amount": f"{n}.50",
            "net": f"{n}.40",
            "fee": "0.10",
            "type": "tips",
            "status": "done",
            "currency": "USD",
            "fan_id": 7,
            "description": "=cmd|' /C calc'!A0",
        }
        for n in range(count)
    ]


async def request(bench: Bench, method: str, path: str, body: Mapping[str, Any] | None = None, **more: Any) -> Got:
    headers = {"Content-Type": "application/json"}
    data = json.dumps(body).encode() if body is not None else None
    return await bench.call(method, f"/api/{path}", body=data, headers=headers, **more)


async def create(bench: Bench, **body: Any) -> Got:
    """POST /data-exports; transactions of the account in csv unless told otherwise."""
    given = {"type": "transactions", "file_type": "csv", **PERIOD, "account_ids": [bench.account.id], **body}
    return await request(bench, "POST", "data-exports", {k: v for k, v in given.items() if v is not None})


async def run_jobs(bench: Bench) -> int:
    """What is due, in this process."""
    kinds = {**export_jobs.JOBS, "jobs.settle": upkeep.JOBS["jobs.settle"]}
    return await Worker(bench.services, Registry(kinds)).run_until_idle()


async def done(bench: Bench, **body: Any) -> dict[str, Any]:
    """An export made, started and built, as GET shows it."""
    made = await create(bench, auto_start=True, **body)
    assert made.status == 200, made.body
    await run_jobs(bench)
    return await show(bench, made.json["data"]["id"])


async def show(bench: Bench, export_id: str, **query: Any) -> dict[str, Any]:
    text = "&".join(f"{k}={v}" for k, v in query.items())
    data: dict[str, Any] = (await request(bench, "GET", f"data-exports/{export_id}?{text}")).json["data"]
    return data


def file_of(bench: Bench, shown: Mapping[str, Any]) -> Path:
    return bench.services.config.exports.dir / bench.team.id / f"{shown['id']}.{shown['file_type']}"


async def served(bench: Bench) -> ExportServer:
    """The server behind the mount; stop it."""
    server = ExportServer(bench.services)
    await server.start()
    return server
