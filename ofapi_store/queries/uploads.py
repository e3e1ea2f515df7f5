"""Uploads on their way to upstream (`media_uploads`), and the credits that they hold (contract 10.1, 10.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Table, insert, select, update

from ofapi_store import outbox
from ofapi_store.models.media import MediaUpload
from ofapi_store.queries import credits

UPLOADS: Table = MediaUpload.__table__  # type: ignore[assignment]
JOB = "media.upload"
HOLD = timedelta(days=2)
LIVE = ("pending", "processing")


@dataclass(frozen=True, slots=True)
class UploadRow:
    """A row of `media_uploads`; `source_url` is a SecretBox token."""

    id: str
    team_id: str
    account_id: str
    target: str
    kind: str
    state: str
    file_name: str
    content_type: str
    size: int | None
    md5: str | None
    spool: str | None
    source_url: str | None
    result: Mapping[str, Any] | None
    error: str | None
    reservation: str | None
    credits_used: int
    created_at: datetime
    finished_at: datetime | None


_COLUMNS = [UPLOADS.c[name] for name in UploadRow.__slots__]


def create(
    conn: Connection, values: Mapping[str, Any], *, price: int | None, endpoint: str, at: datetime, now: datetime
) -> UploadRow:
    """A new upload with its job, due `at`. `price` in credits is held; None: not known yet. Raises InsufficientCredits."""
    held = None
    if price is not None:
        held = _hold(conn, values["team_id"], values["account_id"], price, endpoint=endpoint, now=now)
    row = {**values, "state": "pending", "credits_used": price or 0, "reservation": held, "created_at": now}
    conn.execute(insert(UPLOADS), row)
    outbox.enqueue(conn, JOB, {"upload": values["id"]}, key=values["id"], at=at, now=now)
    found = by_id(conn, values["id"])
    assert found is not None
    return found


def by_id(conn: Connection, upload_id: str) -> UploadRow | None:
    """Whatever its account: for jobs."""
    row = conn.execute(select(*_COLUMNS).where(UPLOADS.c.id == upload_id)).first()
    return UploadRow(*row) if row is not None else None


def for_account(conn: Connection, account_id: str, upload_id: str) -> UploadRow | None:
    """The upload, or None where it is unknown or another account's."""
    found = by_id(conn, upload_id)
    return found if found is not None and found.account_id == account_id else None


def start(conn: Connection, upload_id: str) -> UploadRow | None:
    """Mark as processing. None: it is finished."""
    done = conn.execute(
        update(UPLOADS).where(UPLOADS.c.id == upload_id, UPLOADS.c.state.in_(LIVE)).values(state="processing")
    )
    return by_id(conn, upload_id) if done.rowcount else None


def fetched(
    conn: Connection, upload_id: str, values: Mapping[str, Any], *, price: int, endpoint: str, now: datetime
) -> None:
    """The bytes of a `file_url` are here: their credits are held. Raises InsufficientCredits."""
    row = by_id(conn, upload_id)
    assert row is not None
    held = row.reservation or _hold(conn, row.team_id, row.account_id, price, endpoint=endpoint, now=now)
    changes = {**values, "source_url": None, "credits_used": price, "reservation": held}
    conn.execute(update(UPLOADS).where(UPLOADS.c.id == upload_id).values(**changes))


def complete(conn: Connection, upload_id: str, result: Mapping[str, Any], now: datetime) -> UploadRow | None:
    """Done: the held credits are booked. None: it was finished before."""
    return _finish(conn, upload_id, {"state": "completed", "result": dict(result)}, now, charged=True)


def fail(conn: Connection, upload_id: str, error: str, now: datetime) -> UploadRow | None:
    """Failed: the held credits go back. None: it was finished before."""
    return _finish(conn, upload_id, {"state": "failed", "error": error}, now, charged=False)


def spools(conn: Connection) -> set[str]:
    """Spool files that are still needed."""
    live = select(UPLOADS.c.spool).where(UPLOADS.c.state.in_(LIVE), UPLOADS.c.spool.is_not(None))
    return set(conn.execute(live).scalars())


def results(conn: Connection, account_id: str, ids: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """Results of those of an account's uploads that are completed, by id."""
    found = conn.execute(
        select(UPLOADS.c.id, UPLOADS.c.result).where(
            UPLOADS.c.id.in_(sorted(ids)), UPLOADS.c.account_id == account_id, UPLOADS.c.state == "completed"
        )
    )
    return {row.id: row.result for row in found}


def _hold(conn: Connection, team_id: str, account_id: str, price: int, **booked: Any) -> str:
    held = credits.reserve(conn, team_id, price, account_id=account_id, credit_type="upload", ttl=HOLD, **booked)
    return held.id


def _finish(
    conn: Connection, upload_id: str, values: Mapping[str, Any], now: datetime, *, charged: bool
) -> UploadRow | None:
    row = by_id(conn, upload_id)
    if row is None or row.state not in LIVE:
        return None
    if row.reservation is not None:
        credits.settle(conn, row.reservation, row.credits_used if charged else 0, now=now)
    used = row.credits_used if charged else 0
    changes = {**values, "credits_used": used, "reservation": None, "spool": None, "source_url": None}
    conn.execute(update(UPLOADS).where(UPLOADS.c.id == upload_id).values(**changes, finished_at=now))
    return by_id(conn, upload_id)
