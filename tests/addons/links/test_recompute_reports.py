"""Every figure of the reports against a count of single payments, clicks and messages, on generated histories."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ofapi_store.queries import conversions, fan_groups, link_reports
from ofapi_store.queries.fan_groups import FanFilter
from tests.addons.links.test_recompute import REAL, T0, Case, at

DAY = 86_400
HOURS = {"48h": 48, "7d": 7 * 24, "14d": 14 * 24, "30d": 30 * 24, "all": None}
POOL = REAL[2]


@dataclass(frozen=True)
class Paid:
    """A payment; minutes since T0."""

    number: int
    fan: int
    minute: int
    net: int
    status: str
    back: bool
    tip: bool


@dataclass(frozen=True)
class World:
    """Claims are (link, fan, start, end or None), messages (fan, minute)."""

    claims: list[tuple[tuple[str, int], int, int, int | None]]
    paid: list[Paid]
    clicks: list[int]
    messages: list[tuple[int, int]]


def when(minute: float) -> datetime:
    return T0 + timedelta(minutes=minute)


def day(minute: float) -> int:
    return int(when(minute).timestamp() // DAY)


claims = st.tuples(st.sampled_from(REAL), st.integers(1, 3), st.integers(0, 4000), st.none() | st.integers(0, 50_000))
payments = st.tuples(
    st.integers(1, 3),
    st.integers(0, 60_000) | st.sampled_from([2880, 10_080, 20_160, 43_200]),  # where windows end
    st.integers(-60, 400),
    st.sampled_from(["done", "loading", "undo", "pending_return", None]),
    st.sampled_from([False, False, True]),
    st.booleans(),
)
worlds = st.builds(
    lambda held, paid, clicks, messages: World(
        [(link, fan, start, None if length is None else start + length) for link, fan, start, length in held],
        [Paid(n, *one) for n, one in enumerate(paid)],
        clicks,
        messages,
    ),
    st.lists(claims, max_size=5, unique_by=lambda c: c[:3]),
    st.lists(payments, max_size=8),
    st.lists(st.integers(-400, 4000), max_size=3, unique=True),
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 5000)), max_size=6),
)


class Count:
    """The same figures, one payment after the other. Refs are `real:<n>` and `smart`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.since: dict[tuple[str, int], int] = {}
        self.spent: dict[tuple[str, int], list[tuple[Paid, int, int]]] = defaultdict(list)
        self.lost: Counter[tuple[str, int]] = Counter()
        self.bought: Counter[int] = Counter()
        for link, fan, start, _ in world.claims:
            key = (f"real:{link[1]}", fan)
            self.since[key] = min(start, self.since.get(key, start))
        for fan in (1, 2, 3):
            starts = sorted(start for link, who, start, _ in world.claims if who == fan and link == POOL)
            for start in [one for one in starts if self.clicked(one)][:1]:
                self.since["smart", fan] = start
        for one in world.paid:
            self.deal(one)

    def clicked(self, start: int) -> bool:
        """A click within six hours before, or in the minute after."""
        return any(start - 360 <= click < start + 1 for click in self.world.clicks)

    def deal(self, one: Paid) -> None:
        held = sorted(
            {
                link
                for link, fan, start, end in self.world.claims
                if fan == one.fan and start <= one.minute and (end is None or one.minute < end)
            },
            key=lambda link: (link[0], str(link[1])),
        )
        gross = one.net + 20
        for n, link in enumerate(held):
            net, whole = (part(cents, len(held), n) for cents in (one.net, gross))
            refs = [f"real:{link[1]}"]
            if link == POOL and ("smart", one.fan) in self.since and one.minute >= self.since["smart", one.fan]:
                refs.append("smart")
            if refs[-1] == "smart":
                self.bought[one.fan] += 1
            for ref in refs:
                if one.back:
                    self.lost[ref, one.fan] += net
                elif one.status not in ("undo", "pending_return"):
                    self.spent[ref, one.fan].append((one, net, whole))

    def fans(self, ref: str) -> list[int]:
        return [fan for name, fan in self.since if name == ref]

    def net(self, ref: str, fan: int) -> int:
        return sum(net for _, net, _ in self.spent[ref, fan])

    def messages(self, fan: int) -> list[int]:
        return sorted(m for who, m in self.world.messages if who == fan and m >= self.since["smart", fan])


def part(cents: int, parts: int, n: int) -> int:
    """The n-th share when cents are dealt like cards."""
    dealt = [0] * parts
    for cent in range(abs(cents)):
        dealt[cent % parts] += 1
    return dealt[n] if cents >= 0 else -dealt[n]


def tell(case: Case, world: World, seed: int) -> None:
    """The news in any order, worked out now and then."""
    for n, minute in enumerate(world.clicks):
        case.click(minute, f"v{n}")
    news: list[tuple[str, dict[str, Any]]] = []
    for link, fan, start, end in world.claims:
        row = {"link_id": link[1], "fan_id": fan, "claimed_at": at(start)} | (
            {} if end is None else {"ended_at": at(end)}
        )
        news.append((f"{link[0]}_link_claims", row))
    for one in world.paid:
        row = {"transaction_id": f"t{one.number}", "fan_id": one.fan, "created_at": at(one.minute)}
        row |= {
            "amount": (one.net + 20) / 100,
            "net": one.net / 100,
            "status": one.status,
            "type": "tips" if one.tip else "post",
        }
        news.append(("transactions", row))
        if one.back:
            back = {"chargeback_id": f"c{one.number}", "transaction_id": f"t{one.number}", "created_at": at(one.minute)}
            news.append(("chargebacks", back | {"amount": 1, "net": 1}))
    for n, (fan, minute) in enumerate(world.messages):
        news.append(("messages", {"message_id": n + 1, "fan_id": fan, "from_fan": True, "created_at": at(minute)}))
    random = Random(seed)
    random.shuffle(news)
    for table, row in news:
        case.see(table, row)
        if random.random() < 0.2:
            case.work()
    case.work()


def total(values: Iterable[int]) -> int:
    return sum(values, 0)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(worlds, st.integers(0, 99))
def test_reports_agree_with_single_payments(sqlite_store, world: World, seed: int) -> None:
    """Totals, days, cohorts, fans and their sums of each link, smart or not, to the cent."""
    case, count = Case(sqlite_store), Count(world)
    tell(case, world, seed)
    refs = {f"real:{key[1]}": str(pk) for key, pk in case.pks.items()} | {"smart": case.smart}
    with sqlite_store.read() as conn:
        for name, ref in refs.items():
            check_totals(conn, ref, count, name)
            check_days(conn, ref, count, name)
            check_cohorts(conn, ref, count, name)
        check_filters(conn, case.smart, count)
        check_conversions(conn, case.smart, count)


def check_totals(conn, ref: str, count: Count, name: str) -> None:
    fans = count.fans(name)
    got = link_reports.totals(conn, ref)
    assert got.subs == len(fans)
    assert got.net == total(count.net(name, fan) for fan in fans)
    assert got.spenders == sum(count.net(name, fan) > 0 for fan in fans)
    assert got.tips_net == total(net for fan in fans for one, net, _ in count.spent[name, fan] if one.tip)
    if name != "smart":
        assert got.chargebacks == total(count.lost[name, fan] for fan in fans)
    shown = link_reports.spenders(conn, ref, at_least=1, limit=99, offset=0)
    assert {row.fan_id: row.net_all for row in shown} == {f: n for f in fans if (n := count.net(name, f)) > 0}


def check_days(conn, ref: str, count: Count, name: str) -> None:
    got = link_reports.days(conn, ref)
    net, subs = Counter[int](), Counter[int]()
    for fan in count.fans(name):
        subs[day(count.since[name, fan])] += 1
        for one, cents, _ in count.spent[name, fan]:
            net[day(one.minute)] += cents
    assert {row.day: row.net for row in got if row.net} == {d: n for d, n in net.items() if n}
    assert {row.day: row.subs for row in got if row.subs} == dict(subs)
    assert sum(row.spenders for row in got) == link_reports.totals(conn, ref).spenders


def check_cohorts(conn, ref: str, count: Count, name: str) -> None:
    for first, last in ((None, None), (day(0), day(0)), (day(1440), None), (None, day(0) - 1)):
        fans = [f for f in count.fans(name) if (first or 0) <= day(count.since[name, f]) <= (last or 10**6)]
        subs, sums = link_reports.cohort(conn, ref, first, last)
        assert subs == len(fans)
        for column, hours in HOURS.items():
            within = [
                (net, gross)
                for fan in fans
                for one, net, gross in count.spent[name, fan]
                if hours is None or one.minute - count.since[name, fan] < hours * 60
            ]
            assert sums[f"net_{column}"] == total(net for net, _ in within)
            assert sums[f"gross_{column}"] == total(gross for _, gross in within)


def check_filters(conn, smart: str, count: Count) -> None:
    fans = count.fans("smart")
    facts = {
        fan: (
            count.net("smart", fan),
            total(net for one, net, _ in count.spent["smart", fan] if one.tip),
            len(count.messages(fan)),
        )
        for fan in fans
    }
    for wanted in (FanFilter(), FanFilter(net=1), FanFilter(net=137), FanFilter(tips=0), FanFilter(has_messages=True),
                   FanFilter(has_messages=False), FanFilter(messages=2), FanFilter(net=-20, tips=1, messages=1)):  # fmt: skip
        fit = [
            fan
            for fan, (net, tips, sent) in facts.items()
            if (wanted.net is None or net >= wanted.net)
            and (wanted.tips is None or tips >= wanted.tips)
            and (wanted.messages is None or sent >= wanted.messages)
            and (wanted.has_messages is None or (sent > 0) == wanted.has_messages)
        ]
        got = link_reports.fan_totals(conn, smart, wanted)
        assert (got.subs, got.net) == (len(fit), total(facts[f][0] for f in fit))
        assert (got.fans_1, got.fans_3) == tuple(sum(facts[f][2] >= n for f in fit) for n in (1, 3))
        whole = fan_groups.of_rows(conn, smart, wanted)
        assert (whole.fans, whole.net, whole.tips_net) == (len(fit), got.net, total(facts[f][1] for f in fit))


def check_conversions(conn, smart: str, count: Count) -> None:
    """Of each fan one subscription, each payment (also one that went back) and message, the first and third message."""
    expected: Counter[str] = Counter()
    for fan in count.fans("smart"):
        sent = len(count.messages(fan))
        expected["new_subscriber"] += 1
        expected["new_transaction"] += count.bought[fan]
        expected["message_received"] += sent
        expected["fan_sent_1_message"] += sent >= 1
        expected["fan_sent_3_messages"] += sent >= 3
    for kind, n in expected.items():
        rows = conversions.by_day(conn, conversions.Filter(smart, type=kind))
        assert sum(row.count for row in rows) == n
    paid = conversions.by_day(conn, conversions.Filter(smart, type="new_transaction"))
    assert total(row.net for row in paid) == total(count.net("smart", fan) for fan in count.fans("smart"))


@pytest.mark.parametrize("first", [100, -100])
def test_who_got_more_back_than_was_paid_is_no_spender(sqlite_store, first: int) -> None:
    """Corrections may be negative: the spenders of all days are those of the total."""
    case = Case(sqlite_store)
    case.claim(REAL[0], 1, 0, None)
    case.pay(1, 1, 10, first)
    case.pay(2, 1, 2000, -first)
    case.pay(3, 1, 4000, -4)
    case.work()
    with sqlite_store.read() as conn:
        ref = str(case.pks[REAL[0]])
        assert (link_reports.totals(conn, ref).net, link_reports.totals(conn, ref).spenders) == (-4, 0)
        assert sum(row.spenders for row in link_reports.days(conn, ref)) == 0


def test_days_are_those_of_utc(sqlite_store) -> None:
    """A payment at the last second of a day is that day's, one a second later the next day's."""
    case = Case(sqlite_store)
    case.claim(REAL[0], 1, 0, None)
    midnight = (datetime(2026, 3, 2, tzinfo=UTC) - T0).total_seconds() / 60
    case.pay(1, 1, midnight - 1 / 60, 100)
    case.pay(2, 1, midnight, 40)
    case.work()
    with sqlite_store.read() as conn:
        rows = link_reports.days(conn, str(case.pks[REAL[0]]))
    assert [row.net for row in rows] == [100, 40]
