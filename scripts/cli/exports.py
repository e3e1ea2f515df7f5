"""`ofapi exports`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts.cli.frame import App, CliError, emit, open_config, opened_store, table

if TYPE_CHECKING:
    from ofapi_store.queries.exports import ExportRow

app = App()
ExportArg = Annotated[str, typer.Argument(help="Id of the export (data_export_…).")]


def as_json(row: ExportRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "team": row.team_id,
        "type": row.type,
        "file_type": row.file_type,
        "status": row.status,
        "start": row.start_at,
        "end": row.end_at,
        "rows": row.rows_processed,
        "total_rows": row.total_rows,
        "credits": row.credit_cost,
        "charged": row.charged,
        "failed_downloads": row.failed_downloads,
        "failed_reason": row.failed_reason,
        "file_size": row.file_size,
        "original": row.original_id,
        "created_at": row.created_at,
        "completed_at": row.completed_at,
    }


@app.command("list")
def list_(
    status: Annotated[str | None, typer.Option(help="Only this status.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most rows.")] = 50,
) -> None:
    """Exports of all teams, newest first."""
    from ofapi_store.models.exports import STATUSES
    from ofapi_store.queries import exports

    if status is not None and status not in STATUSES:
        raise CliError("bad_value", f"--status is one of {', '.join(STATUSES)}, not {status!r}", exit_code=2)
    with opened_store() as store, store.read() as conn:
        rows = [as_json(row) for row in exports.latest(conn, status=status, limit=limit)]
    columns = ["id", "type", "file_type", "status", "rows", "total_rows", "credits", "created_at"]
    emit(rows, table(rows, columns, empty="no exports"))


@app.command("show")
def show(export: ExportArg) -> None:
    """One export with its accounts, its file and its jobs."""
    from addons.exports.files import ExportFiles
    from ofapi_store import outbox
    from ofapi_store.queries import exports

    with opened_store() as store, store.read() as conn:
        row = _found(exports.by_id(conn, export), export)
        accounts = [account.id for account in exports.accounts_of(conn, [export])[export]]
        live = [outbox.live(conn, kind, export) for kind in (exports.CALCULATE, exports.BUILD)]
    file = ExportFiles(open_config().exports.dir, ()).final(row)
    body = {
        **as_json(row),
        "accounts": accounts,
        "columns": row.columns,
        "options": row.options,
        "job": next((job.id for job in live if job is not None), None),
        "file": str(file) if file.exists() else None,
    }
    emit(body, "\n".join(f"{k:17} {v if v is not None else '–'}" for k, v in body.items()))


@app.command("cancel")
def cancel(export: ExportArg) -> None:
    """End an export that is under way; its credits go back to the team."""
    from ofapi_store.queries import exports

    with opened_store() as store, store.write() as conn:
        row = _found(exports.by_id(conn, export), export)
        if exports.cancel(conn, export) is None:
            raise CliError("export_not_cancelled", f"export {export} is {row.status}, not under way")
    text = f"export {export} cancelled" + (f", {row.charged} credits given back" if row.charged else "")
    emit({"id": export, "status": "cancelled", "credits_given_back": row.charged}, text)


def _found(row: ExportRow | None, export_id: str) -> ExportRow:
    if row is None:
        raise CliError("export_not_found", f"there is no export {export_id!r}; `ofapi exports list` shows them")
    return row
