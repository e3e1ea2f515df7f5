"""Jobs of data exports: counting rows, building files, tidying up (contract 8).

Both main jobs may run again after a crash: they start from the state of the row, write whole files or none, and end by
one conditional step of `ofapi_store.queries.exports`.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from addons.exports.build import Stopped
from addons.exports.exporter import Built, Exporter
from addons.exports.files import ExportFiles
from addons.exports.vault import NothingFetched
from addons.exports.writers import XLSX_MAX_ROWS, remove_parts
from addons.jobs.leasing import CANCELLED
from addons.jobs.registry import GiveUp, Job, JobKind, RetryLater
from addons.jobs.upstream_client import Refused, SessionExpired, Unavailable
from ofapi_store.queries import exports

if TYPE_CHECKING:
    from addons.config import Config
    from addons.pipeline.services import Services
    from ofapi_store.queries.exports import ExportRow

log = structlog.get_logger(__name__)

UPKEEP_S = 60.0
ORPHAN_AGE = timedelta(seconds=60)
JOB_GONE = f"{CANCELLED} Retry the export."
GIVEN_UP_AGE = timedelta(hours=1)
PART_AGE_S = 86_400.0
_FINAL = (SessionExpired, Refused, LookupError, ValueError, NothingFetched)


async def calculate(job: Job, services: Services) -> None:
    """`{"export": id}`: how many rows, how many credits; starts the export where that was asked for."""
    row = await services.store.aread(exports.by_id, str(job.payload["export"]))
    if row is None or row.status != exports.CALCULATING:
        return
    exporter = await _exporter(services, row)

    async def tell(rows: int) -> None:
        await job.report({"rows": rows})

    rows = await _tried(exporter.count(tell))
    if too_many := _too_many(services.config, row, rows):
        raise GiveUp(too_many)
    price = math.ceil(rows / services.config.exports.rows_per_credit)
    now = services.clock()
    done = await services.store.awrite(exports.calculated, row.id, rows=rows, credits=price, now=now)
    if done is None:
        exporter.discard(file=False)


async def build(job: Job, services: Services) -> None:
    """`{"export": id}`: writes the file."""
    row = await services.store.awrite(exports.begin, str(job.payload["export"]), now=services.clock())
    if row is None:
        return
    exporter = await _exporter(services, row)

    async def tell(rows: int) -> None:
        if not await services.store.awrite(exports.progress, row.id, rows, now=services.clock()):
            raise Stopped
        await job.report({"rows": rows, "of": row.total_rows})

    try:
        built: Built = await _tried(exporter.build(tell))
    except Stopped:
        exporter.discard(file=True)
        return
    done = await services.store.awrite(
        exports.completed,
        row.id,
        rows=built.rows,
        size=built.size,
        failed_downloads=built.failed_downloads,
        now=services.clock(),
    )
    exporter.discard(file=done is None and not await _has_file(services, row.id))


async def _has_file(services: Services, export_id: str) -> bool:
    """Whether another worker, which took this job over, has completed the export."""
    row = await services.store.aread(exports.by_id, export_id)
    return row is not None and row.status in ("completed", "in_progress")


async def _exporter(services: Services, row: ExportRow) -> Exporter:
    accounts = await services.store.aread(exports.accounts_of, [row.id])
    return Exporter(services, row, accounts[row.id])


async def _tried[T](work: Awaitable[T]) -> T:
    """What upstream's problems mean for a job."""
    try:
        return await work
    except Unavailable as e:
        raise RetryLater(e.after_s, str(e)) from e
    except _FINAL as e:
        raise GiveUp(str(e) or type(e).__name__) from e


def _too_many(config: Config, row: ExportRow, rows: int) -> str | None:
    if rows > config.exports.max_rows:
        return (
            f"The export has {rows} rows; this installation allows {config.exports.max_rows}. Choose a shorter period."
        )
    if row.file_type == "xlsx" and rows > XLSX_MAX_ROWS:
        return f"The export has {rows} rows and an xlsx sheet holds {XLSX_MAX_ROWS}. Choose csv or a shorter period."
    return None


async def job_failed(job: Job, services: Services, error: str) -> None:
    """The job has failed for good: so has the export, and its credits come back."""
    export_id = str(job.payload["export"])
    reason = JOB_GONE if error == CANCELLED else error
    row = await services.store.awrite(exports.failed, export_id, reason, now=services.clock())
    if row is not None:
        (await _exporter(services, row)).discard(file=True)


async def upkeep(_: Job, services: Services) -> None:
    """Fails exports whose job is gone, deletes old files and what crashes left."""
    now, store = services.clock(), services.store
    for export_id in await store.aread_slow(exports.orphans, before=now - ORPHAN_AGE):
        log.warning("export without a job failed", export=export_id)
        await store.awrite(exports.failed, export_id, JOB_GONE)
    files = ExportFiles(services.config.exports.dir, services.config.secret_keys())
    before = now - timedelta(days=services.config.exports.retention_days)
    for row in await store.aread_slow(exports.outdated, before=before):
        await asyncio.to_thread(files.final(row).unlink, missing_ok=True)
        await store.awrite(exports.forget_file, row.id)
    for row in await store.aread_slow(exports.given_up, since=now - GIVEN_UP_AGE):
        await asyncio.to_thread(files.final(row).unlink, missing_ok=True)
    needed = await store.aread_slow(exports.unfinished)
    await asyncio.to_thread(_tidy, files, needed)


def _tidy(files: ExportFiles, needed: frozenset[str]) -> None:
    for folder in files.root.glob("*/") if files.root.exists() else ():
        remove_parts(folder, older_than_s=PART_AGE_S)
    for kept in files.spool("x").parent.glob("*.jsonl"):
        if kept.stem not in needed:
            kept.unlink(missing_ok=True)


def _retry_s(attempt: int) -> float:
    return 5.0 * 3.0 ** (attempt - 1) * random.uniform(0.8, 1.2)  # noqa: S311 (spread, not a secret)


JOBS = {
    exports.CALCULATE: JobKind(calculate, retry_s=_retry_s, on_failed=job_failed),
    exports.BUILD: JobKind(build, retry_s=_retry_s, on_failed=job_failed),
    "export.upkeep": JobKind(upkeep),
}
PERIODIC = {"export.upkeep": lambda _config: UPKEEP_S}
