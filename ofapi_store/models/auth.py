"""Login attempts, the tokens of the page that a creator sees, and credentials that are kept for later logins."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, ForeignKey, Index, Integer, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from ofapi_store.models.base import Base
from ofapi_store.types import UtcTime

_OPEN = text("completed_at IS NULL")


class AuthAttempt(Base):
    """One way from credentials to a working login of an account (contract 9).

    `method`: email_password | raw_data | mobile_app. `purpose`: connect | reconnect. `state` and `progress` as clients
    see them. `version` counts changes: a worker that was taken over cannot write. `secret` (what the creator gave and
    what upstream answered) and `proxy_url` are SecretBox tokens, null as soon as the attempt has ended.
    `previous_state`: the account's, to go back to when a reconnect fails. `tries`: wrong codes. `starts`: logins that
    upstream refused while the creator may try again.
    """

    __tablename__ = "auth_attempts"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    team_id: Mapped[str] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"))
    account_id: Mapped[str] = mapped_column(String(64))
    session_id: Mapped[str | None] = mapped_column(String(64))
    method: Mapped[str] = mapped_column(String(16))
    purpose: Mapped[str] = mapped_column(String(16))
    automatic: Mapped[bool] = mapped_column(Boolean)
    force: Mapped[bool] = mapped_column(Boolean)
    state: Mapped[str] = mapped_column(String(24))
    progress: Mapped[str] = mapped_column(String(24))
    version: Mapped[int] = mapped_column(Integer)
    secret: Mapped[str | None] = mapped_column(Text)
    proxy_url: Mapped[str | None] = mapped_column(Text)
    previous_state: Mapped[str | None] = mapped_column(String(32))
    tries: Mapped[int] = mapped_column(Integer)
    starts: Mapped[int] = mapped_column(Integer)
    otp_phone_ending: Mapped[str | None] = mapped_column(String(8))
    face_url: Mapped[str | None] = mapped_column(Text)
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(UtcTime)
    expires_at: Mapped[datetime] = mapped_column(UtcTime)
    completed_at: Mapped[datetime | None] = mapped_column(UtcTime)

    __table_args__ = (
        Index("ix_auth_attempts_account_id_started_at", "account_id", "started_at"),
        Index(
            "uq_auth_attempts_open_account",
            "account_id",
            unique=True,
            sqlite_where=_OPEN,
            postgresql_where=_OPEN,
        ),
    )


class ClientSession(Base):
    """A token that opens the hosted page for one login. `token_hash`: SHA-256 hex.

    `token`: SecretBox token of the token itself, only where an attempt shows its link while it is pending.
    """

    __tablename__ = "client_sessions"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    team_id: Mapped[str] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"), index=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    token: Mapped[str | None] = mapped_column(Text)
    display_name: Mapped[str] = mapped_column(String(255))
    client_reference_id: Mapped[str | None] = mapped_column(String(255))
    proxy_url: Mapped[str | None] = mapped_column(Text)
    attempt_id: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    expires_at: Mapped[datetime] = mapped_column(UtcTime)

    __table_args__ = (Index("ix_client_sessions_expires_at", "expires_at"),)


class AccountCredentials(Base):
    """E-mail and password of an account, as a SecretBox token; only where `auth.keep_credentials` is on."""

    __tablename__ = "account_credentials"

    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    secret: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcTime)
