"""First steps of an installation: the key file and the store."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.cli.frame import CliError, sqlite_file

if TYPE_CHECKING:
    from addons.config import Config


@dataclass(frozen=True, slots=True)
class Prepared:
    """What `prepare` did. `revision`: of the store's schema, now."""

    key_made: Path | None
    store_made: bool
    upgraded: bool
    revision: str

    @property
    def sentences(self) -> list[str]:
        out = []
        if self.key_made:
            out.append(f"made the encryption key {self.key_made} (mode 0600); keep a copy apart from the database")
        if self.store_made:
            out.append(f"made the store, schema {self.revision}")
        elif self.upgraded:
            out.append(f"upgraded the store to schema {self.revision}")
        return out


def make_key(path: Path) -> None:
    """A new Fernet key in `path`, readable by its owner only. Raises FileExistsError."""
    from ofapi_store.secrets import SecretBox

    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(SecretBox.generate_key() + "\n")
        file.flush()
        os.fsync(file.fileno())


def prepare(config: Config, *, upgrade: bool = False) -> Prepared:
    """Makes what is missing of key file and store; an older schema is upgraded only if `upgrade`. Raises CliError."""
    from addons.config import SecretMissing
    from ofapi_store import migrate
    from ofapi_store.errors import StoreError

    try:
        url = config.store_url
        before = _revision(url)
        key = _missing_key(config)
        if key is not None and before is not None and _has_secrets(url):
            raise CliError(
                "secret_key_missing",
                f"the key file {key} is gone, but the store holds secrets encrypted with it; restore the file from a backup",
            )
        if key is not None:
            make_key(key)
        if before is None or (upgrade and before != migrate.head()):
            migrate.upgrade(url)
        migrate.check(url)
    except (StoreError, SecretMissing) as e:
        raise CliError("store_unavailable", str(e)) from e
    after = migrate.head()
    return Prepared(key, before is None, before is not None and before != after, after)


def _revision(url: str) -> str | None:
    from ofapi_store import migrate

    file = sqlite_file(url)
    return None if file is not None and not file.exists() else migrate.current(url)


def _missing_key(config: Config) -> Path | None:
    first = config.secrets.keys[0]
    return first.file if first.file is not None and not first.file.exists() else None


def _has_secrets(url: str) -> bool:
    from ofapi_store.engine import Store
    from ofapi_store.queries import accounts

    store = Store.open(url)
    try:
        with store.read() as conn:
            return any(a.login for a in accounts.list_live(conn))
    finally:
        store.close()
