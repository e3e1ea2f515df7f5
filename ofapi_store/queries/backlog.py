"""What waits for workers, counted, for metrics. Every count goes through an index that holds only what it counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from ofapi_store.lanes import JOBS
from ofapi_store.models.jobs import LIVE_ROWS
from ofapi_store.queries.events import DELIVERIES, WEBHOOKS
from ofapi_store.queries.webhooks import FRESH, LEASED, LISTENING, RETRIES

RECENT = timedelta(hours=1)
WAITING = {"new": FRESH, "retry": RETRIES, "leased": LEASED}


@dataclass(frozen=True, slots=True)
class Backlog:
    """`jobs`: live ones by (kind, state). `failed`: of the last hour, by kind. `late_s`: how long the first due job waits.

    `deliveries`: new, retry, leased. `webhooks`: by state.
    """

    jobs: Mapping[tuple[str, str], int]
    failed: Mapping[str, int]
    late_s: float
    deliveries: Mapping[str, int]
    webhooks: Mapping[str, int]


def count(conn: Connection, *, now: datetime) -> Backlog:
    c = JOBS.c
    live = select(c.kind, c.state, func.count()).where(LIVE_ROWS).group_by(c.kind, c.state)
    failed = (
        select(c.kind, func.count().label("n"))
        .where(c.finished_at >= now - RECENT, c.state == "failed")
        .group_by(c.kind)
    )
    first = select(func.min(c.next_at, type_=c.next_at.type)).where(c.state == "pending")
    due: datetime | None = conn.execute(first).scalar()
    waiting = {
        name: conn.execute(select(func.count()).select_from(DELIVERIES).where(state)).scalar_one()
        for name, state in WAITING.items()
    }
    w = WEBHOOKS.c
    hooks = select(w.state, func.count().label("n")).where(w.state != LISTENING).group_by(w.state)
    return Backlog(
        {(kind, state): n for kind, state, n in conn.execute(live)},
        {row.kind: row.n for row in conn.execute(failed)},
        max(0.0, (now - due).total_seconds()) if due is not None else 0.0,
        waiting,
        {row.state: row.n for row in conn.execute(hooks)},
    )
