"""Rows of data exports from the store, in batches: each continues after the last row of the one before.

So a batch costs the same however deep it lies, no read stays open for minutes, and memory stays flat.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, and_, exists, func, literal, not_, or_, select

from ofapi_store.models.clicks import ClickDay
from ofapi_store.models.link_revenue import LinkTotal
from ofapi_store.models.smart_links import SmartLink
from ofapi_store.queries.fans import FANS
from ofapi_store.queries.links import LINKS
from ofapi_store.queries.messages import MESSAGES
from ofapi_store.queries.transactions import CHARGEBACKS, TRANSACTIONS

SMART: Any = SmartLink.__table__
TOTALS: Any = LinkTotal.__table__
CLICKS: Any = ClickDay.__table__

Conditions = Sequence[ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class Scope:
    """Which rows: of one account, in `start <= t < end`, by the export's options. `now`: who counts as active.

    `earlier`: accounts whose rows were given before, for lists that name each person once.
    """

    account_id: str
    account_name: str
    start: datetime
    end: datetime
    now: datetime
    options: Mapping[str, Any] = field(default_factory=dict)
    earlier: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listing:
    """One type of export. `money`: columns that are cents in the store. `order`: unique together.

    `timed`: the first of `order` is the row's time, which the period bounds; `where` then leaves it out.
    """

    source: FromClause
    columns: Mapping[str, ColumnElement[Any] | Callable[[Scope], ColumnElement[Any]]]
    order: tuple[ColumnElement[Any], ...]
    where: Callable[[Scope], Conditions]
    money: frozenset[str] = frozenset()
    newest_first: bool = False
    timed: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows in the order of the columns that were asked for. `after`: where the next batch goes on, None at the end."""

    rows: list[tuple[Any, ...]]
    after: tuple[Any, ...] | None


def count(conn: Connection, kind: str, scope: Scope) -> int:
    """How many rows there are now."""
    listing = LISTINGS[kind]
    query = select(func.count()).select_from(listing.source).where(*_conditions(listing, scope, None))
    return int(conn.execute(query).scalar_one())


def batch(
    conn: Connection, kind: str, scope: Scope, columns: Sequence[str], *, after: tuple[Any, ...] | None, limit: int
) -> Batch:
    """Up to `limit` rows. Amounts are Decimal with two places. Raises KeyError for an unknown column."""
    listing = LISTINGS[kind]
    names = {"account_id": literal(scope.account_id), "account_name": literal(scope.account_name)}
    wanted = [names[c] if c in names else _column(listing, c, scope) for c in columns]
    query = select(*wanted, *listing.order).select_from(listing.source).where(*_conditions(listing, scope, after))
    order = [c.desc() if listing.newest_first else c for c in listing.order]
    found = conn.execute(query.order_by(*order).limit(limit)).all()
    width = len(columns)
    money = [i for i, name in enumerate(columns) if name in listing.money]
    rows = [_exact(row[:width], money) for row in found]
    return Batch(rows, tuple(found[-1][width:]) if len(found) == limit else None)


def lacks_text(conn: Connection, scope: Scope) -> bool:
    """Whether a message of the period was stored without its text."""
    where = (*_conditions(LISTINGS["chat_messages"], scope, None), MESSAGES.c.text.is_(None))
    return conn.execute(select(literal(1)).where(*where).limit(1)).first() is not None


def _column(listing: Listing, name: str, scope: Scope) -> ColumnElement[Any]:
    column = listing.columns[name]
    return column if isinstance(column, ColumnElement) else column(scope)


def _exact(row: tuple[Any, ...], money: list[int]) -> tuple[Any, ...]:
    if not money:
        return tuple(row)
    out = list(row)
    for i in money:
        if out[i] is not None:
            out[i] = Decimal(out[i]).scaleb(-2)
    return tuple(out)


def _conditions(listing: Listing, scope: Scope, after: tuple[Any, ...] | None) -> Conditions:
    """Whose, when, and which are left. One lower and one upper bound of the time, so that an index goes straight there."""
    first, last, down = listing.order[0], listing.order[-1], listing.newest_first
    out = list(listing.where(scope))
    if listing.timed and (after is None or down):
        out.append(first >= scope.start)
    if listing.timed and (after is None or not down):
        out.append(first < scope.end)
    if after is None:
        return out
    if len(listing.order) == 1:
        return [*out, first < after[0] if down else first > after[0]]
    beyond = (first < after[0], last < after[1]) if down else (first > after[0], last > after[1])
    return [*out, first <= after[0] if down else first >= after[0], or_(beyond[0], beyond[1])]


def _within(column: ColumnElement[Any], scope: Scope) -> Conditions:
    return (column >= scope.start, column < scope.end)


def _with_fan(table: Any) -> FromClause:
    joined: FromClause = table.outerjoin(
        FANS, and_(FANS.c.account_id == table.c.account_id, FANS.c.fan_id == table.c.fan_id)
    )
    return joined


def _of_account(table: Any) -> Callable[[Scope], Conditions]:
    return lambda scope: (table.c.account_id == scope.account_id,)


def _messages(scope: Scope) -> Conditions:
    c, options = MESSAGES.c, scope.options
    out: list[ColumnElement[bool]] = [c.account_id == scope.account_id]
    if options.get("skipMassMessages"):
        out.append(func.coalesce(c.is_from_queue, False).is_(False))
    if options.get("chatIds"):
        out.append(c.fan_id.in_(sorted(set(options["chatIds"]))))
    if options.get("maxChats"):
        newest = select(c.fan_id).where(*out, *_within(c.created_at, scope)).group_by(c.fan_id)
        newest = newest.order_by(func.max(c.created_at).desc(), c.fan_id).limit(options["maxChats"])
        out.append(c.fan_id.in_(newest))
    return out


def _is_active(scope: Scope) -> ColumnElement[bool]:
    """See `fans.is_subscribed`."""
    c = FANS.c
    return func.coalesce(
        and_(func.coalesce(c.is_active, True), func.coalesce(c.expired_at > scope.now, c.is_active)), False
    )


def _fans(scope: Scope) -> Conditions:
    """Those who are or were subscribed, by the day of their subscription where it is known."""
    c, kind = FANS.c, scope.options.get("type", "all")
    known = or_(c.is_active.is_not(None), c.subscribed_at.is_not(None), c.expired_at.is_not(None))
    dated = and_(*_within(c.subscribed_at, scope))
    out = [c.account_id == scope.account_id, known]
    out.append(dated if kind == "latest" else or_(c.subscribed_at.is_(None), dated))
    if kind in ("active", "expired"):
        out.append(_is_active(scope) if kind == "active" else not_(_is_active(scope)))
    return out


def _links(kind: str) -> Callable[[Scope], Conditions]:
    c = LINKS.c

    def where(scope: Scope) -> Conditions:
        seen = or_(c.payload.is_not(None), c.created_at.is_not(None))
        dated = or_(c.created_at.is_(None), and_(*_within(c.created_at, scope)))
        own = (c.account_id == scope.account_id, c.kind == kind, c.is_smart.is_(False), c.is_deleted.is_(False))
        return (*own, seen, dated)

    return where


def _smart_links(scope: Scope) -> Conditions:
    return (SMART.c.account_id == scope.account_id, *_within(SMART.c.created_at, scope))


def _profiles(scope: Scope) -> Conditions:
    """Everybody with a name whom the accounts have seen, each once."""
    c, options = FANS.c, scope.options
    out = [c.account_id == scope.account_id, c.username.is_not(None)]
    if text := options.get("query"):
        names = [func.lower(c[name]).contains(str(text).lower(), autoescape=True) for name in ("username", "name")]
        out.append(or_(*names))
    if "minLastSeenAt" in options:
        out.append(c.last_seen_at >= datetime.fromisoformat(options["minLastSeenAt"]))
    if "createdAtFrom" in options:
        out.append(c.first_seen_at >= datetime.fromisoformat(options["createdAtFrom"]))
    if "createdAtTo" in options:
        out.append(c.first_seen_at <= datetime.fromisoformat(options["createdAtTo"]))
    if scope.earlier:
        other = FANS.alias("other")
        same = (other.c.account_id.in_(scope.earlier), other.c.fan_id == c.fan_id, other.c.username.is_not(None))
        out.append(~exists().where(*same))
    return out


_FAN = {"fan_username": FANS.c.username, "fan_name": FANS.c.name}
_LINK = {
    name: LINKS.c[name]
    for name in ("link_id", "name", "code", "url", "clicks_count", "subscribers_count", "spenders_count", "created_at")
} | {"revenue_total": LINKS.c.revenue_total, "chargebacks_total": LINKS.c.chargebacks}
_LINK_MONEY = frozenset({"revenue_total", "chargebacks_total"})
_CLICKS = (
    select(func.coalesce(func.sum(CLICKS.c.clicks), 0))
    .where(CLICKS.c.smart_link_id == SMART.c.id, CLICKS.c.is_bot.is_(False), CLICKS.c.is_duplicate.is_(False))
    .correlate(SMART)
    .scalar_subquery()
)

LISTINGS: dict[str, Listing] = {
    "transactions": Listing(
        _with_fan(TRANSACTIONS),
        {
            "transaction_id": TRANSACTIONS.c.transaction_id,
            "type": TRANSACTIONS.c.type,
            "amount": TRANSACTIONS.c.amount,
            "net_amount": TRANSACTIONS.c.net,
            "currency": TRANSACTIONS.c.currency,
            "created_at": TRANSACTIONS.c.created_at,
            "fee": TRANSACTIONS.c.fee,
            "vat_amount": TRANSACTIONS.c.vat_amount,
            "tax_amount": TRANSACTIONS.c.tax_amount,
            "status": TRANSACTIONS.c.status,
            "tips_source": TRANSACTIONS.c.tips_source,
            "description": TRANSACTIONS.c.description,
            "fan_id": TRANSACTIONS.c.fan_id,
            **_FAN,
        },
        (TRANSACTIONS.c.created_at, TRANSACTIONS.c.transaction_id),
        _of_account(TRANSACTIONS),
        frozenset({"amount", "net_amount", "fee", "vat_amount", "tax_amount"}),
        timed=True,
    ),
    "chargebacks": Listing(
        _with_fan(CHARGEBACKS),
        {
            "chargeback_id": CHARGEBACKS.c.chargeback_id,
            "transaction_id": CHARGEBACKS.c.transaction_id,
            "payment_type": CHARGEBACKS.c.payment_type,
            "amount": CHARGEBACKS.c.amount,
            "net_amount": CHARGEBACKS.c.net,
            "currency": CHARGEBACKS.c.currency,
            "created_at": CHARGEBACKS.c.created_at,
            "paid_at": CHARGEBACKS.c.paid_at,
            "fan_id": CHARGEBACKS.c.fan_id,
            **_FAN,
        },
        (CHARGEBACKS.c.created_at, CHARGEBACKS.c.chargeback_id),
        _of_account(CHARGEBACKS),
        frozenset({"amount", "net_amount"}),
        timed=True,
    ),
    "chat_messages": Listing(
        _with_fan(MESSAGES),
        {
            "message_id": MESSAGES.c.message_id,
            "chat_id": MESSAGES.c.fan_id,
            **_FAN,
            "from_fan": MESSAGES.c.from_fan,
            "text": MESSAGES.c.text,
            "price": MESSAGES.c.price,
            "is_free": MESSAGES.c.is_free,
            "is_opened": MESSAGES.c.is_opened,
            "is_tip": MESSAGES.c.is_tip,
            "is_mass_message": MESSAGES.c.is_from_queue,
            "media_count": MESSAGES.c.media_count,
            "created_at": MESSAGES.c.created_at,
        },
        (MESSAGES.c.created_at, MESSAGES.c.message_id),
        _messages,
        frozenset({"price"}),
        newest_first=True,
        timed=True,
    ),
    "fans": Listing(
        FANS,
        {
            "fan_id": FANS.c.fan_id,
            "username": FANS.c.username,
            "name": FANS.c.name,
            "is_active": _is_active,
            **{
                name: FANS.c[name]
                for name in (
                    "subscribed_at",
                    "renewed_at",
                    "expired_at",
                    "subscription_status",
                    "subscription_price",
                    "regular_price",
                    "total_spent",
                    "tips_spent",
                    "messages_spent",
                    "posts_spent",
                    "streams_spent",
                    "subscriptions_spent",
                    "last_seen_at",
                    "last_reply_at",
                    "avatar_url",
                )
            },
        },
        (FANS.c.fan_id,),
        _fans,
        frozenset(
            {
                "subscription_price",
                "regular_price",
                "total_spent",
                "tips_spent",
                "messages_spent",
                "posts_spent",
                "streams_spent",
                "subscriptions_spent",
            }
        ),
    ),
    "tracking_links": Listing(LINKS, _LINK, (LINKS.c.id,), _links("tracking"), _LINK_MONEY),
    "trial_links": Listing(
        LINKS,
        _LINK
        | {
            "subscribe_days": LINKS.c.subscribe_days,
            "subscribe_counts": LINKS.c.subscribe_counts,
            "is_finished": LINKS.c.is_finished,
            "expires_at": LINKS.c.ended_at,
        },
        (LINKS.c.id,),
        _links("trial"),
        _LINK_MONEY,
    ),
    "smart_links": Listing(
        SMART.outerjoin(TOTALS, TOTALS.c.ref == SMART.c.id),
        {
            "smart_link_id": SMART.c.id,
            "name": SMART.c.name,
            "link_type": SMART.c.link_type,
            "free_trial_days": SMART.c.free_trial_days,
            "state": SMART.c.state,
            "clicks_count": _CLICKS,
            "subscribers_count": func.coalesce(TOTALS.c.subs, 0),
            "spenders_count": func.coalesce(TOTALS.c.spenders, 0),
            "conversions_count": func.coalesce(TOTALS.c.conversions, 0),
            "revenue_net": func.coalesce(TOTALS.c.net, 0),
            "created_at": SMART.c.created_at,
            "deleted_at": SMART.c.deleted_at,
        },
        (SMART.c.id,),
        _smart_links,
        frozenset({"revenue_net"}),
    ),
    "public_profiles": Listing(
        FANS,
        {
            "onlyfans_id": FANS.c.fan_id,
            "username": FANS.c.username,
            "name": FANS.c.name,
            "avatar_url": FANS.c.avatar_url,
            "last_seen_at": FANS.c.last_seen_at,
            "first_stored_at": FANS.c.first_seen_at,
            "stats_updated_at": FANS.c.updated_at,
        },
        (FANS.c.fan_id,),
        _profiles,
    ),
}
