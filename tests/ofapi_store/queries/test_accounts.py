"""Accounts: one live account per team and OnlyFans user; teams do not see each other's."""

from __future__ import annotations

import pytest

from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.errors import AlreadyConnected, BadValue
from ofapi_store.queries import accounts
from ofapi_store.queries.accounts import AccountRow
from ofapi_store.queries.teams import TeamRow


def test_account_is_found_by_its_own_team_only(store: Store, team: TeamRow, account: AccountRow) -> None:
    """Another team gets None, as for an account that does not exist."""
    with store.write() as conn:
        other = testing.make_team(conn)
    with store.read() as conn:
        assert accounts.for_team(conn, team.id, account.id) == account
        assert accounts.for_team(conn, other.id, account.id) is None
        assert accounts.for_team(conn, team.id, "acct_unknown") is None


def test_second_live_account_of_a_user_is_refused(store: Store, team: TeamRow, account: AccountRow) -> None:
    """The same OnlyFans user is connected once per team; another team may connect it too."""
    with pytest.raises(AlreadyConnected) as caught, store.write() as conn:
        testing.make_account(conn, team.id, onlyfans_id=account.onlyfans_id)
    assert caught.value.account_id == account.id
    with store.write() as conn:
        other = testing.make_team(conn)
        testing.make_account(conn, other.id, onlyfans_id=account.onlyfans_id)
        second = testing.make_account(conn, team.id)
    with pytest.raises(AlreadyConnected), store.write() as conn:
        accounts.change(conn, second.id, onlyfans_id=account.onlyfans_id)


def test_disconnect_wipes_the_login_and_frees_the_user(store: Store, team: TeamRow, account: AccountRow) -> None:
    """A disconnected account is gone for clients, keeps no login, and its user can be connected anew."""
    assert account.login is not None
    with store.write() as conn:
        other = testing.make_team(conn)
        assert not accounts.disconnect(conn, other.id, account.id)
        assert accounts.disconnect(conn, team.id, account.id)
        assert not accounts.disconnect(conn, team.id, account.id)
        assert accounts.for_team(conn, team.id, account.id) is None
        gone = accounts.by_id(conn, account.id)
        assert gone is not None
        assert (gone.login, gone.proxy_url, gone.state) == (None, None, "disconnected")
        assert accounts.change(conn, account.id, state="authenticated") is None
        testing.make_account(conn, team.id, onlyfans_id=account.onlyfans_id)


def test_state_change_is_won_by_one_caller(store: Store, account: AccountRow) -> None:
    """Of several that see the same dead session, one gets True."""
    with store.write() as conn:
        won = [accounts.set_state(conn, account.id, "session_expired", when=["authenticated"]) for _ in range(3)]
    assert won == [True, False, False]


def test_list_filters_and_key_restriction(store: Store, team: TeamRow) -> None:
    """Lists hold the team's live accounts, filtered, and only those that a key may use."""
    with store.write() as conn:
        first, second = testing.make_account(conn, team.id), testing.make_account(conn, team.id)
        testing.make_account(conn, testing.make_team(conn).id)
    with store.read() as conn:
        assert [row.id for row in accounts.list_for_team(conn, team.id)] == [first.id, second.id]
        assert [row.id for row in accounts.list_for_team(conn, team.id, username=second.username)] == [second.id]
        assert [row.id for row in accounts.list_for_team(conn, team.id, username=second.username.upper())] == [
            second.id
        ]
        assert [row.id for row in accounts.list_for_team(conn, team.id, only=[second.id])] == [second.id]
        assert accounts.list_for_team(conn, team.id, only=[]) == []
        assert accounts.live_of_user(conn, team.id, str(first.onlyfans_id)) == first
        assert accounts.only_live_of_user(conn, str(first.onlyfans_id)) == first


def test_user_data_and_unknown_columns(store: Store, account: AccountRow) -> None:
    """`user_data` is read only when asked for; a column that accounts do not have is a BadValue."""
    with store.write() as conn:
        changed = accounts.change(conn, account.id, user_data={"id": 5}, username="new")
        assert changed is not None and changed.username == "new"
        assert accounts.user_data(conn, [account.id]) == {account.id: {"id": 5}}
        with pytest.raises(BadValue, match="colour"):
            accounts.change(conn, account.id, colour="red")


def test_repr_shows_no_login(account: AccountRow) -> None:
    """A log line with an account in it shows no ciphertext."""
    assert str(account.login) not in repr(account)
