"""Tracking and trial links: what is stored of them, their tags, and what they earned, as the simulator knows it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from tests.e2e.links.conftest import World, strict_but_cents
from tests.e2e.waiting import until

KINDS = [("tracking", "campaign"), ("trial", "trial")]


@pytest.fixture(scope="module", autouse=True)
def synced(world: World) -> None:
    """The tests of this module look at what a sync has brought."""
    world.sync()


def truth(world: World, kind: str) -> dict[int, dict[str, Any]]:
    """The simulator's own links whose claimers are all still there."""
    found = world.sim.truth.links(world.sim.creators[0]["id"])
    return {
        view["id"]: view
        for key, view in found.items()
        if key.startswith(kind) and view["claims"] and not any(claim["deleted"] for claim in view["claims"])
    }


@pytest.mark.parametrize(("kind", "theirs"), KINDS)
def test_lists_show_the_true_revenue(world: World, kind: str, theirs: str) -> None:
    """Net after refunds and chargebacks, spenders, and when it was worked out: live and stored alike."""
    expected = truth(world, theirs)
    assert expected
    links = getattr(world.client, f"{kind}_links")
    strict_but_cents(lambda: links.list(world.account, limit=100, synchronous=True))
    for path in (f"{kind}-links?limit=100&synchronous=true", f"stored/{kind}-links?limit=1000"):
        rows = {row["id"]: row["revenue"] for row in world.raw("GET", f"/{world.account}/{path}").json()["list"]}
        for number, view in expected.items():
            slack = Fraction(sum(t["split"] > 1 for t in view["transactions"]), 100)
            assert rows[number]["isLoading"] is False
            assert abs(Fraction(str(rows[number]["total"])) - Fraction(view["revenue_net_cents"]) / 100) <= slack
            assert rows[number]["spendersCount"] == view["spenders"]


@pytest.mark.parametrize(("kind", "theirs"), KINDS)
def test_reports_on_real_links(world: World, kind: str, theirs: str) -> None:
    """Days add up to the totals; spenders and cohorts agree with the truth."""
    number, view = max(truth(world, theirs).items(), key=lambda item: Fraction(item[1]["revenue_net_cents"]))
    links = getattr(world.client, f"{kind}_links")
    get_stats = links.get_stats if kind == "tracking" else links.retrieve_stats
    stats = get_stats(str(number), account=world.account).data
    total = round(sum(day.revenue for day in stats.daily_metrics), 2)
    assert total == round(stats.summary.revenue_total, 2)
    assert total == round(sum(month.revenue for month in stats.monthly_metrics), 2)
    assert sum(day.spenders for day in stats.daily_metrics) == stats.summary.spenders_total == view["spenders"]
    assert sum(day.subs for day in stats.daily_metrics) == len({claim["fan_id"] for claim in view["claims"]})
    assert stats.summary.clicks_total == view["clicks"]

    spenders = links.list_spenders(str(number), account=world.account, limit=1000).data
    by_fan = {row.onlyfans_id: row.revenue.total for row in spenders}
    for fan, cents in view["by_fan_net_cents"].items():
        if Fraction(cents) >= 100:
            assert abs(Fraction(str(by_fan[fan])) - Fraction(cents) / 100) < Fraction(5, 100)
    assert [row.revenue.total for row in spenders] == sorted((row.revenue.total for row in spenders), reverse=True)

    cohort = world.raw("GET", f"/{world.account}/{kind}-links/{number}/cohort-arps").json()
    assert cohort["subscribers_count"] == len({claim["fan_id"] for claim in view["claims"]})
    assert round(cohort["revenue_all_time_total"], 2) == total
    windows = [cohort[f"revenue_{name}_total"] for name in ("48h", "7d", "14d", "30d", "all_time")]
    assert windows == sorted(windows)
    first = world.raw(
        "GET",
        f"/{world.account}/{kind}-links/{number}/cohort-arps?acquisition_start=2015-01-01&acquisition_end=2015-02-01",
    ).json()
    assert (first["subscribers_count"], first["arps_48h"]) == (0, None)


def stored(world: World, kind: str) -> list[int]:
    """Ids of the stored links, once what the live list shows is among them. Links of pools are left out."""
    world.raw("GET", f"/{world.account}/{kind}-links?limit=100")
    path = f"/{world.account}/stored/{kind}-links?limit=1000"
    return until(lambda: [row["id"] for row in world.raw("GET", path).json()["list"]], lambda ids: len(ids) >= 3)


@pytest.mark.parametrize("kind", ["tracking", "trial", "shared-tracking", "shared-trial"])
def test_tags_of_the_four_kinds(world: World, kind: str) -> None:
    """Adding keeps what is there, removing takes a body, and the tag shows at once in the live and the stored list."""
    live = stored(world, kind)[0]
    url = f"/{world.account}/{kind}-links/{live}/tags"
    assert world.raw("POST", url, json={"tags": [" Autumn ", "one"]}).json() == {"tags": ["Autumn", "one"]}
    assert world.raw("POST", url, json={"tags": ["AUTUMN"]}).json() == {"tags": ["Autumn", "one"]}
    lists = [f"/{world.account}/stored/{kind}-links?limit=100"]
    if not kind.startswith("shared"):  # those are passed through as they are
        lists.append(f"/{world.account}/{kind}-links?limit=100")
    for path in lists:
        rows = {row["id"]: row["tags"] for row in world.raw("GET", path).json()["list"]}
        assert rows[live] == ["Autumn", "one"]
    found = world.raw("GET", f"/{world.account}/stored/{kind}-links?filter[tags][]=autumn").json()["list"]
    assert [row["id"] for row in found] == [live]
    assert world.raw("DELETE", url, json={"tags": ["autumn", "one"]}).json() == {"tags": []}
    assert world.raw("GET", url).json() == {"tags": []}
    assert world.raw("POST", url, json={"tags": ["x" * 51]}).status_code == 422
    assert world.raw("GET", url, other=True).status_code == 404


def test_stored_lists_page_to_the_last_row(world: World) -> None:
    """`hasMore` and `_pagination` lead through all rows; the official client reads every kind."""
    for name in ("tracking", "trial", "shared-tracking", "shared-trial"):
        call = getattr(world.client.stored, f"list_{name.replace('-', '_')}_links")
        strict_but_cents(lambda call=call: call(world.account, limit=1000))
        path = f"/{world.account}/stored/{name}-links"
        whole = stored(world, name)
        paged: list[int] = []
        url: str | None = f"/api{path}?limit=2"
        while url is not None:
            body = world.raw("GET", url.removeprefix(world.stack.base_url)).json()
            paged += [row["id"] for row in body["data"]["list"]]
            url = body["_pagination"]["next_page"]
            assert (url is not None) == body["data"]["hasMore"]
        assert paged == whole


def test_pool_links_are_left_out_of_stored_lists(world: World) -> None:
    """Unless asked for: they are inventory of their smart link."""
    made = world.client.smart_links.create(account_id=world.account, link_type="tracking_link", name="Inventory").data
    world.ready(made.id)
    path = f"/{world.account}/stored/tracking-links?limit=1000"
    without = world.raw("GET", path).json()["list"]
    with_them = world.raw("GET", path + "&filter[include_smart_links]=true").json()["list"]
    assert len(with_them) >= len(without) + 3
    assert not any("Inventory" in row["campaignName"] for row in without)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("tracking-links/1/stats", 404), ("tracking-links/x/stats", 404), ("trial-links/99/cohort-arps", 404),
        ("tracking-links/1/spenders?minSpend=0", 422), ("tracking-links/1/spenders?limit=0", 422),
        ("stored/tracking-links?limit=1001", 422), ("stored/trial-links?offset=-1", 422),
    ],
)  # fmt: skip
def test_bad_input(world: World, path: str, status: int) -> None:
    """422 and 404 as in the contract."""
    assert world.raw("GET", f"/{world.account}/{path}").status_code == status
