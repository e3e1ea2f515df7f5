"""Clicks of smart links and their counts by hour and day, kept up in the transaction that stores the clicks."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, Integer, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from ofapi_store.models.base import Base
from ofapi_store.types import Json, Ulid, UtcTime

_HOLDS = text("pool_id IS NOT NULL")


class Click(Base):
    """`id` is a ULID made when the redirect was answered: the key is the order of time.

    `pool_id`: the real link that the visitor was sent to, null for robots and where no pool link was there.
    `is_shared`: another click held that link at the time. `gross_clicks`: this click and its duplicates.
    `params`: campaign parameters and click ids by name, only those that were sent.
    """

    __tablename__ = "clicks"

    smart_link_id: Mapped[str] = mapped_column(ForeignKey("smart_links.id", ondelete="CASCADE"), primary_key=True)
    id: Mapped[str] = mapped_column(Ulid, primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    pool_id: Mapped[int | None] = mapped_column(BigInteger)
    visitor: Mapped[str] = mapped_column(String(32))
    ip_address: Mapped[str | None] = mapped_column(String(45))
    user_agent: Mapped[str | None] = mapped_column(Text)
    referrer: Mapped[str | None] = mapped_column(Text)
    device_type: Mapped[str | None] = mapped_column(String(16))
    browser_name: Mapped[str | None] = mapped_column(String(120))
    browser_family: Mapped[str | None] = mapped_column(String(120))
    platform: Mapped[str | None] = mapped_column(String(120))
    country_code: Mapped[str | None] = mapped_column(String(2))
    is_bot: Mapped[bool] = mapped_column(Boolean)
    is_duplicate: Mapped[bool] = mapped_column(Boolean)
    is_shared: Mapped[bool] = mapped_column(Boolean)
    gross_clicks: Mapped[int] = mapped_column(Integer)
    params: Mapped[dict[str, Any] | None] = mapped_column(Json)

    __table_args__ = (Index("ix_clicks_pool_id_id", "pool_id", "id", sqlite_where=_HOLDS, postgresql_where=_HOLDS),)


class ClickVisitor(Base):
    """The last first click of a visitor, for the window in which a second one is a duplicate."""

    __tablename__ = "click_visitors"

    smart_link_id: Mapped[str] = mapped_column(ForeignKey("smart_links.id", ondelete="CASCADE"), primary_key=True)
    visitor: Mapped[str] = mapped_column(String(32), primary_key=True)
    click_id: Mapped[str] = mapped_column(Ulid)
    seen_at: Mapped[datetime] = mapped_column(UtcTime)

    __table_args__ = (Index("ix_click_visitors_seen_at", "seen_at"),)


class _Rollup:
    """`bucket`: number of the UTC hour or day since 1970."""

    smart_link_id: Mapped[str] = mapped_column(ForeignKey("smart_links.id", ondelete="CASCADE"), primary_key=True)
    bucket: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    is_bot: Mapped[bool] = mapped_column(Boolean, primary_key=True)
    is_duplicate: Mapped[bool] = mapped_column(Boolean, primary_key=True)
    clicks: Mapped[int] = mapped_column(BigInteger)


class ClickHour(_Rollup, Base):
    __tablename__ = "click_hours"


class ClickDay(_Rollup, Base):
    __tablename__ = "click_days"


class ClickSpool(Base):
    """How far a spool file of answered clicks has been stored: the position moves in the transaction of its clicks."""

    __tablename__ = "click_spools"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)
    updated_at: Mapped[datetime] = mapped_column(UtcTime)
