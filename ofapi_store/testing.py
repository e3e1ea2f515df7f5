"""Factories for tests: teams, keys and accounts with sensible values, each call a new one; and what the store is asked."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, event

from ofapi_store.engine import Store
from ofapi_store.models import metadata
from ofapi_store.queries import accounts, credits, keys, teams
from ofapi_store.queries.accounts import AccountRow
from ofapi_store.queries.keys import KeyRow
from ofapi_store.queries.teams import TeamRow
from ofapi_store.secrets import SecretBox

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class IssuedKey:
    key: KeyRow
    token: str


def create_all(store: Store) -> None:
    """All tables straight from the models, without migrations."""
    with store.write() as conn:
        metadata.create_all(conn)


def make_team(conn: Connection, *, balance: int = 1000, **values: Any) -> TeamRow:
    """A team with credits."""
    number = next(_numbers)
    team = teams.create(conn, **{"slug": f"team-{number}", "name": f"Team {number}", **values})
    if balance:
        credits.grant(conn, team.id, balance)
    found = teams.by_id(conn, team.id)
    assert found is not None
    return found


def make_key(
    conn: Connection, team_id: str, *, name: str = "test", account_ids: Iterable[str] | None = None, **values: Any
) -> IssuedKey:
    """A key with all scopes, and its token."""
    return IssuedKey(*keys.create(conn, team_id, name=name, account_ids=account_ids, **values))


def make_account(conn: Connection, team_id: str, *, box: SecretBox | None = None, **values: Any) -> AccountRow:
    """An authenticated account of a new OnlyFans user; with `box` it has a login."""
    number = next(_numbers)
    defaults: dict[str, Any] = {
        "display_name": f"Creator {number}",
        "state": "authenticated",
        "onlyfans_id": str(900_000_000 + number),
        "username": f"creator{number}",
        "email": f"creator{number}@example.test",
    }
    if box is not None:
        login = {"auth_id": defaults["onlyfans_id"], "cookies": f"sess=s{number}", "user_agent": "test", "xbc": "x"}
        defaults["login"] = box.encrypt_json(login)
    return accounts.create(conn, team_id, **{**defaults, **values})


@contextmanager
def statements(store: Store) -> Iterator[list[str]]:
    """SQL of the reads inside the block: on SQLite those of this thread, as its driver ran them."""
    seen: list[str] = []
    if store.dialect == "sqlite":
        with store.read() as conn:
            driver: Any = conn.connection.driver_connection
        driver.set_trace_callback(seen.append)
        try:
            yield seen
        finally:
            driver.set_trace_callback(None)
        return

    def note(_conn: Any, _cursor: Any, sql: str, *_: Any) -> None:
        seen.append(sql)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)
