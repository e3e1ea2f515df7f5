"""Making and refilling the pools of smart links: rows first, upstream's links by a job (contract 6.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ofapi_store import outbox
from ofapi_store.queries import pools

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from addons.config.working import Links

JOB = "links.pool"
_NAME_MAX = 64
"""What upstream takes as the name of a trial link."""


def grow(conn: Connection, smart_link_id: str, name: str, count: int, *, now: datetime) -> None:
    """Adds `count` links that are to be made, and the job that makes them, in the transaction of the cause."""
    first = len(pools.of_smart(conn, smart_link_id)) + 1
    names = [link_name(name, smart_link_id, n) for n in range(first, first + count)]
    pools.add(conn, smart_link_id, names, now=now)
    outbox.enqueue(conn, JOB, {"smart_link": smart_link_id}, key=smart_link_id, rerun=True, now=now)


def link_name(name: str, smart_link_id: str, number: int) -> str:
    """What the link is called upstream: unique, so that one whose making was cut short is found again."""
    end = f" · {smart_link_id[-10:]}-{number}"
    return name[: _NAME_MAX - len(end)] + end


def refill(conn: Connection, smart_link_id: str, name: str, config: Links, *, now: datetime) -> bool:
    """Grows a pool that runs low: by `pool_size`, up to `pool_max` in all. Whether it did."""
    free, total = pools.counts(conn, smart_link_id, now=now)
    more = min(config.pool_size, config.pool_max - total)
    if free > config.refill_at or more <= 0:
        return False
    grow(conn, smart_link_id, name, more, now=now)
    return True
