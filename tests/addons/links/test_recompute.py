"""Working fans out anew: in any order of arrival the same rows, and the cents of a naive count."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from ulid import ULID

from addons.config import Config
from addons.links.observed import LinkMarks
from addons.links.recompute import recompute
from addons.links.records import Places
from addons.links.storing import prepare, store
from ofapi_store import testing
from ofapi_store.queries import ingest, link_dirty, link_reports, links, pools, smart_links
from ofapi_store.queries.conversions import CONVERSIONS, DAYS
from ofapi_store.queries.fan_groups import GROUPS, FanFilter
from ofapi_store.queries.link_revenue import COHORTS, FAN_DAYS, FANS, TOTALS
from ofapi_store.queries.link_revenue import DAYS as LINK_DAYS
from tests.addons.links.test_storing import record

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
WINDOW = timedelta(hours=6)
CONFIG = Config.build({}).links
PLACES = Places(CONFIG)
REAL = [("tracking", 1), ("tracking", 2), ("trial", 3)]  # the last one is in a pool


class Case:
    """One account (a new one, unless given) with two plain links and a smart link over the third."""

    def __init__(self, opened, account=None) -> None:
        self.opened = opened
        self.smart = str(ULID())
        with opened.write() as conn:
            account = account or testing.make_account(conn, testing.make_team(conn).id)
            self.account = account.id
            row = smart_links.SmartRow(
                self.smart, account.team_id, account.id, "S", "free_trial", 7, "active", None, T0, T0, "", None
            )
            smart_links.create(conn, row)
            pools.add(conn, self.smart, ["p"], now=T0)
            self.pks = {key: links.ensure(conn, account.id, *key, now=T0) for key in REAL}
            self.pool = pools.of_smart(conn, self.smart)[0].id
            pools.made(conn, self.pool, link_pk=self.pks[REAL[2]], url="u")

    def see(self, table: str, row: dict, when: datetime = T0) -> None:
        """As a sync would: stored, marked."""

        class Found:
            pass

        found = Found()
        found.table, found.rows = table, [row]
        found.sight = type("Sight", (), {"account_id": self.account, "at": when.timestamp()})
        with self.opened.write() as conn:
            result = ingest.observe(conn, table, self.account, [row], observed_at=when)
            assert not result.problems
            LinkMarks(lambda: when, 0)(conn, found, result)

    def click(self, minutes: float, visitor: str = "v", **values: str) -> str:
        ulid = str(ULID.from_datetime(T0 + timedelta(minutes=minutes)))
        made = record(self.smart, 0, visitor, id=ulid, pool_id=self.pool, **values)
        with self.opened.write() as conn:
            store(conn, prepare([made], PLACES), CONFIG, T0)
        return made.id

    def claim(self, key: tuple[str, int], fan: int, start: float, end: float | None) -> None:
        row = {"link_id": key[1], "fan_id": fan, "claimed_at": at(start)}
        if end is not None:
            row["ended_at"] = at(end)
        self.see(f"{key[0]}_link_claims", row)

    def pay(self, number: int, fan: int, minutes: float, net: int, *, status: str = "done", tip: bool = False) -> None:
        row = {
            "transaction_id": f"t{number}", "fan_id": fan, "created_at": at(minutes), "amount": net / 80, "net": net / 100,
            "status": status, "type": "tips" if tip else "post",
        }  # fmt: skip
        self.see("transactions", row)

    def work(self) -> None:
        with self.opened.write() as conn:
            while recompute(conn, self.account, limit=2, window=WINDOW, now=T0).left:
                pass

    def rows(self) -> dict:
        """All derived rows, without row ids and sums that came back to nothing."""
        out = {}
        with self.opened.read() as conn:
            for table in (FANS, FAN_DAYS, LINK_DAYS, COHORTS, TOTALS, GROUPS, CONVERSIONS, DAYS):
                columns = [c for c in table.columns if c.name not in ("calculated_at", "id", "account_id")]
                mine = (
                    table.c.account_id == self.account
                    if "account_id" in table.c
                    else table.c.smart_link_id == self.smart
                )
                found = [tuple(row) for row in conn.execute(select(*columns).where(mine))]
                skip = {"ref", "fan_id", "day", "since", "smart_link_id", "type", "is_bot", "is_duplicate"}
                sums = [i for i, c in enumerate(columns) if c.name not in skip]
                out[table.name] = sorted((r for r in found if any(r[i] for i in sums)), key=repr)
        return out

    def totals(self, ref: str):
        with self.opened.read() as conn:
            return link_reports.totals(conn, ref)


def at(minutes: float) -> str:
    return (T0 + timedelta(minutes=minutes)).isoformat()


spans = st.tuples(st.sampled_from(REAL), st.integers(1, 3), st.integers(0, 600), st.none() | st.integers(1, 400))
payments = st.tuples(
    st.integers(1, 3),
    st.integers(0, 800),
    st.integers(1, 40).map(lambda n: n * 4),
    st.sampled_from(["done", "done", "undo"]),
)


def naive(claims, paid) -> Counter:
    """Cent by cent, as cards are dealt."""
    net: Counter = Counter()
    for fan, minute, cents, status in paid:
        held = sorted(
            {
                key
                for key, who, start, end in claims
                if who == fan and start <= minute and (end is None or minute < start + end)
            }
        )
        for cent in range(cents if held and status == "done" else 0):
            net[held[cent % len(held)]] += 1
    return net


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(spans, max_size=5),
    st.lists(payments, max_size=8),
    st.lists(st.integers(-60, 500), max_size=3),
    st.integers(0, 99),
)
def test_any_order_of_arrival_gives_the_same_rows(sqlite_store, claims, paid, clicked, seed) -> None:
    """News in any order, worked out in between or at the end or from nothing: the same rows, the naive count's cents."""
    claims = list({(c[0], c[1], c[2]): c for c in claims}.values())
    first, second = Case(sqlite_store), Case(sqlite_store)
    news = [("claim", c) for c in claims] + [("pay", (n, *p)) for n, p in enumerate(paid)]

    def tell(case: Case, what: str, facts) -> None:
        if what == "claim":
            key, fan, start, end = facts
            case.claim(key, fan, start, None if end is None else start + end)
        else:
            number, fan, minute, net, status = facts
            case.pay(number, fan, minute, net, status=status)

    for n, minute in enumerate(clicked):  # other ids, so only counts of the two cases can be compared
        first.click(minute, f"v{n}")
        second.click(minute, f"v{n}")
    for what, facts in news:
        tell(first, what, facts)
        first.work()
    shuffled = news[:]
    Random(seed).shuffle(shuffled)
    for what, facts in shuffled + shuffled[:2]:  # and some of it twice
        tell(second, what, facts)
    second.work()
    for key, pk in first.pks.items():
        assert first.totals(str(pk)) == second.totals(str(second.pks[key]))
        assert first.totals(str(pk)).net == naive(claims, paid)[key]
    assert first.totals(first.smart) == second.totals(second.smart)
    before = first.rows()
    with sqlite_store.write() as conn:
        link_dirty.mark_all(conn, first.account)
    first.work()
    assert first.rows() == before


@pytest.fixture
def case(store) -> Case:
    return Case(store)


def test_a_subscription_belongs_to_the_click_before_it(case) -> None:
    """Within six hours, by the latest click; without one the fan is the pool link's alone."""
    early, late = case.click(0, "a"), case.click(30, "b")
    case.claim(REAL[2], 1, 40, None)
    case.claim(REAL[2], 2, 30 + 361, None)
    case.work()
    with case.opened.read() as conn:
        fans = link_reports.fans(conn, case.smart, link_reports.FanFilter(), sort="converted_at", limit=9, offset=0)
    assert [(f.fan_id, f.click_id) for f in fans] == [(1, late)]
    assert early != late
    assert case.totals(str(case.pks[REAL[2]])).subs == 2


@pytest.mark.parametrize(
    ("clicked", "credited"),
    [
        ([0, 5.5], 0),  # the next visitor of a shared link came after the subscription
        ([0, 4, 5.01], 2),  # 0.6 s later: within the second that upstream names
        ([0, 5.9], 0),
        ([5.5, 5.9], 0),  # only later ones: clocks differ
        ([6.1], None),
        ([5 - 360], 0),
        ([5 - 360.01], None),
    ],
)
def test_clicks_around_a_subscription(case, clicked, credited) -> None:
    """The latest of the six hours before; else the first of the minute after."""
    ids = [case.click(minutes, f"v{n}") for n, minutes in enumerate(clicked)]
    case.claim(REAL[2], 1, 5, None)
    case.work()
    with case.opened.read() as conn:
        fans = link_reports.fans(conn, case.smart, FanFilter(), sort="converted_at", limit=9, offset=0)
    assert [fan.click_id for fan in fans] == ([] if credited is None else [ids[credited]])


def test_a_claim_that_is_seen_before_its_click_is_stored(case) -> None:
    """The click marks the fan again, so that nothing is lost to the order in which two processes write."""
    case.claim(REAL[2], 1, 10, None)
    case.work()
    assert case.totals(case.smart).subs == 0
    case.click(5)
    case.work()
    assert case.totals(case.smart).subs == 1


def test_a_click_is_decided_once(case) -> None:
    """A later look, a pruned click, a clock that went back: the fan stays with the first decision."""
    first = case.click(0)
    case.claim(REAL[2], 1, 5, None)
    case.work()
    case.click(4.5, "other")  # stored late, for the clock went back
    case.pay(1, 1, 6, 400)
    case.work()
    with case.opened.read() as conn:
        (fan,) = link_reports.fans(conn, case.smart, link_reports.FanFilter(), sort="converted_at", limit=9, offset=0)
    assert (fan.click_id, fan.net_all) == (first, 400)


def test_who_had_subscribed_before_is_known_when_the_fan_is(case) -> None:
    """The filter follows what is observed later, and only that marks the fan again: a minute or less is the claim's own."""
    case.click(0)
    for fan in (1, 2):
        case.claim(REAL[2], fan, 60, None)
    case.work()

    def before() -> list[int]:
        case.work()
        wanted = FanFilter(previously=True)
        with case.opened.read() as conn:
            found = link_reports.fan_totals(conn, case.smart, wanted).subs
            rows = link_reports.fans(conn, case.smart, wanted, sort="converted_at", limit=9, offset=0, found=found)
        return [row.fan_id for row in rows]

    def marked() -> int:
        with case.opened.read() as conn:
            return link_dirty.count(conn, case.account)

    assert before() == []
    case.see("fans", {"fan_id": 1, "subscribed_at": at(59)})
    case.see("fans", {"fan_id": 2, "username": "someone"})
    assert marked() == 0
    case.see("fans", {"fan_id": 1, "subscribed_at": at(58)})
    assert (marked(), before()) == (1, [1])
    case.see("fans", {"fan_id": 1, "subscribed_at": at(57)})
    assert marked() == 0
    case.see("fans", {"fan_id": 1, "subscribed_at": at(60)})
    assert (marked(), before()) == (1, [])


def test_a_refund_takes_conversion_and_revenue_back(case) -> None:
    """The fact stays, its amount is gone; a chargeback shows as such; the days follow."""
    case.click(0)
    case.claim(REAL[2], 1, 5, None)
    case.pay(1, 1, 6, 800)
    case.pay(2, 1, 7, 400, tip=True)
    case.work()
    assert (case.totals(case.smart).net, case.totals(case.smart).tips_net) == (1200, 400)
    case.pay(1, 1, 6, 800, status="undo")
    case.see(
        "chargebacks",
        {"chargeback_id": "c1", "transaction_id": "t2", "fan_id": 1, "created_at": at(60), "amount": 5, "net": 4},
    )
    case.work()
    total = case.totals(case.smart)
    assert (total.net, total.tips_net, total.chargebacks, total.spenders, total.subs) == (0, 0, 400, 0, 1)
    with case.opened.read() as conn:
        paid = conn.execute(
            select(CONVERSIONS.c.fact, CONVERSIONS.c.net).where(CONVERSIONS.c.type == "new_transaction")
        )
        assert sorted(tuple(row) for row in paid) == [("t1", 0), ("t2", 0)]
        assert sum(row.net for row in conn.execute(select(DAYS.c.net))) == 0
        assert sum(day.net for day in link_reports.days(conn, case.smart)) == 0


@pytest.mark.parametrize("first", ["payment", "chargeback"])
def test_a_chargeback_may_not_say_whose_payment_it_was(case, first) -> None:
    """The payment knows, whichever of both is seen first: the account may be deleted by then."""
    back = {"chargeback_id": "c1", "transaction_id": "t1", "created_at": at(60), "amount": 5, "net": 4}
    case.claim(REAL[0], 1, 5, None)
    if first == "chargeback":
        case.see("chargebacks", back)
    case.pay(1, 1, 6, 400)
    case.work()
    if first == "payment":
        case.see("chargebacks", back)
    case.work()
    total = case.totals(str(case.pks[REAL[0]]))
    assert (total.net, total.chargebacks, total.spenders) == (0, 400, 0)


def test_money_on_its_way_back_earns_nothing(case) -> None:
    """`pending_return` is a refund that is about to be; should it not come to that, the money counts again."""
    case.claim(REAL[0], 1, 5, None)
    for status, net in (("done", 400), ("pending_return", 0), ("done", 400), ("undo", 0)):
        case.pay(1, 1, 6, 400, status=status)
        case.work()
        assert case.totals(str(case.pks[REAL[0]])).net == net


def test_what_is_seen_again_costs_nothing(case) -> None:
    """A list that passes by a second time marks no fan."""
    case.claim(REAL[0], 1, 5, 60)
    case.pay(1, 1, 6, 400)
    case.work()
    case.claim(REAL[0], 1, 5, 60)
    case.pay(1, 1, 6, 400)
    with case.opened.read() as conn:
        assert link_dirty.count(conn, case.account) == 0


def test_conversions_are_told_in_the_order_they_happened(case) -> None:
    """What is found out at once is numbered, and sent on, by time; subscribing comes first."""
    case.click(0)
    case.claim(REAL[2], 1, 5, None)
    case.pay(1, 1, 5, 400)
    case.see("messages", {"message_id": 1, "fan_id": 1, "from_fan": True, "created_at": at(5)})
    case.see("messages", {"message_id": 2, "fan_id": 1, "from_fan": True, "created_at": at(9)})
    case.pay(2, 1, 8, 400)
    with case.opened.write() as conn:
        found = recompute(conn, case.account, limit=9, window=WINDOW, now=T0).conversions
    assert [row.type for row in found] == [
        "new_subscriber", "new_transaction", "message_received", "fan_sent_1_message", "new_transaction", "message_received"
    ]  # fmt: skip
    assert [row.id for row in found] == sorted(row.id for row in found)


def test_claimers_that_come_twice_count_once(case) -> None:
    """The same claim seen again, and a second period through the same link, are one fan; the earlier is the start."""
    case.click(0)
    for _ in range(2):
        case.claim(REAL[2], 1, 5, 60)
    case.claim(REAL[2], 1, 60, 120)
    case.pay(1, 1, 90, 400)
    case.work()
    assert (case.totals(case.smart).subs, case.totals(case.smart).net) == (1, 400)


def test_a_fan_who_deleted_the_account_keeps_what_was_paid(case) -> None:
    """No row of `fans`, no user name: the money stays with the link."""
    case.click(0)
    case.claim(REAL[2], 77, 5, None)
    case.pay(1, 77, 6, 800)
    case.work()
    with case.opened.read() as conn:
        (row,) = link_reports.spenders(conn, case.smart, at_least=100, limit=9, offset=0)
    assert (row.fan_id, row.net_all) == (77, 800)
