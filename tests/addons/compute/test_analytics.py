"""Figures over stored transactions, exact to the cent, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.secrets import SecretBox
from tests.addons.compute.beyond import beyond_bench, paid, post, put
from tests.addons.pipeline.harness import Bench

PERIOD = {"start_date": "2025-01-01", "end_date": "2025-01-31"}


@pytest.fixture
async def bench(store: Store, secret_box: SecretBox, tmp_path: Path) -> AsyncIterator[Bench]:
    made = beyond_bench(store, secret_box, tmp_path)
    put(
        made,
        "transactions",
        [
            paid(1, "2025-01-01T00:00:00+00:00", 10),
            paid(2, "2025-01-31T23:59:59+00:00", 20, "tips"),
            paid(3, "2025-01-15T12:00:00+00:00", 0.1, "tips"),
            paid(4, "2025-01-15T12:00:00+00:00", 5, None),
            paid(5, "2025-01-16T12:00:00+00:00", 40, "post", status="undo"),
            paid(6, "2025-02-01T00:00:00+00:00", 100, "stream"),
        ],
    )
    yield made
    await made.gateway.close()


async def test_earnings_by_kind(bench: Bench) -> None:
    """Net of what went through in the period, both ends included; undone payments do not count."""
    got = (await post(bench, "analytics/summary/earnings", account_ids=[bench.account.id], **PERIOD)).json
    assert got["total_earnings"] == 28.08
    assert (got["subscriptions"], got["tips"], got["posts"], got["messages"], got["streams"]) == (8, 16.08, 0, 0, 0)
    assert (got["total_accounts"], got["total_messages"], got["total_images"]) == (1, 0, None)


async def test_transactions_summary(bench: Bench) -> None:
    """Gross, net, fees and counts by outcome."""
    put(bench, "chargebacks", [{"chargeback_id": "c1", "created_at": "2025-01-20T00:00:00+00:00", "amount": 10}])
    got = await post(bench, "analytics/financial/transactions/summary", account_ids=[bench.account.id], **PERIOD)
    assert got.json == {
        "total_gross": 35.1,
        "total_net": 28.08,
        "total_fees": 7.02,
        "succeeded_count": 4,
        "refunded_count": 1,
        "disputed_count": 1,
    }


async def test_transactions_by_type(bench: Bench) -> None:
    """The largest total first; unknown descriptions are a group of their own."""
    got = await post(bench, "analytics/financial/transactions/by-type", account_ids=[bench.account.id], **PERIOD)
    assert got.json == [
        {"type": "tips", "total": 16.08, "count": 2},
        {"type": "subs", "total": 8, "count": 1},
        {"type": None, "total": 4, "count": 1},
    ]


async def test_another_teams_account_is_unknown(bench: Bench) -> None:
    """404 for it, as for one that does not exist."""
    with bench.store.write() as conn:
        other = testing.make_account(conn, testing.make_team(conn).id).id
    for account in (other, "acct_none"):
        got = await post(bench, "analytics/summary/earnings", account_ids=[bench.account.id, account], **PERIOD)
        assert (got.status, got.json["error"]) == (404, "account_not_found")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"account_ids": [], **PERIOD}, "account_ids"),
        ({"account_ids": "acct_1", **PERIOD}, "account_ids"),
        ({"account_ids": ["acct_1"], "start_date": "soon", "end_date": "2025-01-31"}, "start_date"),
        ({"account_ids": ["acct_1"], "start_date": "2025-02-01", "end_date": "2025-01-31"}, "end_date"),
    ],
)
async def test_bad_bodies_name_the_field(bench: Bench, body: dict[str, Any], field: str) -> None:
    """422 in the Laravel shape."""
    got = await post(bench, "analytics/summary/earnings", **body)
    assert got.status == 422
    assert field in got.json["errors"]


async def test_historical_has_every_month(bench: Bench) -> None:
    """Twelve months up to this one, months without sales as 0."""
    now = datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC)
    bench.services.clock = lambda: now
    put(bench, "transactions", [paid(9, now.isoformat(), 50)])
    got = (await post(bench, "analytics/summary/historical", time_range="12m")).json
    assert len(got) == 12
    assert got[-1] == {"period": now.strftime("%Y-%m"), "value": 40}
    assert len((await post(bench, "analytics/summary/historical", time_range="last-year")).json) == 12


async def test_comparison(bench: Bench) -> None:
    """Totals, change and percent of two periods; no percent of nothing."""
    ask = {"account_ids": [bench.account.id], "granularity": "months", "stat_type": "totalEarnings"}
    january, february = {"start": "2025-01-01", "end": "2025-01-31"}, {"start": "2025-02-01", "end": "2025-02-28"}
    got = (await post(bench, "analytics/summary/comparison", period_a=january, period_b=february, **ask)).json
    assert (got["summary"]["period_a_total"], got["summary"]["period_b_total"]) == (28.08, 80)
    assert (got["summary"]["change"], got["summary"]["change_percentage"]) == (51.92, 184.9)
    assert got["breakdown"][0]["period_b"] == {"label": "2025-02", "value": 80}
    empty = {"start": "2024-01-01", "end": "2024-03-31"}
    got = (await post(bench, "analytics/summary/comparison", period_a=empty, period_b=january, **ask)).json
    assert got["summary"]["change_percentage"] is None
    assert len(got["chart_data"]) == 3


async def test_comparison_checks_its_periods(bench: Bench) -> None:
    """A period without a date, reversed, or of more steps than anybody reads, is named."""
    right = {"start": "2025-01-01", "end": "2025-01-31"}
    endless = {"start": "0001-01-01", "end": "9999-12-31"}
    for wrong, field in (
        ({"start": "2025-01-01"}, "end"),
        ({"start": "2025-02-01", "end": "2025-01-01"}, "end"),
        (endless, "end"),
    ):
        got = await post(bench, "analytics/summary/comparison", account_ids=["x"], period_a=wrong, period_b=right)
        assert got.status in (404, 422)
        got = await post(
            bench, "analytics/summary/comparison", account_ids=[bench.account.id], period_a=wrong, period_b=right
        )
        assert (got.status, list(got.json["errors"])) == (422, [f"period_a.{field}"])


async def test_forecast(bench: Bench) -> None:
    """As many days ahead as asked for; a model that is not here is refused by name."""
    ask = {"account_ids": [bench.account.id], "metric": "revenue", "historical_days": 30, "forecast_days": 7}
    got = (await post(bench, "analytics/financial/forecast", model="moving_average", **ask)).json
    assert (len(got["historical"]), len(got["forecast"])) == (30, 7)
    refused = await post(bench, "analytics/financial/forecast", model="arima", **ask)
    assert (refused.status, list(refused.json["errors"])) == (422, ["model"])


async def test_profitability(bench: Bench) -> None:
    """Net of a month; costs and commissions are not made up."""
    got = await post(bench, "analytics/financial/profitability", account_ids=[bench.account.id], month=1, year=2025)
    (row,) = got.json["data"]
    assert (row["projectedNet"], row["month"], row["year"]) == ("28.08", 1, 2025)
    assert (row["costs"], row["profit"], row["hasCostsForPeriod"]) == ([], None, False)
    history = await bench.api("analytics/financial/profitability/{a}/history?months=3")
    assert len(history.json["data"]) == 3
