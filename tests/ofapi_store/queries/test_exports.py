"""The steps of an export's life on both databases: each goes by the state it starts from, money moves once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from ofapi_store import outbox, testing
from ofapi_store.engine import Store
from ofapi_store.errors import InsufficientCredits
from ofapi_store.queries import credits as ledger
from ofapi_store.queries import exports
from ofapi_store.queries.accounts import AccountRow
from ofapi_store.queries.teams import TeamRow

START, END = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 2, 1, tzinfo=UTC)


@pytest.fixture
def made(store: Store, team: TeamRow, account: AccountRow) -> str:
    """A calculated export of 100 rows for 5 credits."""
    with store.write() as conn:
        row = exports.create(conn, team.id, new(account.id))
        exports.calculated(conn, row.id, rows=100, credits=5)
    return row.id


def new(*account_ids: str) -> exports.NewExport:
    return exports.NewExport("transactions", "csv", START, END, account_ids, ["amount"], {})


def balance(store: Store, team: TeamRow) -> int:
    with store.read() as conn:
        return ledger.balance(conn, team.id)


def test_started_by_many_at_once_it_is_charged_once(store: Store, team: TeamRow, made: str) -> None:
    """One wins, the others change nothing; one job builds it."""

    def go(_: int) -> bool:
        with store.write() as conn:
            return exports.start(conn, made) is not None

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(go, range(8)))
    assert won.count(True) == 1
    assert balance(store, team) == 995
    with store.read() as conn:
        assert outbox.live(conn, exports.BUILD, made) is not None


def test_nothing_changes_without_credits(store: Store, team: TeamRow, made: str) -> None:
    """Not the state, not the balance, no job."""
    with store.write() as conn:
        ledger.take(conn, team.id, 996)
    with pytest.raises(InsufficientCredits), store.write() as conn:
        exports.start(conn, made)
    with store.read() as conn:
        row = exports.by_id(conn, made)
        assert row is not None
        assert (row.status, row.charged) == (exports.CALCULATED, 0)
        assert outbox.live(conn, exports.BUILD, made) is None
    assert balance(store, team) == 4


@pytest.mark.parametrize("end", ["failed", "cancel", "completed"])
def test_the_first_end_stands(store: Store, team: TeamRow, made: str, end: str) -> None:
    """Refunds come once, and only where there is no file; the usage shows what was kept."""
    ends = {
        "failed": lambda conn: exports.failed(conn, made, "x"),
        "cancel": lambda conn: exports.cancel(conn, made),
        "completed": lambda conn: exports.completed(conn, made, rows=100, size=1),
    }
    with store.write() as conn:
        exports.start(conn, made)
        exports.begin(conn, made)
        assert ends.pop(end)(conn) is not None
    for other in (*ends.values(), lambda conn: exports.begin(conn, made)):
        with store.write() as conn:
            assert other(conn) is None
    kept = 5 if end == "completed" else 0
    assert balance(store, team) == 1000 - kept
    now = datetime.now(UTC)
    with store.read() as conn:
        used = ledger.usage(conn, team.id, now - timedelta(days=1), now + timedelta(days=1))
        assert [(u.credit_type, u.credits, u.requests) for u in used] == [("data_export", kept, 1 if kept else 0)]
        assert not exports.progress(conn, made, 5)


def test_cancelling_ends_its_job(store: Store, team: TeamRow, account: AccountRow) -> None:
    """Also while it is calculated; the row of the job says so."""
    with store.write() as conn:
        row = exports.create(conn, team.id, new(account.id))
        job = outbox.live(conn, exports.CALCULATE, row.id)
        assert job is not None
        cancelled = exports.cancel(conn, row.id)
        assert cancelled is not None
        after = outbox.get(conn, job.id)
        assert after is not None
        assert (cancelled.status, after.state) == ("cancelled", "cancelled")


def test_who_sees_what(store: Store, team: TeamRow, account: AccountRow) -> None:
    """A key of some accounts sees exports about nothing else; another team sees none."""
    with store.write() as conn:
        second = testing.make_account(conn, team.id)
        other = testing.make_team(conn)
        one = exports.create(conn, team.id, new(account.id))
        both = exports.create(conn, team.id, new(account.id, second.id))

    def seen(team_id: str, only: list[str] | None) -> set[str]:
        with store.read() as conn:
            rows, total = exports.page(conn, team_id, only=only)
            assert total == len(rows)
            found = {i for i in (one.id, both.id) if exports.for_team(conn, team_id, i, only=only)}
            assert found == {row.id for row in rows}
            return found

    assert seen(team.id, None) == {one.id, both.id}
    assert seen(team.id, [account.id]) == {one.id}
    assert seen(team.id, [second.id]) == seen(team.id, []) == seen(other.id, None) == set()
