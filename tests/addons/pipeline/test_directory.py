"""Teams, keys and accounts as the store has them, with logins opened."""

from __future__ import annotations

from addons.pipeline.directory import StoreDirectory
from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.ids import token_hash
from ofapi_store.queries import accounts
from ofapi_store.secrets import SecretBox


async def test_a_key_is_found_by_the_hash_of_its_token(store: Store, secret_box: SecretBox) -> None:
    """With its team, scopes and limits; unknown hashes are None."""
    with store.write() as conn:
        team = testing.make_team(conn, requests_per_minute=7)
        issued = testing.make_key(conn, team.id, scopes=["read"], account_ids=["acct_1"])
    directory = StoreDirectory(store, secret_box)
    found = await directory.principal(token_hash(issued.token))
    assert found is not None
    assert (found.team.id, found.team.requests_per_minute) == (team.id, 7)
    assert (found.key.scopes, found.key.account_ids) == (frozenset({"read"}), frozenset({"acct_1"}))
    assert await directory.principal(token_hash("other")) is None


async def test_logins_are_opened_and_changes_show(store: Store, secret_box: SecretBox) -> None:
    """Cookies and proxy; a new login is seen at the next read."""
    with store.write() as conn:
        team = testing.make_team(conn)
        row = testing.make_account(conn, team.id, box=secret_box, proxy_url=secret_box.encrypt("http://p:1"))
    directory = StoreDirectory(store, secret_box)
    found = await directory.account(row.id)
    assert found is not None
    assert found.login is not None
    assert found.login.cookies.startswith("sess=")
    assert found.login.proxy_url == "http://p:1"
    assert "sess=" not in repr(found.login)
    with store.write() as conn:
        accounts.change(conn, row.id, login=secret_box.encrypt_json({"cookies": "sess=new"}))
    again = await directory.account(row.id)
    assert again is not None
    assert again.login is not None
    assert again.login.cookies == "sess=new"


async def test_a_login_that_no_key_opens_is_none(store: Store, secret_box: SecretBox) -> None:
    """The account is there and says that it needs a login; nothing fails."""
    other = SecretBox([SecretBox.generate_key()])
    with store.write() as conn:
        row = testing.make_account(conn, testing.make_team(conn).id, box=other)
    found = await StoreDirectory(store, secret_box).account(row.id)
    assert found is not None
    assert found.login is None


async def test_an_onlyfans_user_is_found_by_team_or_if_only_one_has_it(store: Store, secret_box: SecretBox) -> None:
    """Two teams with one creator: without a team it is nobody's."""
    with store.write() as conn:
        one, two = testing.make_team(conn), testing.make_team(conn)
        first = testing.make_account(conn, one.id, onlyfans_id="77")
    directory = StoreDirectory(store, secret_box)
    for team in (one.id, None):
        found = await directory.account_of_user("77", team)
        assert found is not None
        assert found.id == first.id
    assert await directory.account_of_user("77", two.id) is None
    with store.write() as conn:
        testing.make_account(conn, two.id, onlyfans_id="77")
    assert await directory.account_of_user("77", None) is None


async def test_the_only_account_of_a_team(store: Store, secret_box: SecretBox) -> None:
    """What a key means that names no account: with two that it may use, neither."""
    directory = StoreDirectory(store, secret_box)
    with store.write() as conn:
        team = testing.make_team(conn)
    assert await directory.only_account(team.id, None) is None
    with store.write() as conn:
        first = testing.make_account(conn, team.id)
        testing.make_account(conn, testing.make_team(conn).id)
    found = await directory.only_account(team.id, None)
    assert found is not None
    assert found.id == first.id
    with store.write() as conn:
        second = testing.make_account(conn, team.id)
    assert await directory.only_account(team.id, None) is None
    found = await directory.only_account(team.id, frozenset({second.id}))
    assert found is not None
    assert found.id == second.id
    assert await directory.only_account(team.id, frozenset()) is None
