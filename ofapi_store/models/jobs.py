"""The outbox: work that must happen later, written in the same transaction as its cause."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Index, Integer, String, Text, false, text
from sqlalchemy.orm import Mapped, mapped_column

from ofapi_store.models.base import Base
from ofapi_store.types import BigId, Json, UtcTime

# text, not parameters: PostgreSQL must see at planning time that it is the index's own condition
LIVE_ROWS = text("state IN ('pending', 'running')")
_RUNNING = text("state = 'running'")
_PENDING = text("state = 'pending'")


class Job(Base):
    """`state`: pending | running | done | failed | cancelled; the first two are live.

    `key` is unique per kind while live. Jobs of one (`kind`, `lane`) run one after the other in order of `id`:
    those behind the first wait with `next_at` null. `rerun`: asked for again while running.
    """

    __tablename__ = "jobs"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    kind: Mapped[str] = mapped_column(String(64))
    key: Mapped[str | None] = mapped_column(String(255))
    lane: Mapped[str | None] = mapped_column(String(255))
    payload: Mapped[dict[str, Any]] = mapped_column(Json)
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(Integer)
    max_attempts: Mapped[int] = mapped_column(Integer)
    rerun: Mapped[bool] = mapped_column(Boolean, server_default=false())
    next_at: Mapped[datetime | None] = mapped_column(UtcTime)
    lease_until: Mapped[datetime | None] = mapped_column(UtcTime)
    lease_by: Mapped[str | None] = mapped_column(String(120))
    last_error: Mapped[str | None] = mapped_column(Text)
    progress: Mapped[dict[str, Any] | None] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcTime)

    __table_args__ = (
        Index("uq_jobs_live_key", "kind", "key", unique=True, sqlite_where=LIVE_ROWS, postgresql_where=LIVE_ROWS),
        Index("uq_jobs_running_lane", "kind", "lane", unique=True, sqlite_where=_RUNNING, postgresql_where=_RUNNING),
        Index("ix_jobs_due", "next_at", "id", sqlite_where=_PENDING, postgresql_where=_PENDING),
        Index("ix_jobs_leases", "lease_until", sqlite_where=_RUNNING, postgresql_where=_RUNNING),
        Index("ix_jobs_live_lane", "kind", "lane", "id", sqlite_where=LIVE_ROWS, postgresql_where=LIVE_ROWS),
        Index("ix_jobs_kind_state_id", "kind", "state", "id"),
        Index("ix_jobs_finished_at", "finished_at"),
    )
