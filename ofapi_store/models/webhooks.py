"""Events, the webhooks that want them, their deliveries and each attempt (contract 7)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, ForeignKey, Index, Integer, String, Text, UniqueConstraint, false, text, true
from sqlalchemy.orm import Mapped, mapped_column

from ofapi_store.models.base import Base
from ofapi_store.types import BigId, ExactJson, Json, UtcTime

_FRESH = text("state = 'pending' AND attempts = 0")
_RETRIES = text("state = 'pending' AND attempts > 0")
_LEASED = text("state = 'leased'")


class Event(Base):
    """A fact, once: `event_key` is unique in its team. `key` is what receivers see as idempotency key (`evt_<40 hex>`).

    Never changed after it was written. `account_id` null: an event of the team, such as an export's.
    """

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    team_id: Mapped[str] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"))
    account_id: Mapped[str | None] = mapped_column(String(64))
    event: Mapped[str] = mapped_column(String(64))
    event_key: Mapped[str] = mapped_column(String(255))
    key: Mapped[str] = mapped_column(String(44))
    payload: Mapped[dict[str, Any]] = mapped_column(ExactJson)
    created_at: Mapped[datetime] = mapped_column(UtcTime)

    __table_args__ = (UniqueConstraint("team_id", "event_key"), Index("ix_events_created_at", "created_at"))


class Webhook(Base):
    """`account_scope`: global | inclusive | exclusive. `secret` is encrypted. `state`: active | paused | disabled | listening.

    `failures`: final failures in a row. `cooldown`: how many pauses in a row there were, which sets the next one's length.
    `updated_at` moves with what a sender must know: settings and state, not counters. `listening`: no endpoint but a
    terminal that follows events until `paused_until`; it gets no deliveries and no client sees it.
    """

    __tablename__ = "webhooks"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    team_id: Mapped[str] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"), index=True)
    url: Mapped[str] = mapped_column(Text)
    events: Mapped[list[str]] = mapped_column(Json)
    account_scope: Mapped[str] = mapped_column(String(16))
    account_ids: Mapped[list[str]] = mapped_column(Json)
    secret: Mapped[str | None] = mapped_column(Text)
    enabled: Mapped[bool] = mapped_column(Boolean, server_default=true())
    state: Mapped[str] = mapped_column(String(16))
    state_reason: Mapped[str | None] = mapped_column(Text)
    failures: Mapped[int] = mapped_column(Integer, server_default="0")
    cooldown: Mapped[int] = mapped_column(Integer, server_default="0")
    paused_until: Mapped[datetime | None] = mapped_column(UtcTime)
    billed: Mapped[int] = mapped_column(Integer, server_default="0")  # deliveries since the last whole credit
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    updated_at: Mapped[datetime] = mapped_column(UtcTime)


class Delivery(Base):
    """An event for a webhook. No index on `webhook_id` alone: SQLite would read a webhook's whole past through it.

    `state`: pending | leased | delivered | failed | cancelled. `attempts`: tries that have ended.

    Deliveries of one `lane` (webhook and account) go out in order of `id` as long as they succeed; lanes take turns.
    """

    __tablename__ = "deliveries"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    uuid: Mapped[str] = mapped_column(String(36), unique=True)
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    event_id: Mapped[int] = mapped_column(ForeignKey("events.id", ondelete="CASCADE"), index=True)
    lane: Mapped[str] = mapped_column(String(110))
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    next_at: Mapped[datetime] = mapped_column(UtcTime)
    lease_until: Mapped[datetime | None] = mapped_column(UtcTime)
    lease_by: Mapped[str | None] = mapped_column(String(120))
    redelivered_from: Mapped[str | None] = mapped_column(String(36))
    is_probe: Mapped[bool] = mapped_column(Boolean, server_default=false())
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcTime)

    __table_args__ = (
        Index("ix_deliveries_fresh_turns", "webhook_id", "lane", "id", sqlite_where=_FRESH, postgresql_where=_FRESH),
        Index("ix_deliveries_retries", "webhook_id", "next_at", sqlite_where=_RETRIES, postgresql_where=_RETRIES),
        Index(
            "ix_deliveries_retry_turns",
            *("webhook_id", "lane", "next_at", "id"),
            sqlite_where=_RETRIES,
            postgresql_where=_RETRIES,
        ),
        Index("ix_deliveries_leased", "webhook_id", "lease_until", sqlite_where=_LEASED, postgresql_where=_LEASED),
        Index("ix_deliveries_finished_at", "finished_at"),
    )


class DeliveryAttempt(Base):
    """One try, append only. `error_type`: address | connect | protocol | secret | status | timeout | tls."""

    __tablename__ = "delivery_attempts"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    delivery_id: Mapped[int] = mapped_column(ForeignKey("deliveries.id", ondelete="CASCADE"))
    webhook_id: Mapped[str] = mapped_column(String(40))
    attempt: Mapped[int] = mapped_column(Integer)
    succeeded: Mapped[bool] = mapped_column(Boolean)
    status_code: Mapped[int | None] = mapped_column(Integer)
    error_type: Mapped[str | None] = mapped_column(String(32))
    error_message: Mapped[str | None] = mapped_column(Text)
    response: Mapped[str | None] = mapped_column(Text)
    duration_ms: Mapped[int | None] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(UtcTime)

    __table_args__ = (
        UniqueConstraint("delivery_id", "attempt"),
        Index("ix_delivery_attempts_webhook_id_id", "webhook_id", "id"),
        Index("ix_delivery_attempts_created_at", "created_at"),
    )
