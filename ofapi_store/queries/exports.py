"""Data exports: their life from calculation to file. Each function is one step of it, safe to repeat.

    calculating_credits → calculating_credits_completed | calculating_credits_failed
    calculating_credits_completed → (charged) pending → in_progress → completed | failed (refunded)
    any of those that are under way → cancelled (refunded)

Every change goes by the state that it starts from, writes its event and moves its job in the same transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, Table, and_, exists, func, insert, select, update

from ofapi_store import outbox
from ofapi_store.ids import new_id
from ofapi_store.models.exports import DataExport, DataExportAccount
from ofapi_store.queries import credits as ledger
from ofapi_store.queries import events
from ofapi_store.queries.accounts import ACCOUNTS
from ofapi_store.types import now_utc, show_time

EXPORTS: Table = DataExport.__table__  # type: ignore[assignment]
OF_ACCOUNTS: Table = DataExportAccount.__table__  # type: ignore[assignment]

CALCULATE = "export.calculate"
BUILD = "export.build"
ENDPOINT = "data-exports-start"
CREDIT_TYPE = "data_export"
MAX_ATTEMPTS = 5
CALCULATING, CALCULATED = "calculating_credits", "calculating_credits_completed"
CANCELLABLE = (CALCULATING, "pending", "in_progress")
RETRYABLE = ("calculating_credits_failed", "failed", "cancelled")
_MAX_REASON = 1000


@dataclass(frozen=True, slots=True)
class NewExport:
    """What is asked for. `account_ids`: live accounts of the team."""

    type: str
    file_type: str
    start_at: datetime
    end_at: datetime
    account_ids: Sequence[str]
    columns: Sequence[str]
    options: Mapping[str, Any]
    auto_start: bool = False
    requires_walk: bool = False
    original_id: str | None = None


@dataclass(frozen=True, slots=True)
class ExportRow:
    """One export. `charged`: credits that were taken and not given back."""

    id: str
    team_id: str
    original_id: str | None
    type: str
    file_type: str
    status: str
    start_at: datetime
    end_at: datetime
    columns: list[str]
    options: dict[str, Any]
    auto_start: bool
    requires_walk: bool
    total_rows: int | None
    rows_processed: int
    credit_cost: int | None
    charged: int
    failed_downloads: int
    failed_reason: str | None
    file_size: int | None
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None
    failed_at: datetime | None

    @property
    def last_at(self) -> datetime:
        """The last moment of the period, as it was asked for: a day as its last second."""
        return self.end_at - timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class ExportAccount:
    id: str
    display_name: str


_COLUMNS = tuple(EXPORTS.c[name] for name in ExportRow.__slots__)


def create(conn: Connection, team_id: str, new: NewExport, *, now: datetime | None = None) -> ExportRow:
    """The export in `calculating_credits`, with the job that counts its rows."""
    at, export_id = now or now_utc(), new_id("data_export")
    values = {
        "id": export_id,
        "team_id": team_id,
        "original_id": new.original_id,
        "type": new.type,
        "file_type": new.file_type,
        "status": CALCULATING,
        "start_at": new.start_at,
        "end_at": new.end_at,
        "columns": list(new.columns),
        "options": dict(new.options),
        "auto_start": new.auto_start,
        "requires_walk": new.requires_walk,
        "created_at": at,
        "updated_at": at,
    }
    conn.execute(insert(EXPORTS), values)
    accounts = [{"export_id": export_id, "account_id": a} for a in dict.fromkeys(new.account_ids)]
    if accounts:
        conn.execute(insert(OF_ACCOUNTS), accounts)
    _enqueue(conn, CALCULATE, export_id, at)
    row = by_id(conn, export_id)
    assert row is not None
    _tell(conn, row, at)
    return row


def by_id(conn: Connection, export_id: str) -> ExportRow | None:
    """Whatever its team: for jobs and the operator, never for a client's request."""
    row = conn.execute(select(*_COLUMNS).where(EXPORTS.c.id == export_id)).first()
    return ExportRow(*row) if row is not None else None


def for_team(
    conn: Connection, team_id: str, export_id: str, *, only: Collection[str] | None = None
) -> ExportRow | None:
    """The export, or None where it is unknown, another team's, or about an account that `only` does not name."""
    row = conn.execute(_visible(team_id, only).where(EXPORTS.c.id == export_id)).first()
    return ExportRow(*row) if row is not None else None


def page(
    conn: Connection,
    team_id: str,
    *,
    only: Collection[str] | None = None,
    status: str | None = None,
    kind: str | None = None,
    limit: int = 15,
    offset: int = 0,
) -> tuple[list[ExportRow], int]:
    """Newest first, and how many there are in all. `only`: account ids that a key is restricted to."""
    query = _visible(team_id, only)
    if status is not None:
        query = query.where(EXPORTS.c.status == status)
    if kind is not None:
        query = query.where(EXPORTS.c.type == kind)
    total = conn.execute(select(func.count()).select_from(query.subquery())).scalar_one()
    rows = conn.execute(query.order_by(EXPORTS.c.created_at.desc(), EXPORTS.c.id.desc()).limit(limit).offset(offset))
    return [ExportRow(*row) for row in rows], int(total)


def latest(conn: Connection, *, status: str | None = None, limit: int = 50) -> list[ExportRow]:
    """Newest first over all teams, for the operator."""
    query = select(*_COLUMNS).order_by(EXPORTS.c.created_at.desc(), EXPORTS.c.id.desc()).limit(limit)
    if status is not None:
        query = query.where(EXPORTS.c.status == status)
    return [ExportRow(*row) for row in conn.execute(query)]


def accounts_of(conn: Connection, export_ids: Collection[str]) -> dict[str, list[ExportAccount]]:
    """The accounts of each export, in one query."""
    found: dict[str, list[ExportAccount]] = {export_id: [] for export_id in export_ids}
    query = (
        select(OF_ACCOUNTS.c.export_id, ACCOUNTS.c.id, ACCOUNTS.c.display_name)
        .join(ACCOUNTS, ACCOUNTS.c.id == OF_ACCOUNTS.c.account_id)
        .where(OF_ACCOUNTS.c.export_id.in_(sorted(found)))
        .order_by(ACCOUNTS.c.created_at, ACCOUNTS.c.id)
    )
    for export_id, account_id, name in conn.execute(query):
        found[export_id].append(ExportAccount(account_id, name))
    return found


def calculated(
    conn: Connection, export_id: str, *, rows: int, credits: int, now: datetime | None = None
) -> ExportRow | None:
    """Its rows and price are known. With `auto_start` it is charged and started too, if the team can pay.

    None: it is no longer being calculated.
    """
    at = now or now_utc()
    row = _move(conn, export_id, (CALCULATING,), CALCULATED, at, total_rows=rows, credit_cost=credits)
    if row is None or not row.auto_start:
        return row
    if ledger.balance(conn, row.team_id) < credits:
        reason = f"The export costs {credits} credits, which the team does not have. Add credits, then start it."
        conn.execute(update(EXPORTS).where(EXPORTS.c.id == export_id).values(failed_reason=reason))
        return by_id(conn, export_id)
    return start(conn, export_id, now=at)


def start(conn: Connection, export_id: str, *, now: datetime | None = None) -> ExportRow | None:
    """Charges what was calculated and queues the building. None: it is not in `calculating_credits_completed`.

    Raises InsufficientCredits and then changes nothing.
    """
    at = now or now_utc()
    row = _move(conn, export_id, (CALCULATED,), "pending", at, failed_reason=None, rows_processed=0)
    if row is None:
        return None
    cost = row.credit_cost or 0
    reserved = ledger.reserve(conn, row.team_id, cost, endpoint=ENDPOINT, credit_type=CREDIT_TYPE, now=at)
    ledger.settle(conn, reserved.id, cost, now=at)
    conn.execute(update(EXPORTS).where(EXPORTS.c.id == export_id).values(charged=cost))
    _enqueue(conn, BUILD, export_id, at)
    return by_id(conn, export_id)


def begin(conn: Connection, export_id: str, *, now: datetime | None = None) -> ExportRow | None:
    """A worker builds it, for the first time or again after a crash. None: it is not to be built."""
    at = now or now_utc()
    return _move(conn, export_id, ("pending", "in_progress"), "in_progress", at, rows_processed=0, failed_downloads=0)


def progress(conn: Connection, export_id: str, rows: int, *, now: datetime | None = None) -> bool:
    """Notes how far it is. False: it is no longer being built, so stop."""
    query = update(EXPORTS).where(EXPORTS.c.id == export_id, EXPORTS.c.status == "in_progress")
    return bool(conn.execute(query.values(rows_processed=rows, updated_at=now or now_utc())).rowcount)


def completed(
    conn: Connection, export_id: str, *, rows: int, size: int, failed_downloads: int = 0, now: datetime | None = None
) -> ExportRow | None:
    """Its file is there, whole. None: it was not being built."""
    at = now or now_utc()
    values = {
        "total_rows": rows,
        "rows_processed": rows,
        "file_size": size,
        "failed_downloads": failed_downloads,
        "completed_at": at,
    }
    return _move(conn, export_id, ("in_progress",), "completed", at, **values)


def failed(conn: Connection, export_id: str, reason: str, *, now: datetime | None = None) -> ExportRow | None:
    """It cannot be calculated or built: what was charged comes back. None: it is not under way."""
    at, values = now or now_utc(), {"failed_reason": reason[:_MAX_REASON], "failed_at": now or now_utc()}
    row = _move(conn, export_id, (CALCULATING,), "calculating_credits_failed", at, **values)
    row = row or _move(conn, export_id, ("pending", "in_progress"), "failed", at, **values)
    return _refund(conn, row, at)


def cancel(conn: Connection, export_id: str, *, now: datetime | None = None) -> ExportRow | None:
    """Ends it and its job, gives back what was charged. None: it is not under way."""
    at = now or now_utc()
    row = _move(conn, export_id, CANCELLABLE, "cancelled", at)
    if row is None:
        return None
    for kind in (CALCULATE, BUILD):
        job = outbox.live(conn, kind, export_id)
        if job is not None:
            outbox.cancel(conn, job.id, now=at)
    return _refund(conn, row, at)


def orphans(conn: Connection, *, before: datetime) -> list[str]:
    """Exports under way whose job is gone (`ofapi jobs cancel`), untouched since `before`."""
    query = select(EXPORTS.c.id, EXPORTS.c.status).where(
        EXPORTS.c.status.in_(CANCELLABLE), EXPORTS.c.updated_at < before
    )
    kinds = {CALCULATING: CALCULATE}
    rows = conn.execute(query).all()
    return [row.id for row in rows if outbox.live(conn, kinds.get(row.status, BUILD), row.id) is None]


def outdated(conn: Connection, *, before: datetime, limit: int = 500) -> list[ExportRow]:
    """Completed exports whose files were made before that time."""
    c = EXPORTS.c
    query = select(*_COLUMNS).where(c.status == "completed", c.file_size.is_not(None), c.completed_at < before)
    return [ExportRow(*row) for row in conn.execute(query.order_by(c.completed_at).limit(limit))]


def forget_file(conn: Connection, export_id: str) -> None:
    """The file is gone; the export stays listed, without download URL."""
    conn.execute(update(EXPORTS).where(EXPORTS.c.id == export_id).values(file_size=None))


def given_up(conn: Connection, *, since: datetime) -> list[ExportRow]:
    """Exports that were cancelled or failed since then: a worker that was ending may have left their file."""
    query = select(*_COLUMNS).where(EXPORTS.c.status.in_(("cancelled", "failed")), EXPORTS.c.updated_at >= since)
    return [ExportRow(*row) for row in conn.execute(query)]


def unfinished(conn: Connection) -> frozenset[str]:
    """Ids of the exports that may still need what is kept between calculation and building."""
    query = select(EXPORTS.c.id).where(EXPORTS.c.status.in_((*CANCELLABLE, CALCULATED)))
    return frozenset(conn.execute(query).scalars())


def _visible(team_id: str, only: Collection[str] | None) -> Select[Any]:
    query = select(*_COLUMNS).where(EXPORTS.c.team_id == team_id)
    if only is None:
        return query
    mine = OF_ACCOUNTS.c.export_id == EXPORTS.c.id
    foreign = exists().where(and_(mine, OF_ACCOUNTS.c.account_id.not_in(sorted(only))))
    return query.where(~foreign, exists().where(mine))


def _move(
    conn: Connection, export_id: str, sources: Sequence[str], status: str, at: datetime, **values: Any
) -> ExportRow | None:
    where = (EXPORTS.c.id == export_id, EXPORTS.c.status.in_(sources))
    changed = update(EXPORTS).where(*where).values(status=status, updated_at=at, **values).returning(*_COLUMNS)
    found = conn.execute(changed).first()
    if found is None:
        return None
    row = ExportRow(*found)
    if status != "pending":  # contract 7.2 has no event for it
        _tell(conn, row, at)
    return row


def _refund(conn: Connection, row: ExportRow | None, at: datetime) -> ExportRow | None:
    if row is None or not row.charged:
        return row
    conn.execute(update(EXPORTS).where(EXPORTS.c.id == row.id).values(charged=0))
    ledger.charge(conn, [ledger.Debit(row.team_id, -row.charged, ENDPOINT, None, CREDIT_TYPE, -1, at)])
    return by_id(conn, row.id)


def _enqueue(conn: Connection, kind: str, export_id: str, at: datetime) -> None:
    outbox.enqueue(conn, kind, {"export": export_id}, key=export_id, max_attempts=MAX_ATTEMPTS, now=at)


def _tell(conn: Connection, row: ExportRow, at: datetime) -> None:
    """The event `data_exports.<status>`, once per export and status."""
    payload = {
        "id": row.id,
        "status": row.status,
        "account_ids": [a.id for a in accounts_of(conn, [row.id])[row.id]],
        "type": row.type,
        "file_type": row.file_type,
        "start_date": show_time(row.start_at),
        "end_date": show_time(row.last_at),
        "total_rows": row.total_rows,
        "rows_processed": row.rows_processed,
        "credit_cost": row.credit_cost,
        "failed_reason": row.failed_reason,
        "created_at": show_time(row.created_at),
        "updated_at": show_time(at),
    }
    events.emit(conn, row.team_id, f"data_exports.{row.status}", f"{row.id}:{row.status}", payload, now=at)
