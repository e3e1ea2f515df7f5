"""Which pool link a visitor gets."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from addons.links.choosing import Chooser
from ofapi_store.queries.pools import PoolRow
from ofapi_store.types import from_micros

HOUR = 3600.0


def row(number: int, *, held: float | None = None, state: str = "ready") -> PoolRow:
    at = None if held is None else from_micros(int(held * 1_000_000))
    return PoolRow(number, "L", number, f"n{number}", f"https://onlyfans.com/x/c{number}", state, None, None, None, at)


def chooser(*rows: PoolRow) -> Chooser:
    made = Chooser(6 * HOUR, HOUR)
    made.update(rows)
    return made


@settings(deadline=None)
@given(st.integers(1, 8), st.lists(st.tuples(st.integers(0, 30), st.floats(0, 2000)), max_size=60))
def test_no_two_recent_visitors_share_while_one_is_free(size, visits):
    """Whatever comes: a link is shared only when every link was taken within the window, and the share says so."""
    pool = chooser(*(row(n) for n in range(1, size + 1)))
    held: dict[int, tuple[str, float]] = {}
    now = 1_000_000.0
    for visitor, pause in visits:
        now += pause
        choice = pool.choose(f"v{visitor}", now)
        owner, at = held.get(choice.id, ("", 0.0))
        taken = at > 0 and now - at < 6 * HOUR and owner != f"v{visitor}"
        if taken:
            assert choice.is_shared
            assert len(held) == size
            assert all(now - at < 6 * HOUR for _, at in held.values())
        held[choice.id] = (f"v{visitor}", now)


def test_a_visitor_comes_back_to_the_same_link():
    """As long as the visitor is remembered, so that a second click does not take a second link."""
    pool = chooser(row(1), row(2))
    first = pool.choose("a", 1_000_000)
    pool.choose("b", 1_000_001)
    again = pool.choose("a", 1_000_002)
    assert (again.id, again.is_shared) == (first.id, False)


def test_robots_take_nothing():
    """A click that holds nothing leaves the next visitor the same link."""
    pool = chooser(row(1), row(2))
    robot = pool.choose("robot", 1_000_000, hold=False)
    assert pool.choose("a", 1_000_001).id == robot.id


def test_stored_holds_count_after_a_restart():
    """The link that was held least recently goes first; those that are not ready never."""
    now = 1_000_000.0
    pool = chooser(row(1, held=now - 60), row(2, held=now - 7 * HOUR), row(3, state="making"))
    assert [(c.id, c.is_shared) for c in (pool.choose("a", now), pool.choose("b", now))] == [(2, False), (1, True)]


def test_a_clock_that_goes_back_frees_nothing():
    """A hold of a moment that has not come yet is a hold."""
    now = 1_000_000.0
    pool = chooser(row(1, held=now + 300), row(2, held=now + 301))
    assert pool.choose("a", now).is_shared


def test_an_empty_pool_has_no_choice():
    """The caller then leads to the profile."""
    assert chooser(row(1, state="making")).choose("a", 1_000_000) is None
