"""Credits: balance and ledger always agree, whatever happens at once."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import case, func, select

from ofapi_store.engine import Store
from ofapi_store.errors import BadValue, InsufficientCredits
from ofapi_store.queries import credits
from ofapi_store.queries.credits import ENTRIES, Debit, Usage
from ofapi_store.queries.teams import TeamRow

NOW = datetime(2025, 1, 1, 12, 0, 30, tzinfo=UTC)


def _ledger(store: Store, team_id: str) -> int:
    """What the balance must be by the ledger."""
    signed = case((ENTRIES.c.kind == "debit", -ENTRIES.c.credits), else_=ENTRIES.c.credits)
    with store.read() as conn:
        return int(conn.execute(select(func.sum(signed)).where(ENTRIES.c.team_id == team_id)).scalar() or 0)


def _balance(store: Store, team_id: str) -> int:
    with store.read() as conn:
        return credits.balance(conn, team_id)


def test_debits_of_a_minute_are_one_row(store: Store, team: TeamRow) -> None:
    """Batches add up by minute, account and endpoint; the balance goes down with them."""
    for _ in range(3):
        with store.write() as conn:
            left = credits.charge(
                conn,
                [
                    Debit(team.id, 1, "chats", "acct_a", at=NOW),
                    Debit(team.id, 1, "chats", "acct_a", at=NOW + timedelta(seconds=29)),
                    Debit(team.id, 0, "whoami", at=NOW),
                ],
            )
    assert left == {team.id: 994}
    assert _balance(store, team.id) == _ledger(store, team.id) == 994
    with store.read() as conn:
        day = NOW.replace(hour=0, minute=0, second=0)
        by_endpoint = credits.usage(conn, team.id, day, day + timedelta(days=1), group_by="endpoint")
        by_account = credits.usage(conn, team.id, day, day + timedelta(days=1), group_by="account")
        by_day = credits.usage(conn, team.id, day, day + timedelta(days=1), account_id="acct_a")
        for _ in range(10):  # PostgreSQL plans a statement anew once it was used often
            assert credits.usage(conn, team.id, day, day + timedelta(days=1)) == [Usage("2025-01-01", "request", 6, 9)]
        assert credits.usage(conn, team.id, day + timedelta(days=1), day + timedelta(days=2)) == []
    assert by_endpoint == [Usage("chats", "request", 6, 6), Usage("whoami", "request", 0, 3)]
    assert by_account == [Usage(None, "request", 0, 3), Usage("acct_a", "request", 6, 6)]
    assert by_day == [Usage("2025-01-01", "request", 6, 6)]


def test_reservation_is_settled_once(store: Store, team: TeamRow) -> None:
    """What was not used goes back; more than was reserved is charged; a second settlement does nothing."""
    with store.write() as conn:
        first = credits.reserve(conn, team.id, 100, endpoint="download", now=NOW)
        assert first.balance == 900
        assert credits.settle(conn, first.id, 30, now=NOW) == 970
        assert credits.settle(conn, first.id, 30, now=NOW) is None
        second = credits.reserve(conn, team.id, 10, endpoint="download", now=NOW)
        assert credits.settle(conn, second.id, 15, now=NOW) == 955
    assert _ledger(store, team.id) == 955


def test_too_expensive_takes_nothing(store: Store, team: TeamRow) -> None:
    """The error says what was needed and what is there."""
    with store.write() as conn, pytest.raises(InsufficientCredits, match="1001 credits needed, 1000 left"):
        credits.reserve(conn, team.id, 1001, endpoint="x")
    assert _balance(store, team.id) == 1000


def test_reservation_of_a_crash_goes_back(store: Store, team: TeamRow) -> None:
    """After its time it is released, once."""
    with store.write() as conn:
        credits.reserve(conn, team.id, 100, endpoint="x", ttl=timedelta(minutes=5), now=NOW)
        assert credits.release_expired(conn, now=NOW + timedelta(minutes=4)) == 0
        assert credits.release_expired(conn, now=NOW + timedelta(minutes=6)) == 1
        assert credits.release_expired(conn, now=NOW + timedelta(minutes=6)) == 0
    assert _balance(store, team.id) == 1000


def test_grant_with_a_reference_counts_once(store: Store, team: TeamRow) -> None:
    """A repeated refund of one export adds nothing; grants without reference always add."""
    with store.write() as conn:
        for _ in range(3):
            credits.grant(conn, team.id, 50, kind="adjust", ref="export-1", note="refund", now=NOW)
        credits.grant(conn, team.id, 1, now=NOW)
        assert credits.grant(conn, team.id, 1, now=NOW) == 1052
        with pytest.raises(BadValue, match="no such team"):
            credits.grant(conn, "team_none", 1)
    assert _ledger(store, team.id) == 1052


def test_concurrent_takers_never_overdraw(store: Store, team: TeamRow) -> None:
    """Twelve threads that want 1,200 of 1,000 credits get exactly 1,000."""
    refused: list[int] = []

    def work() -> None:
        for _ in range(10):
            try:
                with store.write() as conn:
                    reservation = credits.reserve(conn, team.id, 10, endpoint="x")
                    credits.settle(conn, reservation.id, 10)
            except InsufficientCredits:
                refused.append(1)

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(refused), _balance(store, team.id), _ledger(store, team.id)) == (20, 0, 0)
