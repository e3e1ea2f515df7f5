"""What a sender holds of one webhook."""

from __future__ import annotations

from datetime import UTC, datetime

from yarl import URL

from addons.webhooks.line import Line, Pacing, Target
from ofapi_store.queries.webhooks_delivery import Leased, Room

TARGET = Target(URL("https://example.com/"), None, datetime(2026, 1, 1, tzinfo=UTC))


def delivery(number: int, lane: str = "a", attempts: int = 0) -> Leased:
    return Leased(number, f"u{number}", "wh", lane, attempts, None, False, "tips.received", None, "evt", "{}")


def line(**pacing: float) -> Line:
    return Line(TARGET, Pacing(**{"after": 2, "first_s": 1, "max_s": 4, **pacing}), 2)  # type: ignore[arg-type]


def count(one: Line, most: int, now: float) -> int:
    room = one.room(most, now)
    return room.count if room is not None else 0


def test_a_lane_is_worked_on_by_one_at_a_time() -> None:
    """What comes for it meanwhile waits its turn."""
    one = line()
    for number, lane in ((1, "a"), (2, "b"), (3, "c"), (4, "a")):
        one.add(delivery(number, lane))
    first, second = one.take_lane(0), one.take_lane(0)
    assert (first, second, one.take_lane(0)) == ("a", "b", None)
    assert one.next("a") == delivery(1)
    one.add(delivery(5, "a"))
    one.give_back("a")
    assert one.take_lane(0) == "c"
    one.give_back("c")
    assert one.take_lane(0) == "a"
    assert [one.next("a"), one.next("a"), one.next("a")] == [delivery(4), delivery(5), None]


def test_failures_slow_down_and_a_success_speeds_up() -> None:
    """One try at a time, gaps that double up to the longest."""
    one = line()
    gaps = []
    for n in range(5):
        one.heard(ok=False, now=100.0 * n, retry_after_s=None)
        gaps.append(max(0.0, one.held_until - 100.0 * n))
    assert gaps == [0, 1, 2, 4, 4]
    assert one.suspect
    assert count(one, 200, 400) == 0
    assert count(one, 200, 405) == 1
    one.add(delivery(1))
    assert one.take_lane(401) is None
    one.heard(ok=True, now=401, retry_after_s=None)
    assert not one.suspect
    assert one.take_lane(401) == "a"


def test_retry_after_holds_the_endpoint_for_a_minute_at_most() -> None:
    """The delivery itself waits as long as asked."""
    one = line()
    one.heard(ok=False, now=0, retry_after_s=30)
    assert one.held_until == 30
    one.heard(ok=False, now=0, retry_after_s=5000)
    assert one.held_until == 60


def test_room_is_asked_for_in_portions() -> None:
    """Memory is bounded by the window, leases are few."""
    one = line()
    assert count(one, 4, 0) == 4
    for number in range(4):
        one.add(delivery(number))
    assert count(one, 4, 0) == 0
    one.held -= {0, 1}
    assert count(one, 4, 0) == 2


def test_how_much_is_held_follows_how_fast_it_goes() -> None:
    """Doubled while portions go within a second, halved when one takes longer than four, within bounds."""
    one = line()
    quick = [count(one, 100, now / 10) for now in range(4)]
    slow = [count(one, 100, 10.0 * now) for now in range(1, 5)]
    assert (quick, slow) == ([32, 64, 100, 100], [50, 25, 16, 16])


def test_lanes_of_which_nothing_is_held_are_looked_for_now_and_then() -> None:
    """Although much is held of others; `most` bounds all of it."""
    one = line()
    assert one.room(20, 1) == Room(16)
    one.fill([delivery(number) for number in range(16)])
    assert one.room(20, 1.4) is None
    assert one.room(20, 1.5) == Room(4, frozenset({"a"}), after_fresh="a", fresh_first=True)
    assert one.room(20, 1.9) is None
    one.fill([delivery(number, "b") for number in range(16, 20)])
    assert one.room(20, 2.1) is None
    assert one.others_wait
    assert (one.take_lane(3), one.take_lane(3), one.others_wait) == ("a", "b", False)


def test_the_next_lease_goes_on_after_the_lane_that_came_last_to_its_turn() -> None:
    """Not after the one that gave the last delivery; new ones and retries each have their turns."""
    one = line()
    one.fill([delivery(1, "c", 1), delivery(2, "a"), delivery(3, "b"), delivery(4, "a")])
    one.held.clear()
    assert one.room(20, 1) == Room(16, after_fresh="b", after_retry="c")


def test_a_dropped_queue_is_counted_out() -> None:
    """What is under way stays."""
    one = line()
    for number in range(4):
        one.add(delivery(number, "ab"[number % 2]))
    assert one.take_lane(0) == "a"
    assert one.next("a") == delivery(0)
    assert sorted(one.drop_queue()) == [1, 2, 3]
    assert one.outstanding == 1
    one.give_back("a")
    assert not one.queued
    assert one.take_lane(0) is None
