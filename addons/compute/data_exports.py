"""Data exports (contract 8): requests read and write our rows only, jobs count and build (`addons.jobs.exports`)."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from addons.compute.api import Answer, Call, Handler
from addons.exports.catalog import MAX_VISITOR_DAYS, TYPES, ExportType, check_columns, check_options, check_type
from addons.exports.files import ExportFiles
from addons.pipeline.dates import instant
from addons.pipeline.errors import Conflict, InsufficientCredits, NotFound, ValidationFailed
from ofapi_store.errors import InsufficientCredits as TooPoor
from ofapi_store.queries import accounts, exports, sync
from ofapi_store.queries import credits as ledger

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from ofapi_store.queries.exports import ExportAccount, ExportRow

LAST = datetime(9999, 1, 1, tzinfo=UTC)
FARTHEST = 2**62  # databases count rows in 64 bits
_BEGUN = "The rows of the export are being counted."


async def list_all(call: Call) -> Answer:
    """`{data: [export], meta: {current_page, last_page, per_page, total}}`, newest first."""
    page, size = call.query["page"], call.query["per_page"]
    rows, total = await call.services.store.aread_slow(
        exports.page,
        call.team.id,
        only=call.key.account_ids,
        status=call.query.get("status"),
        kind=call.query.get("type"),
        limit=size,
        offset=min((page - 1) * size, FARTHEST),
    )
    of = await call.services.store.aread(exports.accounts_of, [row.id for row in rows])
    meta = {"current_page": page, "last_page": max(1, -(-total // size)), "per_page": size, "total": total}
    return Answer({"data": [_shown(call, row, of[row.id]) for row in rows], "meta": meta})


async def create(call: Call) -> Answer:
    """Raises ValidationFailed naming every wrong field of the first kind of wrong."""
    body, now = call.body, call.now()
    kind = check_type(body["type"], body["file_type"])
    start, end = _period(kind, body, now)
    columns = check_columns(kind, body.get("export_columns"))
    options = check_options(kind, body.get("options") or {}, now)
    found = await call.services.store.aread(accounts.list_for_team, call.team.id, only=call.key.account_ids)
    ids = _account_ids(kind, body.get("account_ids"), [row.id for row in found])
    new = exports.NewExport(
        type=kind.name,
        file_type=body["file_type"],
        start_at=start,
        end_at=end,
        account_ids=ids,
        columns=columns,
        options=options,
        auto_start=bool(body.get("auto_start")),
        requires_walk=await call.services.store.aread(_asks_upstream, kind, ids),
    )
    row = await call.services.store.awrite(exports.create, call.team.id, new, now=now)
    data = {
        "id": row.id,
        "type": row.type,
        "status": row.status,
        "start_date": row.start_at,
        "end_date": row.last_at,
        "file_type": row.file_type,
        "created_at": row.created_at,
        "requires_scraping": row.requires_walk,
        "credit_calculation_note": _note(call, row),
    }
    return Answer(data)


async def get(call: Call) -> Answer:
    row = await _found(call)
    of = await call.services.store.aread(exports.accounts_of, [row.id])
    return Answer(_shown(call, row, of[row.id]))


async def columns(call: Call) -> Answer:
    """`[{type, file_types, columns, options}]` of every type that this installation serves, or of one."""
    wanted = call.query.get("type")
    kinds = [check_type(wanted, "zip" if wanted == "media_vault" else "csv")] if wanted else list(TYPES.values())
    data = [
        {
            "type": kind.name,
            "file_types": kind.file_types,
            "columns": kind.columns,
            "options": [
                {"name": name, "type": spec.type, "required": spec.required, "values": spec.enum}
                for name, spec in kind.options.items()
                if spec.unsupported is None
            ],
        }
        for kind in kinds
    ]
    return Answer(data)


async def start(call: Call) -> Answer:
    """Charges and queues. Raises Conflict unless it is calculated, InsufficientCredits."""
    row = await _found(call)
    await call.booked()
    try:
        started = await call.services.store.awrite(exports.start, row.id, now=call.now())
    except TooPoor as e:
        raise InsufficientCredits(e.needed, e.balance) from e
    if started is None:
        raise await _conflict(call, row, "started", f"Only an export in {exports.CALCULATED} can be.")
    balance = await _balance(call)
    text = f"The export was started; {started.charged} credits were charged."
    data = {"id": started.id, "status": started.status, "message": text}
    credits = {"used": started.charged, "balance": balance, "note": _price_note(call)}
    return Answer(data, meta={"_credits": credits}, headers=[("X-OFAPI-Credits-Used", str(started.charged))])


async def cancel(call: Call) -> Answer:
    """Ends it within a second; what was charged comes back. Raises Conflict where it is not under way."""
    row = await _found(call)
    gone = await call.services.store.awrite(exports.cancel, row.id, now=call.now())
    if gone is None:
        raise await _conflict(call, row, "cancelled", "Only an export that is under way can be.")
    back = f" {row.charged} credits were given back." if row.charged else ""
    await _balance(call)
    return Answer({"id": gone.id, "status": gone.status, "message": f"The export was cancelled.{back}"})


async def _balance(call: Call) -> int:
    """Of now, in the answer's counters, too."""
    meter = call.services.parts.get("meter")
    if meter is None:
        return await call.services.store.aread(ledger.balance, call.team.id)
    found: int = await meter.reread(call.team.id)
    return found


async def retry(call: Call) -> Answer:
    """A new export like this one, started by itself and billed again. Raises Conflict unless it failed or was cancelled."""
    row = await _found(call)
    if row.status not in exports.RETRYABLE:
        raise await _conflict(call, row, "retried", "Only an export that failed or was cancelled can be.")
    made = await call.services.store.awrite(_again, row, call.now())
    data = {"id": made.id, "original_id": row.id, "status": made.status, "type": made.type}
    text = f"A new export was made. {_BEGUN} It then starts by itself and is charged again."
    return Answer({**data, "message": text})


def _again(conn: Connection, row: ExportRow, now: datetime) -> ExportRow:
    ids = [a.id for a in exports.accounts_of(conn, [row.id])[row.id]]
    new = exports.NewExport(
        type=row.type,
        file_type=row.file_type,
        start_at=row.start_at,
        end_at=row.end_at,
        account_ids=ids,
        columns=row.columns,
        options=row.options,
        auto_start=True,
        requires_walk=row.requires_walk,
        original_id=row.id,
    )
    return exports.create(conn, row.team_id, new, now=now)


async def _found(call: Call) -> ExportRow:
    """The export of the path. Raises NotFound, also for another team's."""
    export_id = call.params["data_export_id"]
    row = await call.services.store.aread(exports.for_team, call.team.id, export_id, only=call.key.account_ids)
    if row is None:
        raise NotFound(f"There is no data export {export_id[:64]!r}. GET /data-exports lists those of the team.")
    return row


async def _conflict(call: Call, row: ExportRow, done: str, rule: str) -> Conflict:
    now = await call.services.store.aread(exports.by_id, row.id)
    status = now.status if now is not None else row.status
    return Conflict(f"The export cannot be {done}: it is {status}. {rule}")


def _period(kind: ExportType, body: dict[str, Any], now: datetime) -> tuple[datetime, datetime]:
    """First moment and the moment after the last."""
    start = min(instant(body["start_date"], now), LAST)
    end = min(instant(body["end_date"], now, end=True), LAST) + timedelta(microseconds=1)
    if kind.name == "profile_visitors" and (end - start).days > MAX_VISITOR_DAYS:
        text = f"The period of profile_visitors must not be longer than {MAX_VISITOR_DAYS} days."
        raise ValidationFailed.of("end_date", text)
    return start, end


def _account_ids(kind: ExportType, wanted: list[str] | None, known: list[str]) -> list[str]:
    """Those asked for; another team's are answered as unknown ones."""
    if kind.name == "public_profiles" and not wanted:
        return known
    if not wanted:
        text = f"The account ids field is required for {kind.name}: name at least one account."
        raise ValidationFailed.of("account_ids", text)
    text = "There is no connected account of this id. GET /accounts lists them."
    if errors := {f"account_ids.{at}": [text] for at, name in enumerate(wanted) if name not in known}:
        raise ValidationFailed(errors)
    return list(dict.fromkeys(wanted))


def _asks_upstream(conn: Connection, kind: ExportType, account_ids: list[str]) -> bool:
    """Whether rows are not in the store yet."""
    if kind.walk or kind.collection is None:
        return kind.walk
    cursors = [sync.get(conn, account_id, kind.collection) for account_id in account_ids]
    return any(c is None or c.completed_at is None for c in cursors)


def _price_note(call: Call) -> str:
    return f"1 credit per {call.services.config.exports.rows_per_credit} rows, charged at the start."


def _note(call: Call, row: ExportRow) -> str:
    how = "OnlyFans is asked for the rows first; the price is known after that." if row.requires_walk else _BEGUN
    return f"{how} {_price_note(call)}"


def _shown(call: Call, row: ExportRow, of: list[ExportAccount]) -> dict[str, Any]:
    url, ends = _download(call, row)
    return {
        "id": row.id,
        "type": row.type,
        "status": row.status,
        "start_date": row.start_at,
        "end_date": row.last_at,
        "file_type": row.file_type,
        "total_rows": row.total_rows,
        "rows_processed": row.rows_processed,
        "progress_percentage": _percentage(row),
        "credit_cost": row.credit_cost,
        "export_columns": row.columns,
        "accounts": [{"id": a.id, "display_name": a.display_name} for a in of],
        "created_at": row.created_at,
        "completed_at": row.completed_at,
        "failed_at": row.failed_at,
        "failed_reason": row.failed_reason,
        "failed_downloads": row.failed_downloads,
        "download_url": url,
        "download_url_expires_at": ends,
    }


def _percentage(row: ExportRow) -> int:
    """100 only when the file is there."""
    if row.status == "completed":
        return 100
    return min(99, row.rows_processed * 100 // row.total_rows) if row.total_rows else 0


def _download(call: Call, row: ExportRow) -> tuple[str | None, datetime | None]:
    """A fresh URL and when it ends; None without a file."""
    if row.status != "completed" or row.file_size is None:
        return None, None
    config = call.services.config
    minutes = call.query["download_url_expires_in"]
    ends = int(time.time()) + minutes * 60
    files = ExportFiles(config.exports.dir, config.secret_keys())
    mount = "" if config.mounts.internal == "/" else config.mounts.internal
    shown = call.now().replace(microsecond=0) + timedelta(minutes=minutes)
    return f"{call.base_url.rstrip('/')}{mount}{files.link(row, ends)}", shown


HANDLERS: dict[str, Handler] = {
    "data_exports.list": list_all,
    "data_exports.create": create,
    "data_exports.columns": columns,
    "data_exports.get": get,
    "data_exports.start": start,
    "data_exports.cancel": cancel,
    "data_exports.retry": retry,
}
