"""Answers kept for `Idempotency-Key`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from ofapi_store.models.base import Base
from ofapi_store.types import UtcTime


class IdempotencyKey(Base):
    """`scope`: SHA-256 over team, account, operation and key. `answer` (a SecretBox token) is null while under way.

    A row is free again after `expires_at`: the lease of one under way, or the time that an answer is kept.
    """

    __tablename__ = "idempotency_keys"

    scope: Mapped[str] = mapped_column(String(64), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    owner: Mapped[str] = mapped_column(String(40))
    answer: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    expires_at: Mapped[datetime] = mapped_column(UtcTime)

    __table_args__ = (Index("ix_idempotency_keys_expires_at", "expires_at"),)
