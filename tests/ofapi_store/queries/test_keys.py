"""API keys: found by hash while live, shown once, touched forward only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.errors import BadValue
from ofapi_store.ids import token_hash
from ofapi_store.queries import keys
from ofapi_store.queries.teams import TeamRow

NOW = datetime(2025, 1, 1, tzinfo=UTC)


async def test_key_is_found_by_hash_with_its_team(store: Store, team: TeamRow, api_key: testing.IssuedKey) -> None:
    """One read gives key and team; another token finds nothing; the token itself is nowhere in the store."""
    found = await store.aread(keys.by_token_hash, token_hash(api_key.token))
    assert found == keys.KeyAndTeam(api_key.key, team)
    assert await store.aread(keys.by_token_hash, token_hash("ofapi_other")) is None
    assert api_key.token.endswith(api_key.key.hint)
    assert len(api_key.key.hint) == 4


def test_revoked_key_is_gone(store: Store, team: TeamRow, api_key: testing.IssuedKey) -> None:
    """Only its own team can revoke it, once; then it is found no more."""
    with store.write() as conn:
        assert not keys.revoke(conn, api_key.key.id, team_id="team_other")
        assert keys.revoke(conn, api_key.key.id, team_id=team.id)
        assert not keys.revoke(conn, api_key.key.id)
        assert keys.by_token_hash(conn, token_hash(api_key.token)) is None
        assert keys.list_for_team(conn, team.id) == []
        assert [key.id for key in keys.list_for_team(conn, team.id, revoked=True)] == [api_key.key.id]


def test_restrictions_are_kept(store: Store, team: TeamRow) -> None:
    """Scopes and accounts of a key; no accounts at all is not the same as all."""
    with store.write() as conn:
        one = testing.make_key(conn, team.id, scopes=["read"], account_ids=["acct_b", "acct_a"])
        none = testing.make_key(conn, team.id, account_ids=[])
        found = keys.by_token_hash(conn, token_hash(one.token))
        assert found is not None
        assert (found.key.scopes, found.key.account_ids) == (frozenset({"read"}), frozenset({"acct_a", "acct_b"}))
        assert none.key.account_ids == frozenset()
        with pytest.raises(BadValue, match="admin"):
            keys.create(conn, team.id, name="x", scopes=["admin"])


def test_last_use_moves_forward_only(store: Store, api_key: testing.IssuedKey) -> None:
    """Batches of several processes may come in any order."""
    with store.write() as conn:
        for seconds in (10, 20, 15):
            keys.touch(conn, {api_key.key.id: NOW + timedelta(seconds=seconds), "key_unknown": NOW})
        keys.touch(conn, {})
        found = keys.by_token_hash(conn, token_hash(api_key.token))
    assert found is not None
    assert found.key.last_used_at == NOW + timedelta(seconds=20)
