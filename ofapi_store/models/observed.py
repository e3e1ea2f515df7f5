"""What is seen of an account in passing and by sync: fans, messages, transactions, chargebacks, sync cursors.

`observed_at` is when upstream's answer was read: an older observation never overwrites a newer one. Amounts are cents.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from ofapi_store.models.base import Base
from ofapi_store.types import ExactJson, Json, UtcTime


class _OfAccount:
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)


class Fan(_OfAccount, Base):
    """`last_reply_at`: the newest message that the fan sent to this creator. `observed_at` null: known from messages only."""

    __tablename__ = "fans"

    fan_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    username: Mapped[str | None] = mapped_column(String(255))
    name: Mapped[str | None] = mapped_column(Text)
    avatar_url: Mapped[str | None] = mapped_column(Text)
    is_active: Mapped[bool | None] = mapped_column(Boolean)
    subscribed_at: Mapped[datetime | None] = mapped_column(UtcTime)
    renewed_at: Mapped[datetime | None] = mapped_column(UtcTime)
    expired_at: Mapped[datetime | None] = mapped_column(UtcTime)
    subscription_status: Mapped[str | None] = mapped_column(String(64))
    subscription_price: Mapped[int | None] = mapped_column(BigInteger)
    regular_price: Mapped[int | None] = mapped_column(BigInteger)
    total_spent: Mapped[int | None] = mapped_column(BigInteger)
    tips_spent: Mapped[int | None] = mapped_column(BigInteger)
    messages_spent: Mapped[int | None] = mapped_column(BigInteger)
    posts_spent: Mapped[int | None] = mapped_column(BigInteger)
    streams_spent: Mapped[int | None] = mapped_column(BigInteger)
    subscriptions_spent: Mapped[int | None] = mapped_column(BigInteger)
    last_seen_at: Mapped[datetime | None] = mapped_column(UtcTime)
    last_reply_at: Mapped[datetime | None] = mapped_column(UtcTime)
    extra: Mapped[dict[str, Any] | None] = mapped_column(ExactJson)
    first_seen_at: Mapped[datetime] = mapped_column(UtcTime)
    observed_at: Mapped[datetime | None] = mapped_column(UtcTime)
    updated_at: Mapped[datetime] = mapped_column(UtcTime)

    __table_args__ = (
        Index("ix_fans_account_id_username", "account_id", "username"),
        Index("ix_fans_account_id_total_spent", "account_id", "total_spent"),
        Index("ix_fans_account_id_expired_at", "account_id", "expired_at"),
    )


class Message(_OfAccount, Base):
    """A chat message between the creator and one fan. `text` only where config asks for it."""

    __tablename__ = "messages"

    message_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    fan_id: Mapped[int] = mapped_column(BigInteger)
    from_fan: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    price: Mapped[int | None] = mapped_column(BigInteger)
    is_tip: Mapped[bool | None] = mapped_column(Boolean)
    is_opened: Mapped[bool | None] = mapped_column(Boolean)
    is_free: Mapped[bool | None] = mapped_column(Boolean)
    is_from_queue: Mapped[bool | None] = mapped_column(Boolean)
    media_count: Mapped[int | None] = mapped_column(BigInteger)
    text: Mapped[str | None] = mapped_column(Text)
    extra: Mapped[dict[str, Any] | None] = mapped_column(ExactJson)
    first_seen_at: Mapped[datetime] = mapped_column(UtcTime)
    observed_at: Mapped[datetime] = mapped_column(UtcTime)
    updated_at: Mapped[datetime] = mapped_column(UtcTime)

    __table_args__ = (
        Index("ix_messages_account_id_fan_id_created_at", "account_id", "fan_id", "created_at"),
        Index("ix_messages_account_id_created_at", "account_id", "created_at"),
    )


class Transaction(_OfAccount, Base):
    """A row of upstream's earnings ledger. `type`: subs, tips, post, chat_messages, stream, or null for unknown."""

    __tablename__ = "transactions"

    transaction_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    fan_id: Mapped[int | None] = mapped_column(BigInteger)
    type: Mapped[str | None] = mapped_column(String(32))
    tips_source: Mapped[str | None] = mapped_column(String(32))
    amount: Mapped[int] = mapped_column(BigInteger)
    net: Mapped[int | None] = mapped_column(BigInteger)
    fee: Mapped[int | None] = mapped_column(BigInteger)
    vat_amount: Mapped[int | None] = mapped_column(BigInteger)
    tax_amount: Mapped[int | None] = mapped_column(BigInteger)
    currency: Mapped[str | None] = mapped_column(String(8))
    status: Mapped[str | None] = mapped_column(String(32))
    description: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    extra: Mapped[dict[str, Any] | None] = mapped_column(ExactJson)
    first_seen_at: Mapped[datetime] = mapped_column(UtcTime)
    observed_at: Mapped[datetime] = mapped_column(UtcTime)
    updated_at: Mapped[datetime] = mapped_column(UtcTime)

    __table_args__ = (
        Index("ix_transactions_account_id_created_at", "account_id", "created_at"),
        Index("ix_transactions_account_id_fan_id_created_at", "account_id", "fan_id", "created_at"),
        Index("ix_transactions_account_id_updated_at", "account_id", "updated_at"),
    )


class Chargeback(_OfAccount, Base):
    """Money that went back to a fan. Amounts are positive."""

    __tablename__ = "chargebacks"

    chargeback_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    transaction_id: Mapped[str | None] = mapped_column(String(64))
    fan_id: Mapped[int | None] = mapped_column(BigInteger)
    payment_type: Mapped[str | None] = mapped_column(String(64))
    amount: Mapped[int | None] = mapped_column(BigInteger)
    net: Mapped[int | None] = mapped_column(BigInteger)
    currency: Mapped[str | None] = mapped_column(String(8))
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    paid_at: Mapped[datetime | None] = mapped_column(UtcTime)
    extra: Mapped[dict[str, Any] | None] = mapped_column(ExactJson)
    first_seen_at: Mapped[datetime] = mapped_column(UtcTime)
    observed_at: Mapped[datetime] = mapped_column(UtcTime)
    updated_at: Mapped[datetime] = mapped_column(UtcTime)

    __table_args__ = (
        Index("ix_chargebacks_account_id_transaction_id", "account_id", "transaction_id"),
        Index("ix_chargebacks_account_id_fan_id", "account_id", "fan_id"),
        Index("ix_chargebacks_account_id_created_at", "account_id", "created_at"),
    )


class SyncCursor(_OfAccount, Base):
    """How far a sync of one `stream` (fans, transactions, messages:<fan>, …) has come. `position` is the stream's own."""

    __tablename__ = "sync_cursors"

    stream: Mapped[str] = mapped_column(String(120), primary_key=True)
    position: Mapped[dict[str, Any]] = mapped_column(Json)
    completed_at: Mapped[datetime | None] = mapped_column(UtcTime)
    updated_at: Mapped[datetime] = mapped_column(UtcTime)
