"""The credits ledger. A team's balance stands on its row and changes in the same transaction as the ledger."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from ofapi_store.models.base import Base
from ofapi_store.types import BigId, UtcTime


class CreditEntry(Base):
    """Debits of one minute, or one grant or adjustment.

    `kind`: debit | grant | adjust. `credits` is what the balance lost (debit) or gained (grant, adjust).
    `account_id` and `endpoint` are empty for what the whole team used; `ref` is empty for debits and makes others unique.
    """

    __tablename__ = "credit_entries"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    team_id: Mapped[str] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(8))
    bucket: Mapped[datetime] = mapped_column(UtcTime)
    account_id: Mapped[str] = mapped_column(String(40))
    endpoint: Mapped[str] = mapped_column(String(120))
    credit_type: Mapped[str] = mapped_column(String(32))
    ref: Mapped[str] = mapped_column(String(64))
    note: Mapped[str | None] = mapped_column(String(255))
    credits: Mapped[int] = mapped_column(BigInteger)
    requests: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (
        UniqueConstraint(
            "team_id", "bucket", "kind", "account_id", "endpoint", "credit_type", "ref", name="uq_credit_entries_bucket"
        ),
    )


class CreditReservation(Base):
    """Credits taken off the balance for work under way; what is not used, or never settled, goes back."""

    __tablename__ = "credit_reservations"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    team_id: Mapped[str] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"))
    account_id: Mapped[str] = mapped_column(String(40))
    endpoint: Mapped[str] = mapped_column(String(120))
    credit_type: Mapped[str] = mapped_column(String(32))
    credits: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[datetime] = mapped_column(UtcTime)

    __table_args__ = (Index("ix_credit_reservations_expires_at", "expires_at"),)
