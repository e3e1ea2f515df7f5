"""Claims and answers of idempotency keys."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Table, delete, select, update

from ofapi_store.models.idempotency import IdempotencyKey
from ofapi_store.queries.upsert import insert_for

KEYS: Table = IdempotencyKey.__table__  # type: ignore[assignment]
SWEEP = 100


@dataclass(frozen=True, slots=True)
class Asked:
    """One attempt to use a key. `lease_until`: when the key is free again if the attempt never ends."""

    scope: str
    fingerprint: str
    owner: str
    now: datetime
    lease_until: datetime


@dataclass(frozen=True, slots=True)
class Held:
    """Who holds a key. `answer` None: under way."""

    fingerprint: str
    owner: str
    answer: str | None


def claim(conn: Connection, asked: Asked) -> Held:
    """Take a free key, or say who holds it. The caller has it if `owner` is its own."""
    expired = select(KEYS.c.scope).where(KEYS.c.expires_at <= asked.now).order_by(KEYS.c.expires_at).limit(SWEEP)
    conn.execute(delete(KEYS).where(KEYS.c.scope.in_(expired)))
    conn.execute(delete(KEYS).where(KEYS.c.scope == asked.scope, KEYS.c.expires_at <= asked.now))
    row = {
        "scope": asked.scope,
        "fingerprint": asked.fingerprint,
        "owner": asked.owner,
        "answer": None,
        "created_at": asked.now,
        "expires_at": asked.lease_until,
    }
    conn.execute(insert_for(conn, KEYS).on_conflict_do_nothing(index_elements=["scope"]), row)
    found = conn.execute(
        select(KEYS.c.fingerprint, KEYS.c.owner, KEYS.c.answer).where(KEYS.c.scope == asked.scope)
    ).one()
    return Held(*found)


def keep(conn: Connection, scope: str, owner: str, answer: str, until: datetime) -> bool:
    """Store the answer of a claim. False: the claim is no longer this owner's."""
    mine = update(KEYS).where(KEYS.c.scope == scope, KEYS.c.owner == owner)
    return bool(conn.execute(mine.values(answer=answer, expires_at=until)).rowcount)


def release(conn: Connection, scope: str, owner: str) -> None:
    """Free a key whose attempt did nothing."""
    conn.execute(delete(KEYS).where(KEYS.c.scope == scope, KEYS.c.owner == owner, KEYS.c.answer.is_(None)))
