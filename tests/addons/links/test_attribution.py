"""Attribution against a second, naive implementation that counts cent by cent."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from addons.links.attribution import Claim, Payment, attribute_fan, shares_of, split, total

T0 = datetime(2026, 1, 1, tzinfo=UTC)
LINKS = [("tracking", "1"), ("tracking", "2"), ("trial", "7")]


def at(hours: float) -> datetime:
    return T0 + timedelta(hours=hours)


hours = st.integers(0, 400)
claims = st.lists(
    st.builds(
        lambda link, start, length: Claim(link, at(start), None if length is None else at(start + length)),
        st.sampled_from(LINKS),
        hours,
        st.none() | st.integers(0, 200),
    ),
    max_size=8,
)
payments = st.lists(
    st.builds(
        lambda n, h, net, fee, outcome, tip: Payment(f"t{n}", at(h), net, net + fee, outcome, tip),
        st.integers(0, 30),
        hours,
        st.integers(0, 2_000),
        st.integers(0, 500),
        st.sampled_from(["earned", "earned", "refunded", "charged_back"]),
        st.booleans(),
    ),
    max_size=25,
)


def naive(claims, payments):
    """Deals each payment out cent by cent, like cards, to the links held at that second."""
    net, lost = Counter(), Counter()
    last = {}
    for payment in payments:
        last[payment.id] = payment
    for payment in last.values():
        held = []
        for claim in claims:
            inside = payment.at >= claim.claimed_at and not (
                claim.ended_at is not None and payment.at >= claim.ended_at
            )
            if inside and claim.link not in held:
                held.append(claim.link)
        held.sort()
        for cent in range(payment.net if held else 0):
            link = held[cent % len(held)]
            if payment.outcome == "earned":
                net[link] += 1
            elif payment.outcome == "charged_back":
                lost[link] += 1
    return net, lost


@given(claims, payments)
def test_every_cent_agrees_with_the_naive_count(claims, payments):
    """Renewals, gaps, stacked links, refunds and chargebacks give the same cents as dealing them one by one."""
    got = attribute_fan(claims, payments)
    net, lost = naive(claims, payments)
    assert set(got) == {c.link for c in claims}
    for link, earnings in got.items():
        assert earnings.net == net[link]
        assert earnings.chargebacks == lost[link]


@given(claims, payments, st.randoms(use_true_random=False))
def test_order_of_arrival_does_not_matter(claims, payments, random):
    """Transactions that arrive out of order, or claims seen twice, change nothing."""
    unique = list({p.id: p for p in payments}.values())
    before = attribute_fan(claims, unique)
    shuffled, doubled = unique[:], [*claims, *claims]
    random.shuffle(shuffled)
    random.shuffle(doubled)
    after = attribute_fan(doubled, shuffled)
    assert {k: (v.net, v.gross, v.tips_net, v.chargebacks, v.since) for k, v in before.items()} == {
        k: (v.net, v.gross, v.tips_net, v.chargebacks, v.since) for k, v in after.items()
    }


@given(st.integers(-10_000, 10_000), st.integers(1, 9))
def test_a_split_adds_up_and_is_fair(cents, parts):
    """Shares add up to the sum and differ by at most one cent."""
    shares = split(cents, parts)
    assert sum(shares) == cents
    assert max(shares) - min(shares) <= 1


def test_a_payment_is_split_equally_among_the_links_held_at_that_moment():
    """Three links at once get a third each; the odd cent goes to the smallest key; none outside its span."""
    claims = [Claim(link, at(0), at(10)) for link in LINKS]
    assert [s.net for s in shares_of(Payment("a", at(5), 100, 125), claims)] == [34, 33, 33]
    assert shares_of(Payment("b", at(10), 100, 125), claims) == []  # the end of a span is outside of it


def test_totals_count_a_spender_only_where_money_is_left():
    """A fan whose only payment was charged back is a subscriber, not a spender, and shows as a chargeback."""
    claims = [Claim(LINKS[0], at(0))]
    paid = attribute_fan(claims, [Payment("a", at(1), 500, 625)])
    lost = attribute_fan(claims, [Payment("b", at(1), 800, 1000, "charged_back")])
    sums = total([paid, lost])[LINKS[0]]
    assert (sums.subscribers, sums.spenders, sums.net, sums.chargebacks) == (2, 1, 500, 800)
