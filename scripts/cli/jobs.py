"""`ofapi jobs`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts.cli.frame import App, CliError, emit, opened_store, table

if TYPE_CHECKING:
    from ofapi_store.outbox import Job

app = App()
JobArg = Annotated[int, typer.Argument(min=1, max=2**63 - 1, help="Id of the job.")]
AGAIN = {
    "auth.login": ": POST /authenticate",
    "export.build": ": POST /data-exports/{id}/retry",
    "export.calculate": ": POST /data-exports/{id}/retry",
}
STATES = ("pending", "running", "done", "failed", "cancelled")


def as_json(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "kind": job.kind,
        "key": job.key,
        "state": job.state,
        "attempts": job.attempts,
        "max_attempts": job.max_attempts,
        "next_at": job.next_at,
        "lease_until": job.lease_until,
        "worker": job.lease_by,
        "last_error": job.last_error,
        "progress": job.progress,
        "created_at": job.created_at,
        "finished_at": job.finished_at,
    }


@app.command("list")
def list_(
    kind: Annotated[str | None, typer.Option(help="Only this kind.")] = None,
    state: Annotated[str | None, typer.Option(help=f"Only this state: {', '.join(STATES)}.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most rows.")] = 50,
    before: Annotated[int | None, typer.Option(max=2**63 - 1, help="Only ids below this one: the next page.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Done runs of what runs by itself, too.")] = False,
) -> None:
    """Jobs, newest first."""
    from addons.jobs.registry import load_registry
    from ofapi_store import outbox

    if state is not None and state not in STATES:
        raise CliError("bad_value", f"--state is one of {', '.join(STATES)}, not {state!r}", exit_code=2)
    with opened_store() as store, store.read() as conn:
        left_out = [] if every or kind or state else load_registry().routine
        found = outbox.list_jobs(conn, kind=kind, state=state, before_id=before, limit=limit, but_done=left_out)
    rows = [as_json(job) for job in found]
    columns = ["id", "kind", "key", "state", "attempts", "next_at", "last_error"]
    emit(rows, table(rows, columns, empty="no jobs"))


@app.command("counts")
def counts() -> None:
    """How many jobs of each kind are in which state."""
    from ofapi_store import outbox

    with opened_store() as store, store.read() as conn:
        found = outbox.counts(conn)
    rows = [{"kind": kind, "state": state, "jobs": n} for (kind, state), n in sorted(found.items())]
    emit(rows, table(rows, ["kind", "state", "jobs"], empty="no jobs"))


@app.command("show")
def show(job: JobArg) -> None:
    """One job with its payload and progress."""
    from ofapi_store import outbox

    with opened_store() as store, store.read() as conn:
        found = outbox.get(conn, job)
    if found is None:
        raise _unknown(job)
    body = {**as_json(found), "payload": found.payload}
    emit(body, "\n".join(f"{k:14} {v if v is not None else '–'}" for k, v in body.items()))


@app.command("retry")
def retry(job: JobArg) -> None:
    """Run a failed or cancelled job again, or a waiting one at once."""
    from ofapi_store import outbox

    with opened_store() as store, store.write() as conn:
        found = outbox.get(conn, job)
        if found is None:
            raise _unknown(job)
        if found.state in ("failed", "cancelled") and _settles(found.kind):
            text = f"job {job} is {found.state}, and what waited for it has ended with it; ask for that again instead"
            raise CliError("job_not_retried", f"{text}{AGAIN.get(found.kind, '')}")
        if not outbox.retry(conn, job):
            raise CliError("job_not_retried", f"job {job} is {found.state}, or a live job does the same already")
    emit({"id": job, "state": "pending"}, f"job {job} is due now")


@app.command("cancel")
def cancel(job: JobArg) -> None:
    """Cancel a job; a worker that runs it stops within a second.

    What waited for it, an export or a login, fails.
    """
    from addons.jobs import leasing
    from ofapi_store import outbox
    from ofapi_store.types import now_utc

    with opened_store() as store, store.write() as conn:
        found = outbox.get(conn, job)
        if found is None:
            raise _unknown(job)
        if not leasing.cancel(conn, job, settle=_settles(found.kind), now=now_utc()):
            raise CliError("job_not_cancelled", f"job {job} is {found.state} already")
    emit({"id": job, "state": "cancelled"}, f"job {job} cancelled")


def _settles(kind: str) -> bool:
    """Whether something ends with a job of that kind."""
    from addons.jobs.registry import load_registry

    found = load_registry().kinds.get(kind)
    return found is not None and found.on_failed is not None


def _unknown(job: int) -> CliError:
    return CliError("job_not_found", f"there is no job {job}; `ofapi jobs list` shows them")
