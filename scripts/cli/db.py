"""`ofapi db`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scripts.cli.frame import App, CliError, emit, open_config, sqlite_file
from scripts.cli.setup import make_key, prepare

app = App()


@app.command("init")
def init() -> None:
    """Make what is missing of key file and store. Safe to repeat."""
    done = prepare(open_config())
    body = {"key_made": done.key_made, "store_made": done.store_made, "revision": done.revision}
    emit(body, "\n".join(done.sentences) or f"nothing to do: the store is at schema {done.revision}")


@app.command("upgrade")
def upgrade() -> None:
    """Bring the store's schema to this program's; take a backup first."""
    done = prepare(open_config(), upgrade=True)
    body = {"upgraded": done.upgraded or done.store_made, "revision": done.revision}
    emit(body, "\n".join(done.sentences) or f"nothing to do: the store is at schema {done.revision}")


@app.command("check")
def check() -> None:
    """Say whether the store is sound. Schema, integrity of an SQLite file; exit code 1 if not."""
    from ofapi_store import migrate
    from ofapi_store.errors import StoreError

    url = _url()
    problems: list[str] = []
    try:
        migrate.check(url)
        problems += [f"the schema differs: {d}" for d in migrate.differences(url)]
        problems += _integrity(url)
    except StoreError as e:
        problems.append(str(e))
    if problems:
        raise CliError("store_wrong", "\n".join(problems), problems=problems)
    emit({"ok": True, "revision": migrate.head()}, f"the store is sound, schema {migrate.head()}")


@app.command("backup")
def backup(
    target: Annotated[Path, typer.Argument(help="File to write; must not exist.")],
) -> None:
    """Copy a running SQLite store into one file, consistent as of now. Use pg_dump for PostgreSQL."""
    import sqlite3

    url = _url()
    source = sqlite_file(url)
    if source is None:
        raise CliError("not_sqlite", "this store is PostgreSQL: use pg_dump, it needs no pause either")
    if not source.exists():
        raise CliError("store_missing", f"the store {source} does not exist; make it with `ofapi db init`")
    if target.exists():
        raise CliError("file_exists", f"{target} exists; name a new file")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.part")
    draft.unlink(missing_ok=True)
    with sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True) as old, sqlite3.connect(draft) as new:
        old.backup(new)
    old.close()
    new.close()
    draft.chmod(0o600)
    draft.replace(target)
    body = {"file": target, "bytes": target.stat().st_size}
    emit(body, f"{target}: {body['bytes']} bytes; the key file is not in it, keep that apart")


@app.command("new-key")
def new_key(
    target: Annotated[
        Path | None, typer.Argument(help="File to make, mode 0600; without one the key is printed.")
    ] = None,
) -> None:
    """Make an encryption key for secrets.keys."""
    if target is None:
        from ofapi_store.secrets import SecretBox

        key = SecretBox.generate_key()
        emit({"key": key}, key)
        return
    try:
        make_key(target)
    except FileExistsError:
        raise CliError("file_exists", f"{target} exists; a key that is in use must not be overwritten") from None
    emit({"file": target}, f"{target} made; put it first in secrets.keys and keep the old one behind it")


def _url() -> str:
    from addons.config import SecretMissing

    try:
        return open_config().store_url
    except SecretMissing as e:
        raise CliError("store_unavailable", str(e)) from e


def _integrity(url: str) -> list[str]:
    import sqlite3

    file = sqlite_file(url)
    if file is None:
        return []
    with sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True) as conn:
        found = [str(row[0]) for row in conn.execute("PRAGMA integrity_check(20)")]
        broken = [
            f"{t}: row {r} refers to a missing row of {p}" for t, r, p, _ in conn.execute("PRAGMA foreign_key_check")
        ]
    conn.close()
    return [f for f in found if f != "ok"] + broken[:20]
