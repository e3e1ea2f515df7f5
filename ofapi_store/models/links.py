"""Tracking and trial links (own and shared), their tags, and the fans who came through them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, Integer, String, Text, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from ofapi_store.models.base import Base
from ofapi_store.types import BigId, ExactJson, Json, UtcTime

LINK_KINDS = ("tracking", "trial", "shared_tracking", "shared_trial")


class Link(Base):
    """`link_id` is upstream's, `id` ours. `is_smart`: a pool member of a smart link.

    Revenue is null until it was calculated; `revenue_stale` says that a calculation is under way or due.
    Amounts are cents; revenue is net after refunds and chargebacks, `chargebacks` positive (contract 5.8).
    """

    __tablename__ = "links"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(16))
    link_id: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str | None] = mapped_column(Text)
    code: Mapped[str | None] = mapped_column(String(64))
    url: Mapped[str | None] = mapped_column(Text)
    clicks_count: Mapped[int | None] = mapped_column(BigInteger)
    subscribers_count: Mapped[int | None] = mapped_column(BigInteger)
    subscribe_days: Mapped[int | None] = mapped_column(Integer)
    subscribe_counts: Mapped[int | None] = mapped_column(Integer)
    owner: Mapped[dict[str, Any] | None] = mapped_column(ExactJson)
    is_deleted: Mapped[bool] = mapped_column(Boolean, server_default=false())
    is_finished: Mapped[bool | None] = mapped_column(Boolean)
    is_smart: Mapped[bool] = mapped_column(Boolean, server_default=false())
    created_at: Mapped[datetime | None] = mapped_column(UtcTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcTime)
    payload: Mapped[dict[str, Any] | None] = mapped_column(ExactJson)
    cost: Mapped[dict[str, Any] | None] = mapped_column(Json)
    revenue_total: Mapped[int | None] = mapped_column(BigInteger)
    spenders_count: Mapped[int | None] = mapped_column(BigInteger)
    chargebacks: Mapped[int | None] = mapped_column(BigInteger)
    revenue_calculated_at: Mapped[datetime | None] = mapped_column(UtcTime)
    revenue_stale: Mapped[bool] = mapped_column(Boolean, server_default=false())
    extra: Mapped[dict[str, Any] | None] = mapped_column(ExactJson)
    first_seen_at: Mapped[datetime] = mapped_column(UtcTime)
    observed_at: Mapped[datetime] = mapped_column(UtcTime)
    updated_at: Mapped[datetime] = mapped_column(UtcTime)

    __table_args__ = (
        UniqueConstraint("account_id", "kind", "link_id"),
        Index("ix_links_account_id_kind_created_at", "account_id", "kind", "created_at"),
        Index("ix_links_account_id_kind_code", "account_id", "kind", "code"),
    )


class Tag(Base):
    """One namespace per team. `folded` is the name for comparison, `name` keeps the case of its first use."""

    __tablename__ = "tags"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    team_id: Mapped[str] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(50))
    folded: Mapped[str] = mapped_column(String(150))  # case folding can lengthen a text up to threefold
    created_at: Mapped[datetime] = mapped_column(UtcTime)

    __table_args__ = (UniqueConstraint("team_id", "folded"),)


class LinkTag(Base):
    __tablename__ = "link_tags"

    link_pk: Mapped[int] = mapped_column(ForeignKey("links.id", ondelete="CASCADE"), primary_key=True)
    tag_id: Mapped[int] = mapped_column(ForeignKey("tags.id", ondelete="CASCADE"), primary_key=True, index=True)


class LinkClaim(Base):
    """A fan's subscription span that began through a link. `ended_at` null: still subscribed, as far as known."""

    __tablename__ = "link_claims"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    link_pk: Mapped[int] = mapped_column(ForeignKey("links.id", ondelete="CASCADE"))
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    fan_id: Mapped[int] = mapped_column(BigInteger)
    claimed_at: Mapped[datetime] = mapped_column(UtcTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcTime)
    source: Mapped[str] = mapped_column(String(16))  # sync | observe | click
    observed_at: Mapped[datetime] = mapped_column(UtcTime)

    __table_args__ = (
        UniqueConstraint("link_pk", "fan_id", "claimed_at"),
        Index("ix_link_claims_account_id_fan_id", "account_id", "fan_id"),
    )
