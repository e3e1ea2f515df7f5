"""What links earned: by fan, by day, by cohort, in total. `ref` names a smart link (ULID) or a link (`links.id` in digits).

All of it is derived: a recomputation of every fan gives the same rows. Amounts are cents; `net_48h` … are what a fan
spent within that time after the fan's own subscription through the link (contract 6.7).
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, Integer, String, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from ofapi_store.models.base import Base
from ofapi_store.types import BigId, Ulid, UtcTime

WINDOWS = ("48h", "7d", "14d", "30d", "all")
SUMS = tuple(f"{basis}_{window}" for basis in ("net", "gross") for window in WINDOWS)
_FLAGS = ("is_trial", "came_before")


class _OfRef:
    ref: Mapped[str] = mapped_column(Ulid, primary_key=True, sort_order=-1)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))


class _Sums:
    net_48h: Mapped[int] = mapped_column(BigInteger)
    net_7d: Mapped[int] = mapped_column(BigInteger)
    net_14d: Mapped[int] = mapped_column(BigInteger)
    net_30d: Mapped[int] = mapped_column(BigInteger)
    net_all: Mapped[int] = mapped_column(BigInteger)
    gross_48h: Mapped[int] = mapped_column(BigInteger)
    gross_7d: Mapped[int] = mapped_column(BigInteger)
    gross_14d: Mapped[int] = mapped_column(BigInteger)
    gross_30d: Mapped[int] = mapped_column(BigInteger)
    gross_all: Mapped[int] = mapped_column(BigInteger)


class LinkFan(_OfRef, _Sums, Base):
    """One fan of one link. `since`: the first subscription through it. `click_id`: of a smart link, the click before it.

    `messages`: what the fan sent since then; `day`: UTC day of `since`, number since 1970. `came_before`: the fan had
    subscribed before.
    """

    __tablename__ = "link_fans"

    fan_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    since: Mapped[datetime] = mapped_column(UtcTime)
    day: Mapped[int] = mapped_column(Integer)
    click_id: Mapped[str | None] = mapped_column(Ulid)
    is_trial: Mapped[bool] = mapped_column(Boolean)
    came_before: Mapped[bool] = mapped_column(Boolean, server_default=false())
    tips_net: Mapped[int] = mapped_column(BigInteger)
    chargebacks: Mapped[int] = mapped_column(BigInteger)
    messages: Mapped[int] = mapped_column(BigInteger)
    calculated_at: Mapped[datetime] = mapped_column(UtcTime)

    __table_args__ = (
        # each order with everything that the report filters by: what a filter leaves out is never fetched
        Index("ix_link_fans_ref_net_all", "ref", "net_all", "fan_id", "tips_net", "messages", *_FLAGS),
        Index("ix_link_fans_ref_tips_net", "ref", "tips_net", "fan_id", "net_all", "messages", *_FLAGS),
        Index("ix_link_fans_ref_messages", "ref", "messages", "fan_id", "net_all", "tips_net", *_FLAGS),
        Index("ix_link_fans_ref_since", "ref", "since", "fan_id", "net_all", "tips_net", "messages", *_FLAGS),
        Index(
            "ix_link_fans_came_before",
            "ref",
            "fan_id",
            sqlite_where=text("came_before = 1"),
            postgresql_where=text("came_before"),
        ),
        Index("ix_link_fans_account_id_fan_id", "account_id", "fan_id"),
    )


class LinkFanGroup(_OfRef, Base):
    """Fans of a link who are alike: sums over them give the totals of any filter of fans (`queries/fan_groups.py`).

    `messages_from`, `net_from`, `tips_from`: the least value of the steps that the fans' own values are in.
    """

    __tablename__ = "link_fan_groups"

    came_before: Mapped[bool] = mapped_column(Boolean, primary_key=True)
    is_trial: Mapped[bool] = mapped_column(Boolean, primary_key=True)
    messages_from: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    net_from: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    tips_from: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    fans: Mapped[int] = mapped_column(BigInteger)
    net: Mapped[int] = mapped_column(BigInteger)
    tips_net: Mapped[int] = mapped_column(BigInteger)


class LinkFanDay(_OfRef, Base):
    """What one fan brought one link on one day (of the payment)."""

    __tablename__ = "link_fan_days"

    fan_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    day: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    net: Mapped[int] = mapped_column(BigInteger)
    gross: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (Index("ix_link_fan_days_account_id_fan_id", "account_id", "fan_id"),)


class LinkDay(_OfRef, Base):
    """Increments by UTC day. `spenders`: fans who brought something for the first time, so that days add up to the total."""

    __tablename__ = "link_days"

    day: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    subs: Mapped[int] = mapped_column(BigInteger)
    net: Mapped[int] = mapped_column(BigInteger)
    spenders: Mapped[int] = mapped_column(BigInteger)


class LinkCohort(_OfRef, _Sums, Base):
    """Sums over the fans who came on one UTC day."""

    __tablename__ = "link_cohorts"

    day: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    subs: Mapped[int] = mapped_column(BigInteger)


class LinkTotal(_OfRef, Base):
    """`fans_1`, `fans_3`: fans who sent at least one, three messages."""

    __tablename__ = "link_totals"

    subs: Mapped[int] = mapped_column(BigInteger)
    spenders: Mapped[int] = mapped_column(BigInteger)
    net: Mapped[int] = mapped_column(BigInteger)
    tips_net: Mapped[int] = mapped_column(BigInteger)
    chargebacks: Mapped[int] = mapped_column(BigInteger)
    fans_1: Mapped[int] = mapped_column(BigInteger)
    fans_3: Mapped[int] = mapped_column(BigInteger)
    conversions: Mapped[int] = mapped_column(BigInteger)


class LinkCount(Base):
    """Upstream's own click count of a link as last seen on a UTC day: its growth is the day's clicks."""

    __tablename__ = "link_counts"

    link_pk: Mapped[int] = mapped_column(ForeignKey("links.id", ondelete="CASCADE"), primary_key=True)
    day: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    clicks: Mapped[int] = mapped_column(BigInteger)


class Conversion(Base):
    """`fact`: id of the transaction or message, else empty. Amounts are this link's share, 0 after a refund."""

    __tablename__ = "conversions"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    smart_link_id: Mapped[str] = mapped_column(ForeignKey("smart_links.id", ondelete="CASCADE"))
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    type: Mapped[str] = mapped_column(String(32))
    fan_id: Mapped[int] = mapped_column(BigInteger)
    fact: Mapped[str] = mapped_column(String(64))
    click_id: Mapped[str] = mapped_column(Ulid)
    conversion_at: Mapped[datetime] = mapped_column(UtcTime)
    gross: Mapped[int] = mapped_column(BigInteger)
    net: Mapped[int] = mapped_column(BigInteger)
    is_bot: Mapped[bool] = mapped_column(Boolean)
    is_duplicate: Mapped[bool] = mapped_column(Boolean)

    __table_args__ = (
        UniqueConstraint("smart_link_id", "fan_id", "type", "fact", name="uq_conversions_fact"),
        Index("ix_conversions_smart_link_id_conversion_at", "smart_link_id", "conversion_at", "id"),
        Index("ix_conversions_account_id_fan_id", "account_id", "fan_id"),
    )


class ConversionDay(Base):
    """Counts and sums of conversions by UTC day and everything that reports filter by, but the fan."""

    __tablename__ = "conversion_days"

    smart_link_id: Mapped[str] = mapped_column(ForeignKey("smart_links.id", ondelete="CASCADE"), primary_key=True)
    day: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    type: Mapped[str] = mapped_column(String(32), primary_key=True)
    is_bot: Mapped[bool] = mapped_column(Boolean, primary_key=True)
    is_duplicate: Mapped[bool] = mapped_column(Boolean, primary_key=True)
    conversions: Mapped[int] = mapped_column(BigInteger)
    net: Mapped[int] = mapped_column(BigInteger)


class DirtyFan(Base):
    """A fan of some link about whom something new is known: what the links earned from this fan is to be worked out anew.

    `marks` counts: a mark that comes while the fan is being worked out is not lost.
    """

    __tablename__ = "dirty_fans"

    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    fan_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    marks: Mapped[int] = mapped_column(BigInteger)
