"""Data exports and the accounts that each is about (contract 8)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, Integer, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from ofapi_store.models.base import Base
from ofapi_store.types import Json, UtcTime

STATUSES = (
    "calculating_credits",
    "calculating_credits_completed",
    "calculating_credits_failed",
    "pending",
    "in_progress",
    "completed",
    "failed",
    "cancelled",
)


class DataExport(Base):
    """One file that a team asked for. Rows are those in `start_at <= t < end_at`.

    `charged`: credits that were taken and not given back. `requires_walk`: upstream is asked, not the store alone.
    `file_size` null: there is no file, or no more.
    """

    __tablename__ = "data_exports"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    team_id: Mapped[str] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"))
    original_id: Mapped[str | None] = mapped_column(String(40))
    type: Mapped[str] = mapped_column(String(32))
    file_type: Mapped[str] = mapped_column(String(8))
    status: Mapped[str] = mapped_column(String(32))
    start_at: Mapped[datetime] = mapped_column(UtcTime)
    end_at: Mapped[datetime] = mapped_column(UtcTime)
    columns: Mapped[list[str]] = mapped_column(Json)
    options: Mapped[dict[str, Any]] = mapped_column(Json)
    auto_start: Mapped[bool] = mapped_column(Boolean, server_default=false())
    requires_walk: Mapped[bool] = mapped_column(Boolean, server_default=false())
    total_rows: Mapped[int | None] = mapped_column(BigInteger)
    rows_processed: Mapped[int] = mapped_column(BigInteger, server_default="0")
    credit_cost: Mapped[int | None] = mapped_column(BigInteger)
    charged: Mapped[int] = mapped_column(BigInteger, server_default="0")
    failed_downloads: Mapped[int] = mapped_column(Integer, server_default="0")
    failed_reason: Mapped[str | None] = mapped_column(Text)
    file_size: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    updated_at: Mapped[datetime] = mapped_column(UtcTime)
    completed_at: Mapped[datetime | None] = mapped_column(UtcTime)
    failed_at: Mapped[datetime | None] = mapped_column(UtcTime)

    __table_args__ = (
        Index("ix_data_exports_team_id_created_at", "team_id", "created_at"),
        Index("ix_data_exports_status_updated_at", "status", "updated_at"),
    )


class DataExportAccount(Base):
    __tablename__ = "data_export_accounts"

    export_id: Mapped[str] = mapped_column(ForeignKey("data_exports.id", ondelete="CASCADE"), primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True, index=True)
