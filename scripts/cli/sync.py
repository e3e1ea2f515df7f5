"""`ofapi sync`."""

from __future__ import annotations

import asyncio
import signal
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts.cli.frame import CliError, console, emit, note, open_config, state

if TYPE_CHECKING:
    from addons.config import Config
    from addons.pipeline.services import Services
    from ofapi_store.outbox import Job

ALL = "fans, transactions, chargebacks, tracking_links, trial_links, shared_tracking_links, shared_trial_links, messages, claimers"


def command(
    account: Annotated[str, typer.Argument(help="Id of the account (acct_…).")],
    only: Annotated[
        str | None, typer.Option(help=f"Collections, comma separated, of: {ALL}.  [default: sync.collections]")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Everything again, not only what is new since the last sync.")
    ] = False,
) -> None:
    """Walk upstream and fill the store. A sync that was killed goes on where it was."""
    from addons.jobs.sync_lists import COLLECTIONS
    from scripts.cli.logs import set_up_logs

    config = open_config()
    set_up_logs(config.log.model_copy(update={"level": "warning"}))
    wanted = [name.strip().replace("-", "_") for name in only.split(",")] if only else None
    if unknown := [name for name in wanted or () if name not in COLLECTIONS]:
        raise CliError(
            "unknown_collection", f"unknown collection {unknown[0]!r}; known: {', '.join(COLLECTIONS)}", exit_code=2
        )
    job = asyncio.run(_run(config, account, wanted, full=full))
    body = {"account": account, "job": job.id, "state": job.state, "error": job.last_error, **(job.progress or {})}
    errors = (job.progress or {}).get("errors") or {}
    if job.state != "done" or errors:
        text = job.last_error or "; ".join(f"{k}: {v}" for k, v in errors.items()) or f"job {job.id} is {job.state}"
        raise CliError("sync_incomplete", f"{text}; the same command goes on where this one ended", **body)
    emit(
        body,
        f"{account}: {body.get('rows', 0)} rows in {body.get('pages', 0)} pages of {', '.join(body.get('done', []))}",
    )


async def _run(config: Config, account: str, only: list[str] | None, *, full: bool) -> Job:
    """The job, enqueued or found running, worked on here unless another worker has it, until it has ended."""
    from addons.assemble import assembled
    from addons.jobs import sync
    from addons.jobs.registry import Registry
    from addons.jobs.worker import Worker
    from ofapi_store import outbox
    from ofapi_store.errors import StoreError
    from ofapi_store.queries import accounts

    payload: dict[str, Any] = {"account": account, "full": full} | ({"only": only} if only else {})
    try:
        async with assembled(config) as services:
            found = await services.store.aread(accounts.by_id, account)
            if found is None or found.disconnected_at is not None:
                raise CliError(
                    "account_not_found", f"there is no connected account {account!r}; see `ofapi accounts list`"
                )
            job = await services.store.awrite(outbox.enqueue, sync.KIND, payload, key=account)
            if not job.created:
                note(f"sync: job {job.id} of this account was there already; showing that one")
            worker = Worker(services, Registry({sync.KIND: sync.JOBS[sync.KIND]}))
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
            running = asyncio.create_task(worker.run())
            try:
                return await _watch(services, job.id)
            finally:
                worker.stop()
                await asyncio.gather(running, return_exceptions=True)
    except StoreError as e:
        raise CliError("store_unavailable", str(e)) from e


async def _watch(services: Services, job_id: int) -> Job:
    """Shows the progress until the job has ended."""
    from ofapi_store import outbox

    with _bar() as bar:
        while True:
            job = await services.store.aread(outbox.get, job_id)
            if job is None:
                raise CliError("job_gone", f"job {job_id} is no longer in the store")
            if bar is not None and job.progress:
                p = job.progress
                text = f"{p.get('collection', '')}: {p.get('rows', 0)} rows, {p.get('pages', 0)} pages"
                bar.update(bar.task_ids[0], description=text, completed=p.get("items", 0), total=p.get("of"))
            if job.state in ("done", "failed", "cancelled"):
                return job
            if job.state == "pending" and job.last_error and job.next_at and job.attempts:
                note(f"sync: {job.last_error}; going on at {job.next_at:%H:%M:%S} UTC")
                await asyncio.sleep(5)
            await asyncio.sleep(0.2)


def _bar() -> Any:
    if state.json:
        return nullcontext(None)
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    bar = Progress(*columns, console=console(stderr=True), transient=True)
    bar.add_task("starting", total=None)
    return bar
