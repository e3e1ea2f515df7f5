"""`GET /usage/credits` on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.queries import credits as ledger
from ofapi_store.secrets import SecretBox
from tests.addons.compute.beyond import beyond_bench
from tests.addons.pipeline.harness import Bench

NOW = datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC)


@pytest.fixture
async def bench(store: Store, secret_box: SecretBox, tmp_path: Path) -> AsyncIterator[Bench]:
    made = beyond_bench(store, secret_box, tmp_path)
    made.services.clock = lambda: NOW
    with store.write() as conn:
        debits = [
            ledger.Debit(made.team.id, 3, "fans-all", made.account.id, at=NOW),
            ledger.Debit(made.team.id, 2, "chats-list", made.account.id, at=NOW - timedelta(days=2)),
            ledger.Debit(made.team.id, 5, "webhooks", None, "webhook", at=NOW - timedelta(days=2)),
            ledger.Debit(made.team.id, 7, "fans-all", None, at=NOW - timedelta(days=400)),
        ]
        ledger.charge(conn, debits)
    yield made
    await made.gateway.close()


async def test_the_last_thirty_days_by_day(bench: Bench) -> None:
    """The default; asking costs nothing."""
    got = await bench.api("usage/credits")
    data = got.json["data"]
    assert data["totals"] == {"credits": 10, "requests": 3}
    assert (data["group_by"], data["includes_today"], data["to"]) == ("day", True, NOW.date().isoformat())
    assert got.json["_meta"]["_credits"]["used"] == 0


async def test_by_account_and_endpoint(bench: Bench) -> None:
    """What the whole team used has the account null."""
    rows = (await bench.api("usage/credits?group_by=account")).json["data"]["results"]
    assert {(r["account_id"], r["credit_type"], r["credits"]) for r in rows} == {
        (None, "webhook", 5),
        (bench.account.id, "request", 5),
    }
    rows = (await bench.api("usage/credits?group_by=endpoint&include_today=0")).json["data"]["results"]
    assert {(r["endpoint"], r["credits"]) for r in rows} == {("chats-list", 2), ("webhooks", 5)}
    only = (await bench.api(f"usage/credits?account_id={bench.account.id}")).json["data"]
    assert only["totals"]["credits"] == 5


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=2020-01-01", "to"),
        ("from=2025-02-01&to=2025-01-01", "to"),
        ("group_by=hour", "group_by"),
        ("to=soon", "to"),
    ],
)
async def test_bad_periods(bench: Bench, query: str, field: str) -> None:
    """Longer than 366 days, reversed, unknown: 422 naming the field."""
    got = await bench.api(f"usage/credits?{query}")
    assert (got.status, list(got.json["errors"])) == (422, [field])


async def test_a_restricted_key_sees_its_accounts_only(bench: Bench) -> None:
    """Without an account 403, with another one 404."""
    with bench.store.write() as conn:
        key = testing.make_key(conn, bench.team.id, account_ids=[bench.account.id]).token
    assert (await bench.api("usage/credits", token=key)).status == 403
    assert (await bench.api("usage/credits?account_id=acct_x", token=key)).status == 404
    assert (await bench.api(f"usage/credits?account_id={bench.account.id}", token=key)).status == 200
