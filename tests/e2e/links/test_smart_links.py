"""A smart link from its making to its reports, through the official client, against the simulator's truth."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from onlyfansapi import NotFoundError, UnprocessableEntityError

from tests.e2e.links.conftest import World
from tests.e2e.waiting import until, until_idle


def make(world: World, name: str, **values: object):
    made = world.client.smart_links.create(
        account_id=world.account, link_type=values.pop("link_type", "tracking_link"), name=name, **values
    )
    world.ready(made.data.id)
    return made.data


def code_of(location: str, world: World) -> str:
    """The simulator's key of the link that a redirect leads to."""
    if "/action/trial/" in location:
        return location.rsplit("/", 1)[1].partition("?")[0]
    return location.rsplit("/c", 1)[1]


def test_from_click_to_revenue(world: World) -> None:
    """A visitor clicks, subscribes, writes and pays: every report tells it, and in the same cents."""
    link = make(world, "Full story")
    before = datetime.now(UTC).date()
    answer = world.go(
        f"{link.traffic_redirect_url}?utm_source=tt&fbclid=F1&external_click_id=E9", Referer="https://t.co/x"
    )
    assert answer.status_code == 302
    assert answer.headers["Cache-Control"] == "no-store"
    code = code_of(answer.headers["Location"], world)
    came = world.happen("subscribe", link=code, price=1000)
    fan = came["fan"]
    for text in ("hi", "there", "you"):
        world.happen("message", fan=fan, text=text)
    world.happen("tip", fan=fan, amount=2000)
    payments = world.sim.world.creators[0].transactions  # each has a second of its own, the future is not listed
    until(lambda: payments[0].created <= world.sim.world.now())
    world.sync()
    until(lambda: world.client.smart_links.retrieve(link.id).data.conversions_count == 8)
    check_stats(world, link.id, before)
    click = check_click(world, link.id)
    check_conversions(world, link.id, click)
    check_fans(world, link.id, fan, click)
    check_cohort(world, link.id)
    shown = world.client.smart_links.retrieve(link.id).data
    assert (shown.clicks_count, shown.subscribers_count, shown.conversions_count, shown.revenue) == (1, 1, 8, "24.00")
    listed = {row.id: row for row in world.client.smart_links.list().data}
    assert (listed[link.id].spenders_count, listed[link.id].revenue) == (1, "24.00")


def check_stats(world: World, link: str, before: date) -> None:
    """One click, one subscriber, 80 % of 10 + 20 on the day between `before` and now."""
    stats = world.client.smart_links.retrieve_stats(link).data
    assert (stats.summary.clicks_total, stats.summary.subs_total, stats.summary.spenders_total) == (1, 1, 1)
    assert stats.summary.revenue_total == 24  # 80 % of 10 + 20
    days = stats.daily_metrics  # one, or two where midnight has passed meanwhile
    today = {before.isoformat(), datetime.now(UTC).date().isoformat()}
    assert 1 <= len(days) <= len(today)
    assert {day.timestamp for day in days} <= today
    assert [sum(getattr(day, name) for day in days) for name in ("clicks", "subs", "revenue")] == [1, 1, 24]
    assert all(day.spenders == (day.revenue > 0) for day in days)
    assert {month.timestamp for month in stats.monthly_metrics} <= {day[:8] + "01" for day in today}


def check_click(world: World, link: str) -> str:
    """The click's id; it knows what came with it."""
    (click,) = world.client.smart_links.list_clicks(link).data.rows
    assert (click.utm_source, click.fbclid, click.external_click_id) == ("tt", "F1", "E9")
    assert (click.referrer, click.browser_device_type, click.browser_platform) == (
        "https://t.co/x",
        "desktop",
        "Windows",
    )
    assert (click.is_bot, click.is_duplicate, click.gross_clicks) == (False, False, 1)
    return str(click.id)


def check_conversions(world: World, link: str, click: str) -> None:
    """Eight of five types, all of that click; payments with what is left of them."""
    found = world.client.smart_links.list_conversions(link).data
    kinds = sorted(row.conversion_type for row in found.rows)
    assert kinds == sorted(
        ["new_subscriber", "new_transaction", "new_transaction", "fan_sent_1_message", "fan_sent_3_messages"]
        + ["message_received"] * 3
    )
    assert {row.click.id for row in found.rows} == {click}
    assert (found.summary.conversions_total, found.summary.subscribers_total, found.summary.revenue_total) == (8, 1, 24)
    only = world.client.smart_links.list_conversions(link, conversion_type="new_transaction").data
    assert sorted(row.amount_net for row in only.rows) == [8, 16]


def check_fans(world: World, link: str, fan: int, click: str) -> None:
    """The fan is the one who came, and the one who spends."""
    fans = world.client.smart_links.list_fans(link).data
    (row,) = fans.rows
    assert (row.onlyfans_id, row.revenue_net, row.tips_net, row.messages_sent_by_fan) == (str(fan), 24, 16, 3)
    assert (row.external_click_id, row.click_id) == ("E9", click)
    assert fans.summary.fans_with_3_plus_messages_total == 1
    assert row.subscription_insights.current_subscription_from_smart_link is True
    (spender,) = world.client.smart_links.list_spenders(link).data
    assert (spender.onlyfans_id, spender.revenue.total) == (str(fan), 24)


def check_cohort(world: World, link: str) -> None:
    """What a subscriber of this link brought, net and gross."""
    cohort = world.raw("GET", f"/smart-links/{link}/cohort-arps").json()
    assert (cohort["subscribers_count"], cohort["revenue_48h_total"], cohort["arps_all_time"]) == (1, 24, 24)
    assert cohort["coverage_percent"] == 1
    gross = world.raw("GET", f"/smart-links/{link}/cohort-arps?revenue_basis=gross").json()
    assert gross["revenue_all_time_total"] == 30


def test_a_trial_link_needs_its_days_and_leads_to_a_trial(world: World) -> None:
    """`free_trial` makes trial links upstream with these days; their fans came by a promotion."""
    link = make(world, "Trial", link_type="free_trial", free_trial_days=7)
    assert link.free_trial_days == 7
    answer = world.go(link.traffic_redirect_url, version=99)
    came = world.happen("subscribe", link=code_of(answer.headers["Location"], world))
    world.sync()
    until(lambda: world.client.smart_links.retrieve(link.id).data.subscribers_count == 1)
    (row,) = world.client.smart_links.list_fans(link.id, subscribed_using_promo=True).data.rows
    assert row.onlyfans_id == str(came["fan"])
    assert world.client.smart_links.list_fans(link.id, subscribed_using_promo=False).data.rows == []


def test_each_recent_click_holds_its_own_link(world: World) -> None:
    """Three visitors get three links, the first one the same link again; the fourth shares the oldest hold."""
    link = make(world, "Pool")
    places = [world.go(link.traffic_redirect_url, version=v).headers["Location"] for v in (1, 2, 3)]
    assert len(set(places)) == 3
    assert world.go(link.traffic_redirect_url, version=1).headers["Location"] == places[0]
    assert world.go(link.traffic_redirect_url, version=4).headers["Location"] == places[1]
    until(lambda: world.client.smart_links.retrieve(link.id).data.clicks_count == 5)
    rows = world.raw("GET", f"/smart-links/{link.id}/clicks").json()["rows"]
    assert [row["is_shared_pool_link"] for row in rows] == [True, False, False, False, False]
    assert [row["is_duplicate"] for row in rows] == [False, True, False, False, False]
    assert rows[-1]["gross_clicks"] == 2
    until(lambda: world.raw("GET", f"/smart-links/{link.id}").json()["pool"]["ready"] == 6)  # the pool was refilled


def test_robots_and_prefetches_are_counted_apart(world: World) -> None:
    """They are redirected, marked, and left out on request; they hold no link of visitors."""
    link = make(world, "Robots")
    world.go(link.traffic_redirect_url, version=1)
    world.go(link.traffic_redirect_url, User_Agent="facebookexternalhit/1.1")
    assert world.go(link.traffic_redirect_url, version=2, method="HEAD").status_code == 302
    world.go(link.traffic_redirect_url, version=3, Sec_Purpose="prefetch")
    until(lambda: world.client.smart_links.list_clicks(link.id).data.summary.clicks_total == 4)
    found = world.client.smart_links.list_clicks(link.id, include_bots=False).data
    assert (found.summary.clicks_total, len(found.rows), found.filters.include_bots) == (1, 1, False)


def test_unknown_and_deleted_links_are_plain_pages(world: World) -> None:
    """404 for what never was, 410 for what is gone; nothing reaches upstream, no key is asked for."""
    base = world.stack.base_url
    for path in ("/go/", "/go/nonsense", "/go/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/go/01ARZ3NDEKTSV4RRFFQ69G5FAV/x"):
        answer = world.go(base + path)
        assert (answer.status_code, answer.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    link = make(world, "Gone")
    assert world.client.smart_links.delete(link.id).data.success is True
    answer = world.go(link.traffic_redirect_url)
    assert (answer.status_code, "no longer" in answer.text) == (410, True)
    with pytest.raises(NotFoundError):
        world.client.smart_links.retrieve(link.id)


def test_before_the_pool_is_made_visitors_reach_the_profile(world: World) -> None:
    """Never a dead redirect: the creator's page, and the pool's state says why."""
    world.sim.faults.add("server_error", path="/campaigns", method="POST", count=0)
    try:
        made = world.client.smart_links.create(account_id=world.account, link_type="tracking_link", name="Early").data
        answer = world.go(made.traffic_redirect_url)
        assert (answer.status_code, answer.headers["Location"]) == (
            302,
            f"https://onlyfans.com/{made.account.username}",
        )
        assert world.raw("GET", f"/smart-links/{made.id}").json()["pool"]["state"] == "making"
        assert world.client.smart_links.delete(made.id).data.success is True  # else its job would ask again in a minute
    finally:
        world.sim.faults.clear()


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"link_type": "free_trial", "name": "x"}, "free_trial_days"),
        ({"link_type": "free_trial", "name": "x", "free_trial_days": 0}, "free_trial_days"),
        ({"link_type": "free_trial", "name": "x", "free_trial_days": 361}, "free_trial_days"),
        ({"link_type": "banner", "name": "x"}, "link_type"),
        ({"link_type": "tracking_link", "name": ""}, "name"),
        ({"link_type": "tracking_link", "name": "  "}, "name"),
        ({"link_type": "tracking_link", "name": "x" * 256}, "name"),
    ],
)
def test_bad_input_is_refused_by_field(world: World, values: dict[str, object], field: str) -> None:
    """422 that names the field; nothing is made."""
    answer = world.raw("POST", "/smart-links", json={"account_id": world.account, **values})
    assert (answer.status_code, list(answer.json()["errors"])) == (422, [field])


@pytest.mark.parametrize(
    "query",
    [
        "stats?date_start=2026-02-01&date_end=2026-01-01", "stats?date_start=soon", "clicks?limit=0", "clicks?offset=-1",
        "clicks?limit=1001", "fans?sort=name", "conversions?conversion_type=visit", "cohort-arps?revenue_basis=fees",
    ],
)  # fmt: skip
def test_bad_queries_are_refused(world: World, query: str) -> None:
    """422, as the contract bounds them."""
    link = make_once(world)
    assert world.raw("GET", f"/smart-links/{link}/{query}").status_code == 422


def make_once(world: World) -> str:
    rows = world.client.smart_links.list(limit=1).data
    return rows[0].id if rows else make(world, "Any").id


def test_another_teams_links_do_not_exist(world: World) -> None:
    """404 for every operation, as for a ULID that never was; an account of another team is not found either."""
    link = make_once(world)
    for method, path in [("GET", ""), ("DELETE", ""), ("GET", "/stats"), ("GET", "/clicks"), ("GET", "/tags")]:
        one = world.raw(method, f"/smart-links/{link}{path}", other=True)
        none = world.raw(method, f"/smart-links/01ARZ3NDEKTSV4RRFFQ69G5FAV{path}", other=True)
        assert (one.status_code, none.status_code) == (404, 404)
        assert one.json()["error"] == none.json()["error"]
    assert world.raw("GET", "/smart-links", other=True).json() == []
    body = {"account_id": world.account, "link_type": "tracking_link", "name": "x"}
    stolen = world.raw("POST", "/smart-links", other=True, json=body)
    assert (stolen.status_code, stolen.json()["error"]) == (404, "account_not_found")


def test_tags_of_smart_links_share_the_teams_namespace(world: World) -> None:
    """Adding keeps, removing ignores case, and the team's list has them under their kind."""
    link = make_once(world)
    url = f"/smart-links/{link}/tags"
    assert world.raw("POST", url, json={"tags": ["Summer", "b"]}).json() == {"tags": ["b", "Summer"]}
    assert world.raw("POST", url, json={"tags": ["SUMMER"]}).json() == {"tags": ["b", "Summer"]}
    assert world.client.link_tags.list(type="smart_links").data.tags == ["b", "Summer"]
    assert [row.id for row in world.client.smart_links.list(filter={"tags": ["summer"]}).data] == [link]
    assert world.raw("DELETE", url, json={"tags": ["b", "none"]}).json() == {"tags": ["Summer"]}
    assert world.raw("POST", url, json={"tags": ["x" * 51]}).status_code == 422


def test_reports_touch_no_upstream(world: World) -> None:
    """The simulator's log is the witness; with upstream away everything still answers."""
    link = make_once(world)
    until_idle(world.stack.store_url)
    before = len(world.sim.requests)
    for path in ("", "/stats", "/cohort-arps", "/fans", "/spenders", "/clicks", "/conversions", "/tags"):
        assert world.raw("GET", f"/smart-links/{link}{path}").status_code == 200
    assert len(world.sim.requests) == before


def test_operations_are_not_bad_input(world: World) -> None:
    """The client sees the field of its mistake."""
    with pytest.raises(UnprocessableEntityError, match="free trial days"):
        world.client.smart_links.create(account_id=world.account, link_type="free_trial", name="x")
