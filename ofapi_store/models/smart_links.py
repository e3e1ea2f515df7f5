"""Smart links, their pools of real links, and who is told of their conversions (contract 6.1, 6.9)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from ofapi_store.models.base import Base
from ofapi_store.types import BigId, Json, Ulid, UtcTime


class SmartLink(Base):
    """`state`: active | deleted. `link_type`: free_trial | tracking_link. `pool_problem`: why its pool cannot be made."""

    __tablename__ = "smart_links"

    id: Mapped[str] = mapped_column(Ulid, primary_key=True)
    team_id: Mapped[str] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"))
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(255))
    link_type: Mapped[str] = mapped_column(String(16))
    free_trial_days: Mapped[int | None] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(String(16))
    pool_problem: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    updated_at: Mapped[datetime] = mapped_column(UtcTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcTime)

    __table_args__ = (
        Index("ix_smart_links_team_id_id", "team_id", "id"),
        Index("ix_smart_links_account_id", "account_id"),
    )


class SmartLinkTag(Base):
    __tablename__ = "smart_link_tags"

    smart_link_id: Mapped[str] = mapped_column(ForeignKey("smart_links.id", ondelete="CASCADE"), primary_key=True)
    tag_id: Mapped[int] = mapped_column(ForeignKey("tags.id", ondelete="CASCADE"), primary_key=True, index=True)


class PoolLink(Base):
    """A real link of upstream's that one smart link sends visitors to.

    `state`: making | ready | retired. `asked_at`: when upstream was first asked to make it, so that a second try looks
    for it before it asks again. It is held until `held_until` by the click `held_by`.
    """

    __tablename__ = "pool_links"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    smart_link_id: Mapped[str] = mapped_column(ForeignKey("smart_links.id", ondelete="CASCADE"))
    link_pk: Mapped[int | None] = mapped_column(ForeignKey("links.id", ondelete="SET NULL"))
    name: Mapped[str] = mapped_column(String(255))
    url: Mapped[str | None] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16))
    asked_at: Mapped[datetime | None] = mapped_column(UtcTime)
    held_by: Mapped[str | None] = mapped_column(Ulid)
    held_until: Mapped[datetime | None] = mapped_column(UtcTime)
    last_held_at: Mapped[datetime | None] = mapped_column(UtcTime)
    created_at: Mapped[datetime] = mapped_column(UtcTime)

    __table_args__ = (
        Index("ix_pool_links_smart_link_id", "smart_link_id"),
        UniqueConstraint("link_pk", name="uq_pool_links_link_pk"),
    )


class Postback(Base):
    """A URL of a team's that is called for conversions. `headers`: SecretBox token of a JSON list, they may hold keys.

    `conversion_types`: list of names. `scope`: global | campaign_specific.
    """

    __tablename__ = "postbacks"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    team_id: Mapped[str] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"), index=True)
    url: Mapped[str] = mapped_column(Text)
    http_method: Mapped[str] = mapped_column(String(8))
    body: Mapped[str | None] = mapped_column(Text)
    headers: Mapped[str | None] = mapped_column(Text)
    conversion_types: Mapped[list[str]] = mapped_column(Json)
    scope: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    updated_at: Mapped[datetime] = mapped_column(UtcTime)


class PostbackLink(Base):
    __tablename__ = "postback_links"

    postback_id: Mapped[int] = mapped_column(ForeignKey("postbacks.id", ondelete="CASCADE"), primary_key=True)
    smart_link_id: Mapped[str] = mapped_column(
        ForeignKey("smart_links.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class PostbackResponse(Base):
    """One try of one delivery; append only, old ones are pruned."""

    __tablename__ = "postback_responses"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    postback_id: Mapped[int] = mapped_column(ForeignKey("postbacks.id", ondelete="CASCADE"))
    conversion_id: Mapped[int] = mapped_column(BigInteger)
    conversion_type: Mapped[str] = mapped_column(String(32))
    status_code: Mapped[int | None] = mapped_column(Integer)
    succeeded: Mapped[bool] = mapped_column(Boolean)
    error_type: Mapped[str | None] = mapped_column(String(32))
    error_message: Mapped[str | None] = mapped_column(Text)
    postback_url: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcTime)

    __table_args__ = (
        Index("ix_postback_responses_postback_id_id", "postback_id", "id"),
        Index("ix_postback_responses_created_at", "created_at"),
    )
