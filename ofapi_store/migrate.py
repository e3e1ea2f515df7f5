"""Schema versions: upgrade, downgrade, and whether a database fits this program."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata, produce_migrations, render_python_code
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from ofapi_store.dialects import open_engines
from ofapi_store.errors import SchemaOutdated, SchemaUnknown
from ofapi_store.faults import translated
from ofapi_store.models import metadata

_in_process = threading.Lock()  # Alembic keeps the running migration in module globals
_UPGRADE_LOCK = 0x0FA91  # any number; two programs that upgrade one PostgreSQL at once take turns


def head() -> str:
    """The newest revision of this program."""
    found = _scripts().get_current_head()
    assert found is not None
    return found


def current(url: str) -> str | None:
    """The database's revision; None where no migration ever ran."""
    with _connected(url) as conn:
        return _revision(conn)


def upgrade(url: str, revision: str = "head") -> None:
    """Brings the schema to `revision` in one transaction. Raises SchemaUnknown where the database is newer."""
    with _in_process, _connected(url) as conn:
        _lock(conn)
        _refuse_newer(_revision(conn))
        command.upgrade(_config(conn), revision)


def downgrade(url: str, revision: str) -> None:
    """Goes back to `revision` (`base` for an empty database). Data of removed tables and columns is lost."""
    with _in_process, _connected(url) as conn:
        _lock(conn)
        command.downgrade(_config(conn), revision)


def check(url: str) -> None:
    """Raises SchemaOutdated, saying what to run, unless the database is at this program's revision."""
    have = current(url)
    if have == head():
        return
    _refuse_newer(have)
    at = f"is at schema {have}" if have else "has no tables yet"
    raise SchemaOutdated(f"the store {at}, this program needs {head()}; run `ofapi db upgrade`")


def differences(url: str) -> list[Any]:
    """What differs between the database and the models: Alembic's operations, empty where they agree."""
    with _connected(url) as conn:
        return list(compare_metadata(_context(conn), metadata))


def draft(url: str) -> str:
    """Python code of a migration from the database to the models, to start a new one from."""
    with _connected(url) as conn:
        ops = produce_migrations(_context(conn), metadata).upgrade_ops
        assert ops is not None
        return str(render_python_code(ops, render_as_batch=True, migration_context=_context(conn), render_item=_render))


def _render(kind: str, item: Any, _context: Any) -> Any:
    """Migrations name plain types, so that they do not change with our own ones."""
    if kind != "type":
        return False
    impl = getattr(item, "impl_instance", None)
    if impl is not None:
        return f"sa.{impl!r}"
    return "_ID" if getattr(item, "_variant_mapping", None) else False


def _refuse_newer(have: str | None) -> None:
    if have is not None and have not in {script.revision for script in _scripts().walk_revisions()}:
        raise SchemaUnknown(
            f"the store is at schema {have}, which this program (schema {head()}) does not know; run the newer program"
        )


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    engines = open_engines(url)
    try:
        with translated(engines.where), engines.writer.connect() as conn:
            if engines.dialect == "sqlite":
                conn.exec_driver_sql(
                    "PRAGMA foreign_keys=OFF"
                )  # batch mode rebuilds tables; off outside a transaction only
                conn.rollback()
            with conn.begin():
                yield conn
    finally:
        engines.writer.dispose()


def _lock(conn: Connection) -> None:
    if conn.dialect.name == "postgresql":
        conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})


def _context(conn: Connection) -> MigrationContext:
    return MigrationContext.configure(conn, opts={"compare_type": True, "render_as_batch": True})


def _revision(conn: Connection) -> str | None:
    return MigrationContext.configure(conn).get_current_revision()


def _config(conn: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = conn
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())
