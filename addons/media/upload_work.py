"""The work of an upload, and its job: safe to repeat, in whatever process (contract 10.1)."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from addons.media import upload_steps
from addons.media.charge import price
from addons.media.fetch import CdnClient, FetchFailed
from addons.media.upload_fetch import fetch_url
from addons.media.upload_steps import StepFailed
from addons.pipeline.directory import StoreDirectory
from addons.pipeline.errors import ApiError, InsufficientCredits
from ofapi_store.errors import InsufficientCredits as NoCredits
from ofapi_store.queries import credits, events, uploads

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from addons.jobs.registry import Job
    from addons.pipeline.services import Services
    from ofapi_store.queries.uploads import UploadRow


async def process(services: Services, root: Path, client: CdnClient, upload_id: str, *, tell: bool = False) -> None:
    """Take an upload to its end. Raises what went wrong: StepFailed, FetchFailed, ApiError, UpstreamProblem.

    `tell`: nobody waits for the answer, so the end becomes an event (`media_uploads.*`).
    """
    row = await services.store.awrite(uploads.start, upload_id)
    if row is None:
        return
    row = await _with_bytes(services, root, row)
    assert row.spool is not None
    path = root / "spool" / row.spool
    if not path.exists():
        raise StepFailed("the uploaded bytes are gone from this machine's spool folder", retry=False)
    upstream = await _upstream(services, row)
    result = await upload_steps.run(row, path, upstream, client)
    await services.store.awrite(_complete, upload_id, result, services.clock(), tell)
    path.unlink(missing_ok=True)


async def run_job(job: Job, services: Services) -> None:
    """Kind `media.upload`."""
    from addons.jobs.registry import GiveUp
    from addons.jobs.upstream_client import Refused, SessionExpired

    config = services.config
    client = CdnClient(config, StoreDirectory(services.store, services.secrets).account)
    (config.media.dir / "spool").mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        await process(services, config.media.dir, client, str(job.payload["upload"]), tell=True)
    except (Refused, SessionExpired, ApiError) as e:
        if isinstance(e, ApiError) and e.status == 503:  # there may be room later
            raise
        raise GiveUp(e.message if isinstance(e, ApiError) else str(e)) from e
    except (StepFailed, FetchFailed) as e:
        if e.retry:
            raise
        raise GiveUp(str(e)) from e
    finally:
        await client.close()


async def job_failed(job: Job, services: Services, error: str) -> None:
    """The upload failed for good: say so, give the credits back, drop the bytes."""
    upload_id = str(job.payload["upload"])
    row = await services.store.aread(uploads.by_id, upload_id)
    await services.store.awrite(_fail, upload_id, f"The upload failed: {error}", services.clock())
    if row is not None and row.spool:
        (services.config.media.dir / "spool" / row.spool).unlink(missing_ok=True)


def _complete(conn: Connection, upload_id: str, result: Mapping[str, Any], now: datetime, tell: bool) -> None:
    row = uploads.complete(conn, upload_id, result, now)
    if tell:
        _tell(conn, row, now)


def _fail(conn: Connection, upload_id: str, error: str, now: datetime) -> None:
    _tell(conn, uploads.fail(conn, upload_id, error, now), now)


def _tell(conn: Connection, row: UploadRow | None, now: datetime) -> None:
    """The event of an upload that has just ended, in the shape of its status (contract 7.4)."""
    from addons.media.uploads import view

    if row is not None:
        event = f"media_uploads.{row.state}"
        events.emit(conn, row.team_id, event, row.id, view(row), account_id=row.account_id, now=now)


async def _with_bytes(services: Services, root: Path, row: UploadRow) -> UploadRow:
    """The row with its bytes in the spool: a `file_url` is fetched first, and paid for."""
    if row.spool is not None or row.source_url is None:
        return row
    name = secrets.token_hex(16)
    path = root / "spool" / name
    url = services.secrets.decrypt(row.source_url)
    try:
        got = await fetch_url(url, path, services.config, services.config.limits.upload_body_bytes)
        cost = price(got.size, services.config.media.credits_per_megabyte)
        values: dict[str, Any] = {
            "spool": name,
            "size": got.size,
            "md5": got.md5,
            "content_type": got.content_type[:127],
        }
        endpoint = f"media-{row.target}-upload"
        await services.store.awrite(
            uploads.fetched, row.id, values, price=cost, endpoint=endpoint, now=services.clock()
        )
    except NoCredits as e:
        path.unlink(missing_ok=True)
        raise InsufficientCredits(cost, await services.store.aread(credits.balance, row.team_id)) from e
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    found = await services.store.aread(uploads.by_id, row.id)
    assert found is not None
    return found


async def _upstream(services: Services, row: UploadRow) -> Any:
    clients = services.parts.get("upstream")
    if clients is None:
        raise StepFailed("this process has no client for upstream", retry=True)
    try:
        return await clients.of(row.account_id)
    except LookupError:
        raise StepFailed(f"account {row.account_id} is not connected any more", retry=False) from None
