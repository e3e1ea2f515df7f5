"""Migrations: one head, exactly the models on both databases, down and up again."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from ofapi_store import migrate, testing
from ofapi_store.engine import Store
from ofapi_store.errors import SchemaOutdated
from ofapi_store.models import metadata
from ofapi_store.models.link_revenue import SUMS
from ofapi_store.queries import fan_groups, link_revenue
from ofapi_store.types import now_utc


def test_one_head() -> None:
    """Two people who add a migration at once must merge them."""
    config = Config()
    config.set_main_option("script_location", "ofapi_store/migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [migrate.head()]


def test_upgrade_gives_exactly_the_models(empty_store_url: str) -> None:
    """Nothing differs between a migrated database and the models."""
    migrate.upgrade(empty_store_url)
    assert migrate.differences(empty_store_url) == []
    assert migrate.current(empty_store_url) == migrate.head()
    migrate.check(empty_store_url)


def test_down_and_up_again(empty_store_url: str) -> None:
    """Every migration can be undone and done again."""
    migrate.upgrade(empty_store_url)
    migrate.downgrade(empty_store_url, "base")
    assert migrate.current(empty_store_url) is None
    opened = Store.open(empty_store_url)
    with opened.read() as conn:
        assert inspect(conn).get_table_names() == ["alembic_version"]
    opened.close()
    migrate.upgrade(empty_store_url)
    assert migrate.differences(empty_store_url) == []


def test_fans_that_are_there_are_grouped(empty_store_url: str) -> None:
    """0009: groups of stored fans add up to them, and who had subscribed before is found."""
    migrate.upgrade(empty_store_url)
    opened, ref, now = Store.open(empty_store_url), "01J0000000000000000000000A", now_utc()
    row: dict[str, Any] = dict.fromkeys(SUMS, 0) | {"click_id": None, "is_trial": True, "chargebacks": 0, "day": 1}
    with opened.write() as conn:
        account = testing.make_account(conn, testing.make_team(conn).id).id
        ids = list(range(1, 31))
        made = {
            (ref, n): {
                **row,
                "since": now,
                "net_all": 777 * n,
                "tips_net": 5 * n,
                "messages": n % 4,
                "came_before": n == 9,
            }
            for n in ids
        }
        link_revenue.store(conn, account, ids, made, {}, now=now)
        times = {"first_seen_at": now, "updated_at": now, "subscribed_at": now - timedelta(days=2)}
        conn.execute(metadata.tables["fans"].insert(), {"account_id": account, "fan_id": 9, **times})
    groups = fan_groups.GROUPS.select().order_by(*(fan_groups.GROUPS.c[name] for name in fan_groups.KEYS))
    with opened.read() as conn:
        before = conn.execute(groups).all()
    migrate.downgrade(empty_store_url, "0008")
    migrate.upgrade(empty_store_url)
    with opened.read() as conn:
        assert conn.execute(groups).all() == before
        assert fan_groups.sums(conn, ref, fan_groups.FanFilter(previously=True)).net == 9 * 777
    opened.close()


def test_partial_indexes_exist(empty_store_url: str) -> None:
    """The conditions of partial indexes, which a comparison does not see, are in the migrated database too."""
    migrate.upgrade(empty_store_url)
    opened = Store.open(empty_store_url)
    query = {
        "sqlite": "SELECT sql FROM sqlite_master WHERE name = :name",
        "postgresql": "SELECT indexdef FROM pg_indexes WHERE indexname = :name",
    }[opened.dialect]
    with opened.read() as conn:
        for name, words in (("uq_jobs_live_key", "pending"), ("uq_accounts_live_user", "disconnected_at IS NULL")):
            definition = conn.execute(text(query), {"name": name}).scalar_one()
            assert "UNIQUE" in definition and words in definition
    opened.close()


def test_several_programs_upgrade_at_once(empty_store_url: str) -> None:
    """Processes and threads that start together on a new store take turns; all succeed."""
    code = "import sys; from ofapi_store import migrate; migrate.upgrade(sys.argv[1])"
    programs = [subprocess.Popen([sys.executable, "-c", code, empty_store_url]) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(migrate.upgrade, [empty_store_url] * 2))
    assert [program.wait(60) for program in programs] == [0, 0]
    migrate.check(empty_store_url)


def test_unmigrated_store_says_what_to_run(empty_store_url: str) -> None:
    """No tables, and too old a schema, are told apart."""
    with pytest.raises(SchemaOutdated, match=r"has no tables yet.*ofapi db upgrade"):
        migrate.check(empty_store_url)
    migrate.upgrade(empty_store_url, "0001")
    with pytest.raises(SchemaOutdated, match="is at schema 0001"):
        migrate.check(empty_store_url)


def test_newer_store_is_left_alone(empty_store_url: str) -> None:
    """An old program does not touch the schema of a newer one."""
    migrate.upgrade(empty_store_url)
    opened = Store.open(empty_store_url)
    with opened.write() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    opened.close()
    for call in (migrate.check, migrate.upgrade):
        with pytest.raises(SchemaOutdated, match="run the newer program"):
            call(empty_store_url)


def test_draft_of_nothing_is_empty(empty_store_url: str) -> None:
    """A database that fits gives an empty draft; an empty one gives the tables."""
    assert "create_table('teams'" in migrate.draft(empty_store_url)
    migrate.upgrade(empty_store_url)
    assert "op." not in migrate.draft(empty_store_url)
