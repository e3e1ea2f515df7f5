"""The links bench fills the tables as the product does: sums agree with rows, and reports read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.ids import ulid_at
from ofapi_store.models.link_revenue import SUMS
from ofapi_store.queries import clicks, conversions, fan_groups, link_reports, pools
from ofapi_store.queries.link_revenue import FANS
from ofapi_store.types import to_micros
from scripts.benches import links, redirect
from scripts.benches.__main__ import arguments
from scripts.benches.links_filling import Place, click_id, fill

COUNT = 4_000


@pytest.fixture
def place(store: Store, store_url: str) -> Place:
    with store.write() as conn:
        account = testing.make_account(conn, testing.make_team(conn).id)
    link = redirect.add_link(store_url, account.id, 5)
    with store.read() as conn:
        members = [(row.id, row.link_pk) for row in pools.of_smart(conn, link) if row.link_pk is not None]
    return Place(account.id, link, members, 1_000)


def test_ids_are_ulids_of_their_time() -> None:
    """As `ids.ulid_at` makes them."""
    at = datetime(2026, 3, 4, 5, 6, 7, 89_000, tzinfo=UTC)
    assert click_id(to_micros(at), 7) == ulid_at(at)[:10] + "0000000000000007"
    assert click_id(to_micros(at + timedelta(days=9)), 1)[:10] == ulid_at(at + timedelta(days=9))[:10]


def test_sums_agree_with_rows(store: Store, place: Place) -> None:
    """Clicks by hour and day, conversions and revenue by day, cohorts and totals; deep pages lead to the oldest row."""
    made = fill(store, place, COUNT)
    assert made == {"clicks": COUNT, "conversions": 400, "fans": 100}
    with store.read() as conn:
        rows = conn.execute(select(func.count()).select_from(clicks.CLICKS)).scalar()
        days = clicks.by_day(conn, clicks.Filter(place.link))
        assert rows == sum(n for _, n in days) == conn.execute(select(func.sum(clicks.HOURS.c.clicks))).scalar()
        plain = clicks.Filter(place.link, bots=False, duplicates=False)
        some = clicks.by_day(conn, plain)
        assert 0 < sum(n for _, n in some) < COUNT
        last = clicks.page(conn, clicks.Filter(place.link), limit=100, offset=COUNT - 1, days=days)
        assert [row.id[10:] for row in last] == [f"{0:016d}"]
        deep = clicks.page(conn, plain, limit=10, offset=1_000, days=some)
        assert [row.id for row in deep] == sorted((row.id for row in deep), reverse=True)
        by_day = conversions.by_day(conn, conversions.Filter(place.link))
        assert sum(row.count for row in by_day) == 400
        total = link_reports.totals(conn, place.link)
        subs, sums = link_reports.cohort(conn, place.link, None, None)
        stored = conn.execute(select(*(func.sum(FANS.c[name]) for name in SUMS))).one()
        assert [sums[name] for name in SUMS] == [int(value) for value in stored]
        earned = sum(row.net for row in link_reports.days(conn, place.link))
        assert (subs, total.net) == (100, earned)
        whole = fan_groups.everything(conn, place.link)
        assert whole == fan_groups.of_rows(conn, place.link, fan_groups.FanFilter())
        assert (whole.fans, whole.net, whole.tips_net) == (total.subs, total.net, total.tips_net)
        assert (whole.fans_1, whole.fans_3) == (total.fans_1, total.fans_3)
        assert sums["net_all"] == earned == sum(row.net for row in by_day)


def test_the_verdict_is_about_growth_and_the_slowest() -> None:
    """Growth of the median, and p99 of the large link."""
    few, quick, slow = [10.0] * 100, [12.0] * 100, [12.0] * 98 + [60.0] * 2

    def verdict(large: list[float]) -> bool:
        times = {1: dict.fromkeys(links.REPORTS, few), 2: dict.fromkeys(links.REPORTS, large)}
        return bool(links._result([1, 2], {1: 0.1, 2: 0.2}, times)["reached"])

    assert verdict(quick)
    assert not verdict(slow)
    assert not verdict([16.0] * 100)


def test_the_large_link_is_larger() -> None:
    """Growth needs two sizes."""
    with pytest.raises(SystemExit):
        arguments(["links", "--clicks", "1000"])
    assert arguments(["links", "--store", "sqlite"]).store == ["sqlite"]
    assert arguments(["links", "--part", "kills"]).part == ["kills"]
