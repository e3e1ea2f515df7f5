from __future__ import annotations

import time
from itertools import pairwise

import pytest

from scripts.simulator import Options, World
from scripts.simulator.generate import money
from tests.simulator.conftest import NOW, SIZES


def test_same_seed_same_world() -> None:
    """Equal options give an equal world, another seed another one."""
    assert World(Options(now=NOW, **SIZES)).digest() == World(Options(now=NOW, **SIZES)).digest()
    assert World(Options(now=NOW, **SIZES)).digest() != World(Options(seed=8, now=NOW, **SIZES)).digest()


def test_default_world_is_generated_fast_and_in_full() -> None:
    """The default world has the sizes that its options name, within two seconds of CPU time."""
    started = time.process_time()
    world = World(Options(now=NOW))
    assert time.process_time() - started < 2
    for who in world.creators:
        assert sum(not fan.deleted for fan in who.fans.values()) == 500
        assert (len(who.chats), len(who.messages), len(who.transactions)) == (200, 20_000, 5_000)
        assert (len(who.link_list("campaign")), len(who.link_list("trial"))) == (40, 20)


def test_creators_have_different_worlds() -> None:
    """No fan, message or login of one creator is the other's."""
    one, two = World(Options(now=NOW, **SIZES)).creators
    assert not one.fans.keys() & two.fans.keys()
    assert not one.messages.keys() & two.messages.keys()
    assert (one.sess, one.user_agent, one.xbc) != (two.sess, two.user_agent, two.xbc)


def test_every_form_of_description_occurs() -> None:
    """Each form of the ledger's descriptions is there, and each transaction has its own second."""
    who = World(Options(now=NOW)).creators[0]
    texts = {row.description.split(" <a ")[0] for row in who.transactions}
    assert texts == {form[2] for form in money.FORMS} | {"Subscription from", "Recurring subscription from"}
    assert len({row.created for row in who.transactions}) == len(who.transactions)
    assert any(row.chargeback_at for row in who.transactions)


@pytest.mark.parametrize("cents", [False, True])
def test_net_and_fee_add_up(cents: bool) -> None:
    """Net plus fee is the amount; by default every fee is a whole number of dollars."""
    who = World(Options(now=NOW, cents=cents, **SIZES)).creators[0]
    assert all(row.net_cents + row.fee_cents == row.amount_cents for row in who.transactions)
    assert cents or all(row.fee_cents % 100 == 0 for row in who.transactions)


def test_histories_have_the_hard_cases() -> None:
    """Trials, renewals, gaps, links claimed while subscribed, fans who came twice, and claimers who deleted their account."""
    who = World(Options(now=NOW)).creators[0]
    spans = [fan.spans for fan in who.fans.values()]
    pairs = [(a, b) for rows in spans for a, b in pairwise(rows)]
    assert any(b.start == a.end and b.action == "prolong" for a, b in pairs)
    assert any(b.start > a.end for a, b in pairs)
    assert any(b.start < a.end and b.via for a, b in pairs)
    assert any(who.fans[claim.fan_id].deleted for link in who.links.values() for claim in link.claims)
