"""Media files that are to be fetched, and uploads on their way to upstream."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, Integer, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from ofapi_store.models.base import Base
from ofapi_store.types import Json, UtcTime

_LIVE = text("state IN ('pending', 'running')")


class MediaFill(Base):
    """A file that was seen and has no copy yet. `id`: hash of `key`, the file's identity.

    `state`: pending | running | waiting (not before a new URL is seen, and not before `next_at`). `url` is a SecretBox
    token: it carries a signature. `url_ends_at`: when that signature ends, as far as it says.
    """

    __tablename__ = "media_fills"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    key: Mapped[str] = mapped_column(Text)
    url: Mapped[str] = mapped_column(Text)
    url_ends_at: Mapped[datetime | None] = mapped_column(UtcTime)
    account_id: Mapped[str | None] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(Integer)
    next_at: Mapped[datetime] = mapped_column(UtcTime)
    lease_until: Mapped[datetime | None] = mapped_column(UtcTime)
    lease_by: Mapped[str | None] = mapped_column(String(120))
    last_error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcTime)

    __table_args__ = (Index("ix_media_fills_due", "next_at", sqlite_where=_LIVE, postgresql_where=_LIVE),)


class MediaUpload(Base):
    """An upload (contract 10.1–10.3). `id` is what clients see, `ofapi_media_…`.

    `state`: pending | processing | completed | failed. `target`: media | vault. `spool`: name of the file in the spool
    folder, None once it is not needed; `source_url`: SecretBox token of `file_url` until it is fetched. `result` is
    the upload object or vault media. `reservation`: credits held until it is finished.
    """

    __tablename__ = "media_uploads"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    team_id: Mapped[str] = mapped_column(String(64))
    account_id: Mapped[str] = mapped_column(String(64))
    target: Mapped[str] = mapped_column(String(16))
    kind: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16))
    file_name: Mapped[str] = mapped_column(String(255))
    content_type: Mapped[str] = mapped_column(String(127))
    size: Mapped[int | None] = mapped_column(BigInteger)
    md5: Mapped[str | None] = mapped_column(String(32))
    spool: Mapped[str | None] = mapped_column(String(80))
    source_url: Mapped[str | None] = mapped_column(Text)
    result: Mapped[dict[str, Any] | None] = mapped_column(Json)
    error: Mapped[str | None] = mapped_column(Text)
    reservation: Mapped[str | None] = mapped_column(String(64))
    credits_used: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcTime)

    __table_args__ = (Index("ix_media_uploads_account_id_created_at", "account_id", "created_at"),)
