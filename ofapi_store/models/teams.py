"""Teams, their API keys and their connected accounts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Dialect, ForeignKey, Index, Integer, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from ofapi_store.models.base import Base
from ofapi_store.types import ExactJson, Json, UtcTime


class Team(Base):
    __tablename__ = "teams"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    slug: Mapped[str] = mapped_column(String(80), unique=True)
    name: Mapped[str] = mapped_column(String(255))
    requests_per_minute: Mapped[int] = mapped_column(Integer)  # 0: the limit of the config
    credit_balance: Mapped[int] = mapped_column(BigInteger, server_default="0")
    created_at: Mapped[datetime] = mapped_column(UtcTime)


class ApiKey(Base):
    """`token_hash`: SHA-256 hex. `account_ids` null: every account of the team. `scopes`: list of read, write, delete."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    team_id: Mapped[str] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"), index=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    hint: Mapped[str] = mapped_column(String(16))  # the token's last characters, to tell keys apart in lists
    name: Mapped[str] = mapped_column(String(255))
    scopes: Mapped[list[str]] = mapped_column(Json)
    account_ids: Mapped[list[str] | None] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcTime)


class UserData(ExactJson):
    """What `users/me` said, without the secrets of upstream's session: those fields are kept as null."""

    cache_ok = True
    SECRET = ("csrf", "wsAuthToken")

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        if isinstance(value, Mapping):
            value = {**value, **{name: None for name in self.SECRET if name in value}}
        return super().process_bind_param(value, dialect)


class Account(Base):
    """`login` and `proxy_url` are SecretBox tokens. Disconnected accounts keep their row, without login."""

    __tablename__ = "accounts"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    team_id: Mapped[str] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"), index=True)
    display_name: Mapped[str] = mapped_column(String(255))
    client_reference_id: Mapped[str | None] = mapped_column(String(255))
    onlyfans_id: Mapped[str | None] = mapped_column(String(32))
    username: Mapped[str | None] = mapped_column(String(255))
    email: Mapped[str | None] = mapped_column(String(320))
    state: Mapped[str] = mapped_column(String(32))
    authentication_progress: Mapped[str | None] = mapped_column(String(32))
    login: Mapped[str | None] = mapped_column(Text)
    proxy_url: Mapped[str | None] = mapped_column(Text)
    user_data: Mapped[dict[str, Any] | None] = mapped_column(UserData)
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    updated_at: Mapped[datetime] = mapped_column(UtcTime)
    disconnected_at: Mapped[datetime | None] = mapped_column(UtcTime)

    __table_args__ = (
        Index("ix_accounts_onlyfans_id", "onlyfans_id"),
        Index(
            "uq_accounts_live_user",
            "team_id",
            "onlyfans_id",
            unique=True,
            sqlite_where=text("disconnected_at IS NULL"),
            postgresql_where=text("disconnected_at IS NULL"),
        ),
    )
