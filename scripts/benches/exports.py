"""Memory and time of a large export: each format built by a process of its own, from a store with that many rows."""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from addons.config import Config
from addons.exports.catalog import TYPES
from addons.exports.exporter import Exporter
from addons.pipeline.services import Services
from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.queries import exports
from ofapi_store.queries.transactions import TRANSACTIONS
from ofapi_store.secrets import SecretBox

ALLOWED_BYTES = {"csv": 150_000_000, "xlsx": 150_000_000}
START = datetime(2025, 1, 1, tzinfo=UTC)
CHUNK = 20_000


def run(rows: int) -> dict[str, Any]:
    """`reached`: csv and xlsx of all rows stay below their bounds of memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "key").write_text(SecretBox.generate_key())
        ids = seed(folder, rows)
        found = [measured(folder, export_id) for export_id in ids]
    reached = all(one["rows"] == rows and one["peak_bytes"] < ALLOWED_BYTES[one["format"]] for one in found)
    return {"bench": "exports", "rows": rows, "formats": found, "reached": reached}


def text(found: dict[str, Any]) -> str:
    lines = [
        f"{one['format']:5} {one['rows']} rows, {one['file_bytes'] / 1e6:.0f} MB in {one['seconds']:.1f} s "
        f"({one['rows'] / one['seconds']:.0f} rows/s), peak memory {one['peak_bytes'] / 1e6:.0f} MB "
        f"(below {ALLOWED_BYTES[one['format']] / 1e6:.0f}), {one['base_bytes'] / 1e6:.0f} MB before"
        for one in found["formats"]
    ]
    return "\n".join([*lines, "reached" if found["reached"] else "missed"])


def seed(folder: Path, rows: int) -> list[str]:
    """A store with that many transactions of one account, and an export of them in each format."""
    store = Store.open(f"sqlite:///{folder}/store.db")
    testing.create_all(store)
    with store.write() as conn:
        team = testing.make_team(conn, balance=rows)
        account = testing.make_account(conn, team.id)
    for first in range(0, rows, CHUNK):
        with store.write() as conn:
            conn.execute(TRANSACTIONS.insert(), [row(account.id, n) for n in range(first, min(rows, first + CHUNK))])
    ids = []
    for kind in ALLOWED_BYTES:
        columns = TYPES["transactions"].columns
        end = START + timedelta(days=365)
        new = exports.NewExport("transactions", kind, START, end, [account.id], columns, {})
        with store.write() as conn:
            made = exports.create(conn, team.id, new)
            exports.calculated(conn, made.id, rows=rows, credits=0)
            exports.start(conn, made.id)
            exports.begin(conn, made.id)
        ids.append(made.id)
    store.close()
    return ids


def row(account_id: str, number: int) -> dict[str, Any]:
    at = START + timedelta(seconds=20 * number)
    return {
        "account_id": account_id,
        "transaction_id": f"00000000-0000-4000-8000-{number:012}",
        "fan_id": 1_000_000 + number % 5000,
        "type": "tips",
        "amount": 500 + number % 10_000,
        "net": 400 + number % 8_000,
        "fee": 100,
        "vat_amount": 0,
        "tax_amount": 0,
        "currency": "USD",
        "status": "done",
        "description": f"Tip from Fan number {number}",
        "created_at": at,
        "first_seen_at": at,
        "observed_at": at,
        "updated_at": at,
    }


def measured(folder: Path, export_id: str) -> dict[str, Any]:
    """One build in a fresh process."""
    args = [sys.executable, "-m", "scripts.benches.exports", str(folder), export_id]
    done = subprocess.run(args, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


async def build(folder: Path, export_id: str) -> dict[str, Any]:
    """The export's file, built as the job builds it, and what that took."""
    store = Store.open(f"sqlite:///{folder}/store.db")
    config = Config.build(
        {"exports": {"dir": str(folder / "exports")}, "secrets": {"keys": [{"file": str(folder / "key")}]}}
    )
    services = Services(config, store, SecretBox(config.secret_keys()))
    with store.read() as conn:
        found = exports.by_id(conn, export_id)
        assert found is not None
        accounts = exports.accounts_of(conn, [export_id])[export_id]

    async def tell(rows: int) -> None:
        await store.awrite(exports.progress, export_id, rows)

    base, began = peak_bytes(), time.monotonic()
    built = await Exporter(services, found, accounts).build(tell)
    seconds = time.monotonic() - began
    store.close()
    return {
        "format": found.file_type,
        "rows": built.rows,
        "file_bytes": built.size,
        "seconds": seconds,
        "base_bytes": base,
        "peak_bytes": peak_bytes(),
    }


def peak_bytes() -> int:
    """The most memory that this process has held; `ru_maxrss` would count what its parent held before it."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(build(Path(sys.argv[1]), sys.argv[2]))) + "\n")
