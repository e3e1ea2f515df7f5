"""ofapi_store/queries/auth: each change of an attempt with what it means for the account, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from ofapi_store import outbox, testing
from ofapi_store.engine import Store
from ofapi_store.errors import AlreadyConnected
from ofapi_store.queries import accounts, auth
from ofapi_store.queries.accounts import AccountRow
from ofapi_store.queries.auth import AttemptRow
from ofapi_store.queries.teams import TeamRow

NOW = datetime(2026, 5, 1, tzinfo=UTC)
FOUND = {"login": "token", "onlyfans_id": "77", "username": "anna"}


def begin(store: Store, team: TeamRow, **values: Any) -> AttemptRow:
    defaults: dict[str, Any] = {"method": "raw_data", "ttl_s": 60, "now": NOW, "secret": "sealed"}
    with store.write() as conn:
        return auth.begin(conn, team.id, **{**defaults, **values})


def account_of(store: Store, row: AttemptRow) -> AccountRow:
    with store.read() as conn:
        found = accounts.by_id(conn, row.account_id)
    assert found is not None
    return found


def jobs(store: Store) -> dict[str, Any]:
    with store.read() as conn:
        return {job.kind: job for job in outbox.list_jobs(conn)}


def test_begin_makes_account_job_and_end(store: Store, team: TeamRow) -> None:
    """One transaction: the account to come, the job, and the job that ends it in time. Payloads hold no secret."""
    row = begin(store, team, display_name="Anna", email="a@b.test")
    account = account_of(store, row)
    assert (account.state, account.display_name, account.email) == ("authenticating", "Anna", "a@b.test")
    assert (row.state, row.progress, row.purpose) == ("authenticating", "started", "connect")
    found = jobs(store)
    assert found["auth.login"].payload == found["auth.expire"].payload == {"attempt": row.id}
    assert found["auth.expire"].next_at == NOW + timedelta(seconds=60)


def test_without_a_secret_nothing_runs(store: Store, team: TeamRow) -> None:
    """The attempt waits for the page."""
    assert begin(store, team, secret=None).progress == "filling_out_login"
    assert set(jobs(store)) == {"auth.expire"}


def test_of_two_writers_one_wins(store: Store, team: TeamRow) -> None:
    """Whoever read an older version writes nothing."""
    row = begin(store, team)
    with store.write() as conn:
        auth.move(conn, row, NOW, progress="submitting")
    with pytest.raises(auth.AttemptMoved), store.write() as conn:
        auth.fail(conn, row, "late", "too late", NOW)
    assert account_of(store, row).authentication_progress == "submitting"


def test_one_open_attempt_per_account(store: Store, team: TeamRow, account: AccountRow) -> None:
    """The second is refused by the code, and by the database where two come at once."""
    begin(store, team, account_id=account.id)
    with pytest.raises((auth.AttemptMoved, IntegrityError)):
        begin(store, team, account_id=account.id)


def test_failing_a_new_account(store: Store, team: TeamRow) -> None:
    """Secrets and the account go; the attempt keeps its reason."""
    row = begin(store, team, proxy_url="sealed")
    with store.write() as conn:
        ended = auth.fail(conn, row, "wrong_credentials", "No.", NOW)
    assert (ended.secret, ended.proxy_url, ended.completed_at) == (None, None, NOW)
    assert auth.last_attempt(ended)["error_code"] == "wrong_credentials"
    assert account_of(store, row).disconnected_at == NOW


@pytest.mark.parametrize(
    ("before", "during"), [("authenticated", "authenticated"), ("session_expired", "reauthenticating")]
)
def test_failing_a_reconnect(store: Store, team: TeamRow, account: AccountRow, before: str, during: str) -> None:
    """A working account is not interrupted; a dead one waits, and is as dead as before when it fails."""
    with store.write() as conn:
        accounts.set_state(conn, account.id, before)
    row = begin(store, team, account_id=account.id)
    assert account_of(store, row).state == during
    with store.write() as conn:
        moved = auth.move(conn, row, NOW, progress="submitting")
        auth.fail(conn, moved, "x", "x", NOW)
    after = account_of(store, row)
    assert (after.state, after.login) == (before, account.login)
    assert after.authentication_progress == ("signed_in" if before == "authenticated" else "failed")


def test_a_session_that_died_during_a_reconnect_stays_dead(store: Store, team: TeamRow, account: AccountRow) -> None:
    """The failed login does not say that the old one works."""
    row = begin(store, team, account_id=account.id)
    with store.write() as conn:
        accounts.set_state(conn, account.id, "session_expired")
        auth.fail(conn, row, "x", "x", NOW)
    after = account_of(store, row)
    assert (after.state, after.authentication_progress) == ("session_expired", "failed")


def test_success(store: Store, team: TeamRow) -> None:
    """The login is the account's; secrets are gone; credentials stay only where given to keep."""
    row = begin(store, team)
    with store.write() as conn:
        done = auth.succeed(conn, row, FOUND, NOW, keep="sealed credentials")
        assert auth.credentials(conn, row.account_id) == "sealed credentials"
    account = account_of(store, done)
    assert (done.state, done.secret, account.state, account.login) == ("authenticated", None, "authenticated", "token")


def test_a_connected_user(store: Store, team: TeamRow) -> None:
    """Not forced: AlreadyConnected and nothing written. Forced: the old account gets the login, the new one goes."""
    with store.write() as conn:
        old = testing.make_account(conn, team.id, onlyfans_id="77")
    plain, forced = begin(store, team), begin(store, team, force=True)
    with pytest.raises(AlreadyConnected), store.write() as conn:
        auth.succeed(conn, plain, FOUND, NOW)
    assert account_of(store, plain).disconnected_at is None
    under_way = begin(store, team, account_id=old.id)
    with store.write() as conn:
        done = auth.succeed(conn, forced, FOUND, NOW)
        overtaken = auth.by_id(conn, under_way.id)
    assert (done.account_id, account_of(store, done).login) == (old.id, "token")
    assert account_of(store, forced).disconnected_at == NOW
    assert overtaken is not None
    assert overtaken.error_code == "superseded"


def test_another_teams_user_is_no_matter(store: Store, team: TeamRow) -> None:
    """One team does not learn that another has the same user."""
    with store.write() as conn:
        testing.make_account(conn, testing.make_team(conn).id, onlyfans_id="77")
    with store.write() as conn:
        assert auth.succeed(conn, begin_in(conn, team), FOUND, NOW).state == "authenticated"


def begin_in(conn: Any, team: TeamRow) -> AttemptRow:
    return auth.begin(conn, team.id, method="raw_data", ttl_s=60, now=NOW, secret="sealed")


def test_disconnecting_ends_what_is_under_way(store: Store, team: TeamRow, account: AccountRow) -> None:
    """Kept credentials, secrets and the attempt go with the account."""
    row = begin(store, team, account_id=account.id)
    with store.write() as conn:
        auth.keep_credentials(conn, account.id, "one", NOW)
        auth.keep_credentials(conn, account.id, "two", NOW)
        assert auth.credentials(conn, account.id) == "two"
        accounts.disconnect(conn, team.id, account.id, now=NOW)
        ended = auth.by_id(conn, row.id)
        assert auth.credentials(conn, account.id) is None
    assert ended is not None
    assert (ended.state, ended.secret, ended.error_code) == ("failed", None, "disconnected")


def test_other_teams_attempts_are_unknown(store: Store, team: TeamRow) -> None:
    """Found for its own team only; its secret shows in no repr."""
    row = begin(store, team)
    with store.write() as conn:
        other = testing.make_team(conn)
        assert auth.for_team(conn, other.id, row.id) is None
        assert auth.for_team(conn, team.id, row.id) == row
    assert "sealed" not in repr(row)


def test_session_secrets_of_upstream_stay_out(store: Store, account: AccountRow) -> None:
    """csrf and the socket's token are no part of the stored `users/me`; their fields are, as null."""
    said = {"id": 1, "csrf": "planted", "wsAuthToken": "planted", "name": "N"}
    with store.write() as conn:
        accounts.change(conn, account.id, user_data=said)
        (text,) = conn.exec_driver_sql(f"SELECT user_data FROM accounts WHERE id = '{account.id}'").one()
    assert "planted" not in text
    with store.read() as conn:
        assert accounts.user_data(conn, [account.id])[account.id] == {**said, "csrf": None, "wsAuthToken": None}
