"""Fixtures for all tests: a store on SQLite and on a real PostgreSQL, with a team, a key and an account."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as generated

from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.queries.accounts import AccountRow
from ofapi_store.queries.teams import TeamRow
from ofapi_store.secrets import SecretBox
from tests import pg

# The same cases on every run, and none fails because the machine is slow.
generated.register_profile("everywhere", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
generated.load_profile("everywhere")


@pytest.fixture(scope="session")
def pg_server() -> Iterator[pg.Server]:
    """One PostgreSQL per test process, started when the first test asks for it."""
    with pg.running() as server:
        server.create_named(pg.TEMPLATE)
        _create_all(server.url(pg.TEMPLATE))
        yield server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with all tables; copying it is faster than making them."""
    path = tmp_path_factory.mktemp("store") / "template.db"
    _create_all(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """The URL of a new SQLite store with all tables."""
    path = tmp_path / "store.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def pg_url(pg_server: pg.Server) -> Iterator[str]:
    """The URL of a new PostgreSQL database with all tables."""
    name = pg_server.create(pg.TEMPLATE)
    yield pg_server.url(name)
    pg_server.drop(name)


@pytest.fixture
def empty_pg_url(pg_server: pg.Server) -> Iterator[str]:
    """The URL of a new PostgreSQL database without tables."""
    name = pg_server.create()
    yield pg_server.url(name)
    pg_server.drop(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest) -> str:
    """The URL of a new store with all tables, on each database."""
    return str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "pg_url"))


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new store without tables, on each database."""
    return f"sqlite:///{tmp_path}/empty.db" if request.param == "sqlite" else request.getfixturevalue("empty_pg_url")


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """An open store with all tables, on each database."""
    opened = Store.open(store_url)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_store(sqlite_url: str) -> Iterator[Store]:
    """An open store on SQLite only, for tests whose rule has nothing to do with the database."""
    opened = Store.open(sqlite_url)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def secret_box() -> SecretBox:
    return SecretBox([SecretBox.generate_key()])


@pytest.fixture
def team(store: Store) -> TeamRow:
    with store.write() as conn:
        return testing.make_team(conn)


@pytest.fixture
def api_key(store: Store, team: TeamRow) -> testing.IssuedKey:
    with store.write() as conn:
        return testing.make_key(conn, team.id)


@pytest.fixture
def account(store: Store, team: TeamRow, secret_box: SecretBox) -> AccountRow:
    with store.write() as conn:
        return testing.make_account(conn, team.id, box=secret_box)


def _create_all(url: str) -> None:
    opened = Store.open(url)
    testing.create_all(opened)
    opened.close()
