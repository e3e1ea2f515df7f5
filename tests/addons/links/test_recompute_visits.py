"""Which of a visitor's clicks a subscription is credited to, on both databases."""

from __future__ import annotations

import pytest

from ofapi_store.queries import conversions, link_reports
from ofapi_store.queries.fan_groups import FanFilter
from tests.addons.links.test_recompute import REAL, Case


@pytest.fixture
def case(store) -> Case:
    return Case(store)


@pytest.mark.parametrize(
    ("clicked", "credited"),
    [
        ([(0, "a", "fbclid=F"), (2, "a", "")], 0),  # came again by hand: the ad's click is not lost
        ([(0, "a", "fbclid=F"), (2, "a", "fbclid=G")], 0),
        ([(0, "a", "utm_source=x"), (2, "a", "external_click_id=E"), (3, "a", "")], 1),
        ([(0, "a", ""), (2, "b", ""), (3, "a", "")], 0),  # a shared link: `a` was the last to come, `b` is another
        ([(0, "a", ""), (1, "a", ""), (2, "b", "")], 2),
        ([(0, "a", "ttclid=T"), (2, "next-day", "")], 0),  # over midnight
    ],
)
def test_a_visitor_who_came_again_is_credited_once(case, clicked, credited) -> None:
    """The first click of the visit stands for it, unless only a later one brought click ids; duplicates are none of others."""
    ids = [
        case.click(minutes, who, query=query, yesterday="a" if who == "next-day" else f"{who}-old")
        for minutes, who, query in clicked
    ]
    case.claim(REAL[2], 1, 5, None)
    case.work()
    with case.opened.read() as conn:
        (fan,) = link_reports.fans(conn, case.smart, FanFilter(), sort="converted_at", limit=9, offset=0)
        unique = conversions.by_day(conn, conversions.Filter(case.smart, duplicates=False))
    is_first = clicked[credited][1] not in [who for _, who, _ in clicked[:credited]]
    assert (fan.click_id, len(unique)) == (ids[credited], is_first)
