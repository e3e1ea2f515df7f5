"""Reports on a smart link: a click, a subscriber and payments, told in the same cents everywhere, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from addons.compute.smart_link_reports import MAX_CENTS, cents
from ofapi_store.engine import Store
from ofapi_store.queries import ingest
from ofapi_store.secrets import SecretBox
from tests.addons.links.test_recompute import REAL, T0, Case
from tests.addons.pipeline.harness import Bench, make_bench

RULES = (Path(__file__).parents[3] / "rules" / "smart-links.yaml").read_text()
FAN = 5
DAY = T0.date().isoformat()


@pytest.fixture
async def bench(store: Store, secret_box: SecretBox, tmp_path: Path) -> AsyncIterator[Bench]:
    made = make_bench(store, secret_box, tmp_path, rules=RULES)
    made.services.clock = lambda: T0 + timedelta(hours=20)
    yield made
    await made.gateway.close()


@pytest.fixture
def case(bench: Bench) -> Case:
    """Two clicks; the first one's visitor subscribes, pays 10 and tips 20; another fan was charged back."""
    made = Case(bench.store, bench.account)
    made.click(0, "one")
    made.click(3, "two")
    made.claim(REAL[2], FAN, 10, None)
    made.claim(REAL[2], FAN + 1, 20, None)
    made.pay(1, FAN, 30, 800)
    made.pay(2, FAN, 40, 1600, tip=True)
    made.pay(3, FAN + 1, 50, 400, status="undo")
    made.work()
    return made


async def report(bench: Bench, case: Case, path: str) -> Any:
    got = await bench.api(f"smart-links/{case.smart}/{path}")
    assert (got.status, bench.sent) == (200, []), got.body
    return got.json["data"]


async def test_stats_add_up(bench: Bench, case: Case) -> None:
    """Totals over all time, the day and its month; a period shows its days alone, and the totals stay."""
    found = await report(bench, case, "stats")
    assert found["summary"] == {"clicks_total": 2, "subs_total": 2, "revenue_total": 24, "spenders_total": 1}
    (day,) = found["daily_metrics"]
    assert (day["timestamp"], day["clicks"], day["subs"], day["revenue"], day["spenders"]) == (DAY, 2, 2, 24, 1)
    assert [month["timestamp"] for month in found["monthly_metrics"]] == [DAY[:8] + "01"]
    early = await report(bench, case, "stats?date_start=2020-01-01&date_end=2020-01-31")
    assert early["summary"] == found["summary"]
    assert sum(day["clicks"] for day in early["daily_metrics"]) == 0


async def test_a_cohort_is_what_its_subscribers_brought(bench: Bench, case: Case) -> None:
    """Net by default, gross on request; days on which nobody came have no average."""
    net = await report(bench, case, "cohort-arps")
    assert (net["subscribers_count"], net["revenue_48h_total"], net["arps_all_time"]) == (2, 24, 12)
    gross = await report(bench, case, "cohort-arps?revenue_basis=gross")
    assert gross["revenue_all_time_total"] == 30
    empty = await report(bench, case, "cohort-arps?acquisition_start=2020-01-01&acquisition_end=2020-01-31")
    assert (empty["subscribers_count"], empty["arps_48h"]) == (0, None)


@pytest.mark.parametrize(
    ("seen", "action"),
    [
        ({"is_active": True, "expired_at": "2026-04-01"}, "subscribe"),
        ({"is_active": None, "expired_at": "2026-04-01"}, "subscribe"),  # as lists of chats show some fans
        ({"is_active": None, "expired_at": "2026-04-01", "renewed_at": "2026-03-20"}, "prolong"),
        ({"is_active": True, "expired_at": "2026-03-02"}, None),
        ({"is_active": False, "expired_at": "2026-04-01"}, None),
    ],
)
async def test_the_current_subscription_is_shown_until_it_ends(
    bench: Bench, case: Case, seen: dict[str, Any], action: str | None
) -> None:
    """Whatever list told of the fan last."""
    bench.services.clock = lambda: datetime(2026, 3, 25, tzinfo=UTC)
    person = {"fan_id": FAN, "subscribed_at": "2026-03-01", "subscription_price": 10, "regular_price": 12, **seen}
    with bench.store.write() as conn:
        assert not ingest.observe(conn, "fans", case.account, [person], observed_at=datetime.now(UTC)).problems
    rows = {row["fan_id"]: row for row in (await report(bench, case, "fans"))["rows"]}
    shown = rows[FAN]["subscription_insights"]["current_subscription"]
    wanted = {"action": action, "type": "regular", "price": 10, "regular_price": 12, "is_free": False}
    assert shown == (wanted if action else None)


async def test_clicks_are_listed_and_counted_by_day(bench: Bench, case: Case) -> None:
    """Newest first, a page of them, the count of all; the filters are told back."""
    found = await report(bench, case, "clicks?limit=1")
    assert found["summary"] == {"clicks_total": 2}
    assert [row["created_at"] for row in found["rows"]] == ["2026-03-01T12:03:00+00:00"]
    assert sum(day["clicks"] for day in found["chart"]) == 2
    assert (found["filters"]["limit"], found["filters"]["include_bots"]) == (1, True)


async def test_conversions_name_fan_click_and_amount(bench: Bench, case: Case) -> None:
    """Subscribing has no amount, paying has both, 0 where the money went back; a fan id that is none finds nobody."""
    found = await report(bench, case, "conversions")
    assert found["summary"] == {"conversions_total": 5, "subscribers_total": 2, "revenue_total": 24}
    paid = [row for row in found["rows"] if row["conversion_type"] == "new_transaction"]
    amounts = sorted((row["amount_gross"], row["amount_net"], row["fan_onlyfans_id"]) for row in paid)
    assert amounts == [(0, 0, str(FAN + 1)), (10, 8, str(FAN)), (20, 16, str(FAN))]
    assert all(row["click"] is not None for row in found["rows"])
    for fan, count in ((str(FAN), 3), (str(FAN + 9), 0)):
        found = await report(bench, case, f"conversions?onlyfans_user_id={fan}")
        assert (len(found["rows"]), found["filters"]["onlyfans_user_id"]) == (count, fan)


@pytest.mark.parametrize("path", ["clicks", "conversions", "fans", "spenders", "stats"])
@pytest.mark.parametrize(
    ("query", "field"), [("filter=x", "filter"), ("onlyfans_user_id=abc", "onlyfans_user_id"), ("limit=x", "limit")]
)
async def test_what_would_filter_nothing_is_refused(
    bench: Bench, case: Case, path: str, query: str, field: str
) -> None:
    """422 that names the field, in whichever report it is a parameter; a bare `filter` in all of them."""
    got = await bench.api(f"smart-links/{case.smart}/{path}?{query}")
    known = {"onlyfans_user_id": ["conversions"], "limit": ["clicks", "conversions", "fans", "spenders"]}
    if path in known.get(field, [path]):
        assert (got.status, list(got.json["errors"])) == (422, [field])
    else:
        assert got.status == 200


@pytest.mark.parametrize("path", ["stats", "clicks", "conversions", "cohort-arps"])
async def test_periods_reach_as_far_as_dates_can_be_written(bench: Bench, case: Case, path: str) -> None:
    """From the first to the last of all days everything is in; before and after the days of the link, nothing."""
    names = ("acquisition_start", "acquisition_end") if path == "cohort-arps" else ("date_start", "date_end")

    async def told(first: str, last: str) -> Any:
        found = await report(bench, case, f"{path}?{names[0]}={first}&{names[1]}={last}")
        return found.get("rows") or found.get("daily_metrics") or found.get("subscribers_count")

    assert await told("0001-01-01", "9999-12-31")
    assert await told(DAY, DAY)
    assert await told(f"{DAY}T12:00:00Z", f"{DAY}T12:00:00Z")  # the days of these moments, whole
    assert not await told("0001-01-01", "2026-02-28")
    assert not await told("2026-03-02", "9999-12-31")


async def test_an_empty_filter_filters_nothing(bench: Bench, case: Case) -> None:
    """As everywhere in Laravel, an empty text is none."""
    found = await report(bench, case, "conversions?conversion_type=&onlyfans_user_id=&date_start=&limit=")
    assert len(found["rows"]) == found["summary"]["conversions_total"] > 0
    assert len((await report(bench, case, "fans?sort=&has_messages=&min_revenue_net="))["rows"]) == 2


async def test_fans_and_spenders(bench: Bench, case: Case) -> None:
    """All who came, the best first; spenders have positive net revenue, and at least what is asked for."""
    found = await report(bench, case, "fans")
    assert [(row["fan_id"], row["revenue_net"], row["tips_net"]) for row in found["rows"]] == [(5, 24, 16), (6, 0, 0)]
    assert found["summary"]["fans_total"] == 2
    rich = await report(bench, case, "fans?min_revenue_net=23.995")
    assert ([row["fan_id"] for row in rich["rows"]], rich["filters"]["min_revenue_net"]) == ([5], "23.995")
    for least, ids in (("24", ["5"]), ("24.01", [])):
        spenders = await report(bench, case, f"spenders?minSpend={least}")
        assert [row["onlyfans_id"] for row in spenders] == ids


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, None), (0, 0), (1, 100), (0.1, 10), (0.101, 11), (-0.5, -50), (1e300, MAX_CENTS), (-1e300, -MAX_CENTS)],
)
def test_amounts_are_rounded_up_to_the_cent(value: float | None, expected: int | None) -> None:
    """Who has at least 0.101 has at least 11 cents; what no store can hold is the most that one can."""
    assert cents(value) == expected
