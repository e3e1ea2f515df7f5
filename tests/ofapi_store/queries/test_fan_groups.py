"""Sums over filtered fans of a link: from groups they are those of the rows, and kept up with every change."""

from __future__ import annotations

import itertools
import random
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, func, select, update

from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.models.link_revenue import SUMS
from ofapi_store.queries import fan_groups, link_reports, link_revenue
from ofapi_store.queries.fan_groups import FanFilter
from tests.addons.links.making import START

REF = "01J0000000000000000000000A"
FLAGS = (None, True, False)


def fan(dice: random.Random, number: int) -> dict[str, Any]:
    """A row as `recompute` makes them; most fans spend nothing."""
    net = dice.choice([0, 0, 0, 1, 99, 100, 101, 12_000, 12_345, 15_000, dice.randrange(10**6), 2 * 10**9])
    row = dict.fromkeys(SUMS, net) | {"since": START + timedelta(minutes=number % 7), "day": 20_454, "click_id": None}
    row |= {"is_trial": dice.random() < 0.5, "came_before": dice.random() < 0.2, "chargebacks": 0}
    return row | {"tips_net": dice.choice([0, net, net // 3]), "messages": dice.choice([0, 0, 1, 2, 3, 7, 13, 20, 450])}


def put(store: Store, account: str, rows: dict[tuple[str, int], dict[str, Any]], ids: list[int]) -> None:
    with store.write() as conn:
        link_revenue.store(conn, account, ids, rows, {}, now=START)


@pytest.fixture
def account(store: Store) -> str:
    with store.write() as conn:
        return testing.make_account(conn, testing.make_team(conn).id).id


def filters(dice: random.Random) -> list[FanFilter]:
    """Every kind of condition with every other, thresholds on steps, between them, beside and beyond them."""
    some = [
        FanFilter(has, messages, net, tips, previously, promo)
        for has, messages, net, tips, previously, promo in itertools.product(
            FLAGS, (None, 0, 3, 12, 10**9), (None, -1, 0, 100, 12_100, 10**12), (None, 1, 4_321), FLAGS, FLAGS
        )
    ]
    return [FanFilter(), *dice.sample(some, 120)]


def test_sums_of_any_filter_are_those_of_the_rows(store: Store, account: str) -> None:
    """Also after fans changed and left; groups without fans are gone."""
    dice = random.Random(4)
    rows = {(REF, n): fan(dice, n) for n in range(300)}
    put(store, account, rows, list(range(300)))
    changed = {(REF, n): fan(dice, n) for n in range(0, 300, 3)}
    put(store, account, changed, list(range(0, 300, 3)))
    put(store, account, {}, list(range(0, 300, 5)))
    with store.read() as conn:
        for wanted in filters(dice):
            assert fan_groups.sums(conn, REF, wanted) == fan_groups.of_rows(conn, REF, wanted), wanted
        total, whole = link_reports.totals(conn, REF), fan_groups.everything(conn, REF)
        assert (whole.fans, whole.net, whole.tips_net) == (total.subs, total.net, total.tips_net)
        assert conn.execute(select(func.min(fan_groups.GROUPS.c.fans))).scalar_one() > 0
    put(store, account, {}, list(range(300)))
    with store.read() as conn:
        assert conn.execute(select(func.count()).select_from(fan_groups.GROUPS)).scalar_one() == 0


@pytest.mark.parametrize("sort", [sign + name for name in link_reports.SORTS for sign in ("", "-")])
def test_pages_are_those_of_all_rows_in_order(store: Store, account: str, sort: str) -> None:
    """Whichever index a page is read by: each fan that fits once, in order, and none beyond the last."""
    dice = random.Random(sort)
    rows = {(REF, n): fan(dice, n) for n in range(200)}
    put(store, account, rows, list(range(200)))
    column, down = link_reports.SORTS[sort.removeprefix("-")], sort.startswith("-")
    with store.read() as conn:
        for wanted in filters(dice)[:40]:
            fits = [n for n in range(200) if _fits(rows[REF, n], wanted)]
            fits.sort(key=lambda n: (rows[REF, n][column], n), reverse=down)
            found = link_reports.fan_totals(conn, REF, wanted).subs
            assert found == len(fits)
            for offset in (0, 3, found, found + 9):
                page = link_reports.fans(conn, REF, wanted, sort=sort, limit=5, offset=offset, found=found)
                assert [row.fan_id for row in page] == fits[offset : offset + 5], wanted


def _fits(row: dict[str, Any], wanted: FanFilter) -> bool:
    """The filter, naively."""
    least = ((row["messages"], wanted.messages), (row["net_all"], wanted.net), (row["tips_net"], wanted.tips))
    flags = ((row["messages"] > 0, wanted.has_messages), (row["came_before"], wanted.previously))
    promo = wanted.promo is None or row["is_trial"] == wanted.promo
    enough = all(limit is None or value >= limit for value, limit in least)
    return promo and enough and all(flag is None or value == flag for value, flag in flags)


def test_fans_whose_groups_are_missing_are_counted_all_the_same(store: Store, account: str) -> None:
    """As a process of the release before the groups leaves them."""
    dice = random.Random(1)
    put(store, account, {(REF, n): fan(dice, n) for n in range(50)}, list(range(50)))
    wanted = FanFilter(messages=3)
    with store.read() as conn:
        before = link_reports.fan_totals(conn, REF, wanted)
    for damage in (delete(fan_groups.GROUPS), update(fan_groups.GROUPS).values(fans=fan_groups.GROUPS.c.fans + 1)):
        with store.write() as conn:
            conn.execute(damage)
        with store.read() as conn:
            assert link_reports.fan_totals(conn, REF, wanted) == before


@pytest.mark.parametrize("sort", ["-revenue_net", "converted_at"])
def test_a_page_of_many_fans_costs_what_one_of_few_does(sqlite_store: Store, sort: str) -> None:
    """By what SQLite has to do: the index of the order is not walked beyond the page."""
    dice = random.Random(2)
    steps = []
    with sqlite_store.write() as conn:
        account = testing.make_account(conn, testing.make_team(conn).id).id
    for ref, fans in ((REF, 200), (REF[:-1] + "B", 2_000)):
        put(sqlite_store, account, {(ref, n): fan(dice, n) for n in range(fans)}, list(range(fans)))
        with sqlite_store.read() as conn:
            driver: Any = conn.connection.driver_connection
            ticks = itertools.count()
            driver.set_progress_handler(lambda ticks=ticks: next(ticks) and 0, 20)
            page = link_reports.fans(conn, ref, FanFilter(), sort=sort, limit=10, offset=0, found=fans)
            driver.set_progress_handler(None, 0)
        assert len(page) == 10
        steps.append(next(ticks))
    assert 0 < steps[1] < 1.5 * steps[0]
