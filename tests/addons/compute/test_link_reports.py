"""Reports on tracking links, by the same sums as those on smart links, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ofapi_store.engine import Store
from ofapi_store.queries import sync
from ofapi_store.secrets import SecretBox
from tests.addons.links.test_recompute import REAL, T0, Case
from tests.addons.pipeline.harness import Bench, make_bench

RULES = (Path(__file__).parents[3] / "rules" / "tracking-links.yaml").read_text()
LINK = REAL[0][1]


@pytest.fixture
async def bench(store: Store, secret_box: SecretBox, tmp_path: Path) -> AsyncIterator[Bench]:
    made = make_bench(store, secret_box, tmp_path, rules=RULES)
    made.services.clock = lambda: T0 + timedelta(days=2)
    yield made
    await made.gateway.close()


@pytest.fixture
def case(bench: Bench) -> Case:
    """A fan came by the link and paid; upstream counted 10 clicks when it was first seen, 17 a day later."""
    made = Case(bench.store, bench.account)
    for days, count in ((0, 10), (1, 17)):
        row = {"link_id": LINK, "code": "1", "name": "L", "clicks_count": count, "subscribers_count": 1}
        made.see("tracking_links", row, T0 + timedelta(days=days))
    with bench.store.write() as conn:
        sync.save(conn, bench.account.id, "transactions", {}, completed=True, now=T0)
    made.claim(REAL[0], 5, 10, None)
    made.pay(1, 5, 30, 800)
    return made


async def report(bench: Bench, path: str, link: int | str = LINK) -> Any:
    got = await bench.api(f"{{a}}/tracking-links/{link}/{path}")
    assert (got.status, bench.sent) == (200, []), got.body
    return got.json["data"]


async def test_a_link_that_was_never_seen_says_what_to_do(bench: Bench) -> None:
    """404 that names the list and the sync; what is no id is no link."""
    for link in ("999", "x"):
        got = await bench.api(f"{{a}}/tracking-links/{link}/stats")
        assert (got.status, got.json["error"]) == (404, "not_found")
    assert "sync" in (await bench.api("{a}/tracking-links/999/stats")).json["message"]


async def test_revenue_is_null_until_it_was_worked_out(bench: Bench, case: Case) -> None:
    """Never a zero that nobody has counted; then the exact sums, and when they were made."""
    before = (await report(bench, "stats"))["summary"]
    assert (before["revenue_total"], before["chargebacks_total"], before["revenue_cached_at"]) == (None, None, None)
    case.work()
    after = (await report(bench, "stats"))["summary"]
    assert (after["revenue_total"], after["spenders_total"], after["subs_total"]) == (8, 1, 1)
    assert after["revenue_cached_at"] == "2026-03-01T12:00:00+00:00"


async def test_clicks_by_day_are_the_growth_of_upstreams_count(bench: Bench, case: Case) -> None:
    """What was there when the link was first seen belongs to no day; the total is upstream's."""
    case.work()
    found = await report(bench, "stats")
    assert found["summary"]["clicks_total"] == 17
    assert {day["timestamp"]: day["clicks"] for day in found["daily_metrics"] if day["clicks"]} == {"2026-03-02": 7}
    outside = await report(bench, "stats?date_start=2020-01-01&date_end=2020-01-31")
    assert sum(day["clicks"] for day in outside["daily_metrics"]) == 0


async def test_cohort_and_spenders(bench: Bench, case: Case) -> None:
    """The fan who came by the link, with what was paid; less than asked for is not listed."""
    case.work()
    cohort = await report(bench, "cohort-arps")
    assert (cohort["subscribers_count"], cohort["arps_48h"]) == (1, 8)
    assert (await report(bench, "cohort-arps?revenue_basis=gross"))["arps_48h"] == 10
    (row,) = await report(bench, "spenders")
    assert (row["onlyfans_id"], row["revenue"]["total"]) == ("5", 8)
    assert await report(bench, "spenders?minSpend=8.01") == []
