"""Which tables and columns rule files may name: to read them (`lookup`) and to fill them (`observe`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal

from sqlalchemy import Table

from ofapi_store.coerce import Kind
from ofapi_store.models.links import Link, LinkClaim
from ofapi_store.models.observed import Chargeback, Fan, Message, Transaction
from ofapi_store.models.teams import Account
from ofapi_store.types import from_cents

Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """A column as rules name it. `db`: what is read of the row for it. `read`: from those to plain Python.

    `plain`: what is read is the value itself. `required`: a row that is observed without it, or with a value that it cannot hold, is refused.
    """

    name: str
    kind: Kind
    db: tuple[str, ...]
    read: Callable[[Raw], Any] | None
    writable: bool = True
    required: bool = False
    plain: bool = False


@dataclass(frozen=True, slots=True)
class CatalogTable:
    """`keys` can be looked up by. `row_key` names a row in a trace. `fixed`: what all rows of this table share."""

    name: str
    table: Table
    scope: Literal["account", "team"]
    keys: tuple[str, ...]
    row_key: tuple[str, ...]
    columns: Mapping[str, Column]
    fixed: Mapping[str, str] = field(default_factory=dict)
    has_extra: bool = True


def _column(name: str, kind: Kind, *, db: str | None = None, required: bool = False, writable: bool = True) -> Column:
    source = db or name
    if kind == "money":
        return Column(name, kind, (source,), lambda raw: _money(raw[source]), writable, required)
    return Column(name, kind, (source,), lambda raw: raw[source], writable, required, plain=True)


def _write_only(name: str, kind: Kind) -> Column:
    return Column(name, kind, (), None)


def _computed(name: str, kind: Kind, db: tuple[str, ...], read: Callable[[Raw], Any]) -> Column:
    return Column(name, kind, db, read, writable=False)


def _money(cents: int | None) -> Decimal | None:
    return None if cents is None else from_cents(cents)


def _columns(*columns: Column, **kinds: str) -> dict[str, Column]:
    """`kinds`: `int="a b"` stands for plain columns a and b of that kind."""
    found = {column.name: column for column in columns}
    for kind, names in kinds.items():
        for name in names.split():
            found[name] = _column(name, kind)  # type: ignore[arg-type]
    return found


FANS = CatalogTable(
    "fans",
    Fan.__table__,  # type: ignore[arg-type]
    "account",
    ("fan_id", "username"),
    ("fan_id",),
    _columns(
        _column("fan_id", "int", required=True),
        _column("last_reply_at", "time", writable=False),
        _column("first_seen_at", "time", writable=False),
        str="username name avatar_url subscription_status",
        bool="is_active",
        time="subscribed_at renewed_at expired_at last_seen_at",
        money="subscription_price regular_price total_spent tips_spent messages_spent posts_spent streams_spent"
        " subscriptions_spent",
    ),
)

MESSAGES = CatalogTable(
    "messages",
    Message.__table__,  # type: ignore[arg-type]
    "account",
    ("message_id",),
    ("message_id",),
    _columns(
        _column("message_id", "int", required=True),
        _column("fan_id", "int", required=True),
        _column("from_fan", "bool", required=True),
        _column("created_at", "time", required=True),
        _write_only("from_user_id", "int"),
        _write_only("is_sent_by_me", "bool"),
        int="media_count",
        str="text",
        bool="is_tip is_opened is_free is_from_queue",
        money="price",
    ),
)

TRANSACTIONS = CatalogTable(
    "transactions",
    Transaction.__table__,  # type: ignore[arg-type]
    "account",
    ("transaction_id",),
    ("transaction_id",),
    _columns(
        _column("transaction_id", "str", required=True),
        _column("created_at", "time", required=True),
        _column("amount", "money", required=True),
        _column("net", "money"),
        int="fan_id",
        str="type tips_source currency status description",
        money="fee vat_amount tax_amount",
    ),
)

CHARGEBACKS = CatalogTable(
    "chargebacks",
    Chargeback.__table__,  # type: ignore[arg-type]
    "account",
    ("chargeback_id", "transaction_id"),
    ("chargeback_id",),
    _columns(
        _column("chargeback_id", "str", required=True),
        _column("created_at", "time", required=True),
        int="fan_id",
        str="transaction_id payment_type currency",
        time="paid_at",
        money="amount net",
    ),
)

ACCOUNTS = CatalogTable(
    "accounts",
    Account.__table__,  # type: ignore[arg-type]
    "team",
    ("account_id", "onlyfans_id", "username"),
    ("account_id",),
    _columns(
        _column("account_id", "str", db="id", writable=False),
        _column("onlyfans_id", "str", required=True),
        _column("state", "str", writable=False),
        _column("display_name", "str", writable=False),  # the team's own name for it
        str="username email",
        json="user_data",
    ),
    has_extra=False,
)


def _calculated(raw: Raw, value: Any) -> Any:
    return None if raw["revenue_calculated_at"] is None else value


def _per(raw: Raw, count: str) -> Decimal | None:
    """Revenue by head, to the cent. None until it was calculated."""
    if raw["revenue_calculated_at"] is None or raw["revenue_total"] is None or raw[count] is None:
        return None
    if raw[count] == 0:
        return Decimal(0)
    share = (Decimal(raw["revenue_total"]) / raw[count]).quantize(Decimal(1), ROUND_HALF_UP)
    return from_cents(int(share))


_AT = "revenue_calculated_at"
_REVENUE = (
    _computed("revenue_total", "money", ("revenue_total", _AT), lambda r: _calculated(r, _money(r["revenue_total"]))),
    _computed("chargebacks", "money", ("chargebacks", _AT), lambda r: _calculated(r, _money(r["chargebacks"]))),
    _computed("spenders_count", "int", ("spenders_count", _AT), lambda r: _calculated(r, r["spenders_count"])),
    _computed(
        "revenue_per_subscriber",
        "money",
        ("revenue_total", "subscribers_count", _AT),
        lambda raw: _per(raw, "subscribers_count"),
    ),
    _computed(
        "revenue_per_click", "money", ("revenue_total", "clicks_count", _AT), lambda raw: _per(raw, "clicks_count")
    ),
    _computed(_AT, "time", (_AT,), lambda raw: raw[_AT]),
    _computed(
        "revenue_is_loading", "bool", ("revenue_stale", _AT), lambda raw: raw[_AT] is None or bool(raw["revenue_stale"])
    ),
)


def _links(kind: str) -> CatalogTable:
    return CatalogTable(
        f"{kind}_links",
        Link.__table__,  # type: ignore[arg-type]
        "account",
        ("link_id", "code"),
        ("kind", "link_id"),
        _columns(
            _column("link_id", "int", required=True),
            _column("claims_count", "int", db="subscribers_count"),
            _column("is_smart", "bool", writable=False),
            _computed("tags", "list", (), lambda raw: raw["tags"]),
            _computed("cost", "json", ("cost",), lambda raw: raw["cost"]),
            *_REVENUE,
            int="clicks_count subscribers_count subscribe_days subscribe_counts",
            str="name code url",
            bool="is_deleted is_finished",
            time="created_at ended_at",
            json="owner payload",
        ),
        fixed={"kind": kind},
    )


def _claims(kind: str) -> CatalogTable:
    return CatalogTable(
        f"{kind}_link_claims",
        LinkClaim.__table__,  # type: ignore[arg-type]
        "account",
        (),
        (),
        _columns(
            _write_only("link_id", "int"),
            _column("fan_id", "int", required=True),
            _column("claimed_at", "time", required=True),
            _column("ended_at", "time"),
        ),
        fixed={"kind": kind},
        has_extra=False,
    )


TABLES: Mapping[str, CatalogTable] = {
    table.name: table
    for table in (
        FANS,
        MESSAGES,
        TRANSACTIONS,
        CHARGEBACKS,
        ACCOUNTS,
        _links("tracking"),
        _links("trial"),
        _links("shared_tracking"),
        _links("shared_trial"),
        _claims("tracking"),
        _claims("trial"),
    )
}
