"""What can go wrong in the store.

StoreError
├── StoreUrlInvalid        the URL is not one of a supported database
├── StoreUnavailable       locked, unreachable, read-only or full: the same call may work later
├── StoreCorrupt           the SQLite file is damaged or is no database
├── StoreClosed            used after `close()`
├── SchemaOutdated         tables are missing or older than this program
│   └── SchemaUnknown      a newer program made them
├── SecretError
│   ├── SecretKeyInvalid   no key, or one that is not a Fernet key
│   └── SecretUnreadable   no key of the list opens this secret
├── AlreadyConnected       this team has a live account of the same OnlyFans user
├── InsufficientCredits    the team's balance does not cover the operation
├── LeaseLost              the job is no longer held by this worker
├── BadValue               a value that a column cannot hold exactly
└── UnknownName            no such table or column in the catalog
"""

from __future__ import annotations

from typing import Any


class StoreError(Exception):
    """The base of all store errors. The text says what failed and what to do."""


class StoreUrlInvalid(StoreError):
    """The store's URL is malformed or names a database that is not supported."""


class StoreUnavailable(StoreError):
    """The database cannot serve this call now. Nothing was written."""


class StoreCorrupt(StoreError):
    """The database file is damaged."""


class StoreClosed(StoreError):
    """The store was closed."""

    def __init__(self) -> None:
        super().__init__("the store is closed; open it again with Store.open(url)")


class SchemaOutdated(StoreError):
    """Tables are missing, or the schema and this program do not fit."""


class SchemaUnknown(SchemaOutdated):
    """A newer program made the schema."""


class SecretError(StoreError):
    """The base of errors about encrypted values."""


class SecretKeyInvalid(SecretError):
    """No usable key in the key list."""


class SecretUnreadable(SecretError):
    """The value was encrypted with a key that is not in the list, or it is damaged."""


class AlreadyConnected(StoreError):
    """`account_id` is the live account of the same OnlyFans user in this team."""

    def __init__(self, account_id: str, onlyfans_id: str) -> None:
        super().__init__(
            f"OnlyFans user {onlyfans_id} is already connected as {account_id}; disconnect it first or force"
        )
        self.account_id = account_id
        self.onlyfans_id = onlyfans_id


class InsufficientCredits(StoreError):
    """The balance is below what the operation costs; nothing was taken."""

    def __init__(self, balance: int, needed: int) -> None:
        super().__init__(f"{needed} credits needed, {balance} left; grant more with `ofapi teams credits`")
        self.balance = balance
        self.needed = needed


class LeaseLost(StoreError):
    """The job was cancelled, finished, or taken over by another worker."""

    def __init__(self, job_id: int, worker: str) -> None:
        super().__init__(f"job {job_id} is no longer held by worker {worker}; stop working on it")
        self.job_id = job_id
        self.worker = worker


class BadValue(StoreError, ValueError):
    """`value` does not fit the column exactly (money below a cent, a date that is none, …)."""

    def __init__(self, what: str, value: Any) -> None:
        shown = repr(value)
        super().__init__(f"{what}, got {shown if len(shown) <= 80 else shown[:77] + '…'}")


class UnknownName(StoreError, LookupError):
    """A table or column that the catalog does not have."""
