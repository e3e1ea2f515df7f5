"""The queue of media files to fetch, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ofapi_store.engine import Store
from ofapi_store.queries import media
from ofapi_store.queries.media import Seen

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FRESH = timedelta(seconds=60)


def seen(number: int, url: str = "token", ends: datetime | None = None) -> Seen:
    return Seen(f"{number:032x}", f"host /{number}", url, ends, "acct_1")


def put(store: Store, *rows: Seen, now: datetime = NOW) -> None:
    with store.write() as conn:
        media.enqueue(conn, rows, now)


def lease(store: Store, worker: str = "w", limit: int = 10, now: datetime = NOW) -> list[media.Fill]:
    with store.write() as conn:
        return media.lease(conn, worker, limit, now, 60)


def test_each_row_goes_to_one_worker(store: Store) -> None:
    """Leased rows are nobody else's until the lease runs out; then they are taken over, and the attempt counts."""
    put(store, *(seen(i) for i in range(5)))
    one, two = lease(store, "a", 3), lease(store, "b")
    assert len(one) == 3
    assert len(two) == 2
    assert not {f.id for f in one} & {f.id for f in two}
    assert {f.attempts for f in one + two} == {1}
    assert lease(store, "c") == []
    with store.write() as conn:
        media.extend(conn, "a", [f.id for f in one], NOW + timedelta(seconds=50), 60)
    later = lease(store, "c", now=NOW + timedelta(seconds=61))
    assert {f.id for f in later} == {f.id for f in two}
    assert {f.attempts for f in later} == {2}


def test_a_row_is_queued_once(store: Store) -> None:
    """A second sight brings the newer URL, and does not disturb a worker."""
    put(store, seen(1, "old"))
    assert lease(store)[0].url == "old"
    put(store, seen(1, "new"))
    assert lease(store) == []
    with store.read() as conn:
        assert media.counts(conn) == {"running": 1}
        assert conn.execute(media.FILLS.select()).one().url == "new"


@pytest.mark.parametrize(
    ("ends", "useful"), [(None, False), (NOW + timedelta(hours=1), False), (NOW + timedelta(seconds=5), True)]
)
def test_a_new_url_is_of_use_where_the_old_one_ends(store: Store, ends: datetime | None, useful: bool) -> None:
    """`wanted` says for which files a row must be written."""
    put(store, seen(1, ends=ends))
    with store.read() as conn:
        found = media.wanted(conn, [seen(1).id, seen(2).id], NOW, FRESH)
    assert found == ({seen(1).id, seen(2).id} if useful else {seen(2).id})


def test_waiting_rows_wait(store: Store) -> None:
    """Not before their time, and then only when the file is seen again."""
    put(store, seen(1))
    lease(store)
    with store.write() as conn:
        media.wait(conn, seen(1).id, NOW + timedelta(minutes=1), "403")
    put(store, seen(1, "new"))
    assert lease(store, now=NOW + timedelta(hours=1)) == []
    with store.read() as conn:
        assert media.wanted(conn, [seen(1).id], NOW, FRESH) == set()
        assert media.wanted(conn, [seen(1).id], NOW + timedelta(minutes=2), FRESH) == {seen(1).id}
        assert media.next_due(conn) is None
    later = NOW + timedelta(minutes=2)
    put(store, seen(1, "new"), now=later)
    assert [(f.url, f.attempts) for f in lease(store, now=later)] == [("new", 1)]


def test_refusals_in_a_row_are_counted(store: Store) -> None:
    """Attempts go on from where they were, until the file was fetched or its wait was no refusal's."""
    put(store, seen(1))
    for attempt in (1, 2, 3):
        assert [f.attempts for f in lease(store)] == [attempt]
        with store.write() as conn:
            media.wait(conn, seen(1).id, NOW, "403", count=attempt < 3)
        put(store, seen(1, "new"))
    assert [f.attempts for f in lease(store)] == [1]


def test_retry_release_and_done(store: Store) -> None:
    """A retry is due at its time; a stopping worker gives back without losing an attempt; what is done is gone."""
    put(store, seen(1), seen(2))
    lease(store)
    with store.write() as conn:
        media.retry(conn, seen(1).id, NOW + timedelta(seconds=9), "503")
        media.release(conn, "w", NOW)
        assert media.next_due(conn) == NOW
    assert [(f.id, f.attempts) for f in lease(store)] == [(seen(2).id, 1)]
    with store.write() as conn:
        media.done(conn, [seen(2).id])
        assert media.next_due(conn) == NOW + timedelta(seconds=9)
    assert [f.attempts for f in lease(store, now=NOW + timedelta(seconds=9))] == [2]
    with store.write() as conn:
        media.retry(conn, seen(1).id, NOW, "busy", count=False)
    assert [f.attempts for f in lease(store)] == [2]


def test_old_waiting_rows_are_forgotten(store: Store) -> None:
    """What was not seen again for long goes."""
    put(store, seen(1), seen(2))
    with store.write() as conn:
        media.wait(conn, seen(1).id, NOW, "403")
        assert media.forget_old(conn, NOW + timedelta(days=30)) == 1
        assert media.counts(conn) == {"pending": 1}
