"""ofapi_store/queries/auth_sessions: tokens that open the hosted page for one login."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ofapi_store.engine import Store
from ofapi_store.ids import token_hash
from ofapi_store.queries import auth_sessions
from ofapi_store.queries.teams import TeamRow
from ofapi_store.secrets import SecretBox

NOW = datetime(2026, 5, 1, tzinfo=UTC)
ENDS = NOW + timedelta(minutes=5)


def test_tokens_are_stored_as_hashes(store: Store, team: TeamRow) -> None:
    """The token opens its session until its time ends; the row does not hold it."""
    with store.write() as conn:
        row, token = auth_sessions.create(conn, team.id, display_name="Anna", now=NOW, expires_at=ENDS)
        stored = conn.exec_driver_sql("SELECT * FROM client_sessions").one()
        assert token.startswith("ofapi_cs_")
        assert token not in str(stored)
        assert auth_sessions.by_token(conn, token, NOW) == row == auth_sessions.by_id(conn, row.id)
        assert auth_sessions.by_token(conn, token + "x", NOW) is None
        assert auth_sessions.by_token(conn, token, ENDS) is None


def test_a_token_names_its_team_while_its_time_lasts(store: Store, team: TeamRow) -> None:
    """For requests with the token in place of an API key."""
    with store.write() as conn:
        row, token = auth_sessions.create(conn, team.id, display_name="Anna", now=NOW, expires_at=ENDS)
        assert auth_sessions.with_team(conn, token_hash(token), NOW) == (row, team)
        assert auth_sessions.with_team(conn, token_hash(token), ENDS) is None
        assert auth_sessions.with_team(conn, token_hash("x"), NOW) is None


def test_tokens_that_are_shown_again_are_encrypted(store: Store, team: TeamRow, secret_box: SecretBox) -> None:
    """For the link of a mobile login."""
    with store.write() as conn:
        row, token = auth_sessions.create(
            conn, team.id, display_name="A", now=NOW, expires_at=ENDS, shown_with=secret_box
        )
    assert row.token is not None
    assert (token in row.token, secret_box.decrypt(row.token)) == (False, token)


def test_one_login_per_session(store: Store, team: TeamRow) -> None:
    """The first attempt stays."""
    with store.write() as conn:
        row, _ = auth_sessions.create(conn, team.id, display_name="A", now=NOW, expires_at=ENDS)
        assert auth_sessions.bind(conn, row.id, "auth_1")
        assert not auth_sessions.bind(conn, row.id, "auth_2")
        found = auth_sessions.by_id(conn, row.id)
    assert found is not None
    assert found.attempt_id == "auth_1"


def test_old_sessions_are_forgotten(store: Store, team: TeamRow) -> None:
    """Those whose time ended before a date, no others."""
    with store.write() as conn:
        auth_sessions.create(conn, team.id, display_name="A", now=NOW, expires_at=ENDS)
        assert auth_sessions.purge(conn, before=ENDS) == 0
        assert auth_sessions.purge(conn, before=ENDS + timedelta(seconds=1)) == 1
