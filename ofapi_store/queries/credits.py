"""The credits ledger. Every change of a balance and its entry are one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Literal

from sqlalchemy import Connection, Table, bindparam, delete, func, insert, select, update

from ofapi_store.errors import BadValue, InsufficientCredits
from ofapi_store.ids import new_id
from ofapi_store.models.credits import CreditEntry, CreditReservation
from ofapi_store.queries.teams import TEAMS
from ofapi_store.queries.upsert import insert_into
from ofapi_store.types import EPOCH, now_utc, period

ENTRIES: Table = CreditEntry.__table__  # type: ignore[assignment]
RESERVATIONS: Table = CreditReservation.__table__  # type: ignore[assignment]

RESERVATION_TTL = timedelta(hours=1)
DAY = timedelta(days=1)
_BUCKET = ("team_id", "bucket", "kind", "account_id", "endpoint", "credit_type", "ref")
GroupBy = Literal["day", "account", "endpoint"]

# Each metered request runs these: built once, they cost a tenth of what building them costs.
_GIVE = (
    update(TEAMS)
    .where(TEAMS.c.id == bindparam("team"))
    .values(credit_balance=TEAMS.c.credit_balance + bindparam("credits"))
    .returning(TEAMS.c.credit_balance)
)
_BALANCE = select(TEAMS.c.credit_balance).where(TEAMS.c.id == bindparam("team"))


@dataclass(frozen=True, slots=True)
class Debit:
    """Credits used by one operation, or by several of the same kind (`requests`)."""

    team_id: str
    credits: int
    endpoint: str
    account_id: str | None = None
    credit_type: str = "request"
    requests: int = 1
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Reservation:
    id: str
    credits: int
    balance: int


@dataclass(frozen=True, slots=True)
class Usage:
    """Debits of one group. `group`: `YYYY-MM-DD`, an account id or an endpoint; None for what the whole team used."""

    group: str | None
    credit_type: str
    credits: int
    requests: int


def balance(conn: Connection, team_id: str) -> int:
    """0 for an unknown team. Reserved credits are already off."""
    return int(conn.execute(_BALANCE, {"team": team_id}).scalar() or 0)


def take(conn: Connection, team_id: str, credits: int) -> int:
    """Takes credits off the balance and returns what is left. Raises InsufficientCredits and then takes nothing."""
    taken = conn.execute(
        update(TEAMS)
        .where(TEAMS.c.id == team_id, TEAMS.c.credit_balance >= credits)
        .values(credit_balance=TEAMS.c.credit_balance - credits)
        .returning(TEAMS.c.credit_balance)
    ).scalar()
    if taken is None:
        raise InsufficientCredits(balance(conn, team_id), credits)
    return int(taken)


def give(conn: Connection, team_id: str, credits: int) -> int:
    """Adds to the balance (credits may be negative) and returns it. Raises BadValue for an unknown team."""
    now_there = conn.execute(_GIVE, {"team": team_id, "credits": credits}).scalar()
    if now_there is None:
        raise BadValue("no such team", team_id)
    return int(now_there)


def charge(conn: Connection, debits: Iterable[Debit]) -> dict[str, int]:
    """Books operations that have happened, in one batch: entries by minute, balances down (below 0 if need be).

    Returns the new balance by team. Entries of 0 credits count requests.
    """
    buckets: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0])
    totals: dict[str, int] = defaultdict(int)
    for debit in debits:
        counts = buckets[_bucket(debit)]
        counts[0] += debit.credits
        counts[1] += debit.requests
        totals[debit.team_id] += debit.credits
    _add_entries(conn, buckets)
    return {team_id: give(conn, team_id, -credits) for team_id, credits in sorted(totals.items())}


def reserve(
    conn: Connection,
    team_id: str,
    credits: int,
    *,
    endpoint: str,
    account_id: str | None = None,
    credit_type: str = "request",
    ttl: timedelta = RESERVATION_TTL,
    now: datetime | None = None,
) -> Reservation:
    """Takes credits for work whose cost shows later; `settle` it. Raises InsufficientCredits.

    A reservation that is not settled within `ttl` goes back by `release_expired`.
    """
    left = take(conn, team_id, credits)
    reservation = Reservation(new_id("res"), credits, left)
    conn.execute(
        insert(RESERVATIONS),
        {
            "id": reservation.id,
            "team_id": team_id,
            "account_id": account_id or "",
            "endpoint": endpoint,
            "credit_type": credit_type,
            "credits": credits,
            "expires_at": (now or now_utc()) + ttl,
        },
    )
    return reservation


def settle(conn: Connection, reservation_id: str, used: int, *, now: datetime | None = None) -> int | None:
    """Books what was used of a reservation, gives the rest back, returns the balance. None: settled or expired already."""
    gone = conn.execute(
        delete(RESERVATIONS).where(RESERVATIONS.c.id == reservation_id).returning(*RESERVATIONS.c)
    ).first()
    if gone is None:
        return None
    debit = Debit(gone.team_id, used, gone.endpoint, gone.account_id or None, gone.credit_type, 1, now)
    _add_entries(conn, {_bucket(debit): [used, 1]})
    return give(conn, gone.team_id, gone.credits - used)


def release_expired(conn: Connection, *, now: datetime | None = None) -> int:
    """Gives back what was reserved by work that never settled (a crash). Returns how many reservations."""
    gone = conn.execute(
        delete(RESERVATIONS)
        .where(RESERVATIONS.c.expires_at < (now or now_utc()))
        .returning(RESERVATIONS.c.team_id, RESERVATIONS.c.credits)
    ).all()
    for team_id, credits in sorted((row.team_id, row.credits) for row in gone):
        give(conn, team_id, credits)
    return len(gone)


def grant(
    conn: Connection,
    team_id: str,
    credits: int,
    *,
    kind: Literal["grant", "adjust"] = "grant",
    ref: str | None = None,
    note: str | None = None,
    now: datetime | None = None,
) -> int:
    """Adds credits and returns the balance. The same `ref` counts once. Raises BadValue for an unknown team."""
    at = now or now_utc()
    if ref is not None:
        # taken first: on PostgreSQL this row lock makes a concurrent grant with the same ref wait for this one
        give(conn, team_id, 0)
        same = select(ENTRIES.c.id).where(ENTRIES.c.team_id == team_id, ENTRIES.c.kind == kind, ENTRIES.c.ref == ref)
        if conn.execute(same).first() is not None:
            return balance(conn, team_id)
    left = give(conn, team_id, credits)
    conn.execute(
        insert(ENTRIES),
        {
            "team_id": team_id,
            "bucket": at,
            "kind": kind,
            "account_id": "",
            "endpoint": "",
            "credit_type": kind,
            "ref": ref or new_id("grant"),
            "note": note,
            "credits": credits,
            "requests": 0,
        },
    )
    return left


def usage(
    conn: Connection,
    team_id: str,
    start: datetime,
    end: datetime,
    *,
    group_by: GroupBy = "day",
    account_id: str | None = None,
) -> list[Usage]:
    """Debits in `start <= t < end` by UTC day, account or endpoint, and by credit type."""
    group: Any = {
        "day": period(ENTRIES.c.bucket, DAY),
        "account": ENTRIES.c.account_id,
        "endpoint": ENTRIES.c.endpoint,
    }[group_by]
    query = (
        select(group, ENTRIES.c.credit_type, func.sum(ENTRIES.c.credits), func.sum(ENTRIES.c.requests))
        .where(
            ENTRIES.c.team_id == team_id,
            ENTRIES.c.kind == "debit",
            ENTRIES.c.bucket >= start,
            ENTRIES.c.bucket < end,
        )
        .group_by(group, ENTRIES.c.credit_type)
        .order_by(group, ENTRIES.c.credit_type)
    )
    if account_id is not None:
        query = query.where(ENTRIES.c.account_id == account_id)
    return [Usage(_group(value, group_by), kind, int(c), int(n)) for value, kind, c, n in conn.execute(query)]


def _group(value: Any, group_by: GroupBy) -> str | None:
    if group_by == "day":
        return (EPOCH + int(value) * DAY).date().isoformat()
    return str(value) or None


def _bucket(debit: Debit) -> tuple[Any, ...]:
    minute = (debit.at or now_utc()).replace(second=0, microsecond=0)
    return (debit.team_id, minute, "debit", debit.account_id or "", debit.endpoint, debit.credit_type, "")


def _add_entries(conn: Connection, buckets: dict[tuple[Any, ...], list[int]]) -> None:
    if not buckets:
        return
    rows = [
        {**dict(zip(_BUCKET, key, strict=True)), "credits": credits, "requests": requests}
        for key, (credits, requests) in sorted(buckets.items())
    ]
    conn.execute(_add_to_bucket(conn.dialect.name), rows)


@cache
def _add_to_bucket(dialect: str) -> Any:
    statement = insert_into(dialect, ENTRIES)
    return statement.on_conflict_do_update(
        index_elements=list(_BUCKET),
        set_={
            "credits": ENTRIES.c.credits + statement.excluded.credits,
            "requests": ENTRIES.c.requests + statement.excluded.requests,
        },
    )
