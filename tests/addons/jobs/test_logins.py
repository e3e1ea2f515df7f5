"""addons/jobs/logins: attempts run and end as jobs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from addons.jobs import leasing, logins, upkeep
from addons.jobs.registry import GiveUp, Job, Registry, RetryLater
from addons.jobs.worker import Worker
from addons.logins import mail
from addons.logins.advance import advance
from ofapi_store import outbox
from ofapi_store.engine import Store
from ofapi_store.queries import auth, auth_sessions
from tests.addons.logins.conftest import Desk, desk_of, sim

__all__ = ["desk_of", "sim"]
DeskOf = Callable[..., Desk]


def job(attempt: str, kind: str = auth.LOGIN_JOB, attempts: int = 1) -> Job:
    return Job(1, kind, attempt, {"attempt": attempt, "base_url": "https://gw.test"}, attempts=attempts)


async def test_the_worker_runs_logins(store: Store, desk_of: DeskOf) -> None:
    """From the row to the connected account; a code that comes later is taken up. Both databases."""
    desk = desk_of(store)
    attempt = await desk.start("otp+")
    worker = Worker(desk.services, Registry(logins.JOBS))
    await worker.run_until_idle()
    await desk.attempts.submit(attempt, desk.creator.otp_code)
    await worker.run_until_idle()
    assert desk.row(attempt).state == "authenticated"
    with store.read() as conn:
        assert [j.state for j in outbox.list_jobs(conn, kind=auth.LOGIN_JOB)] == ["done", "done"]


async def test_an_outage_is_waited_for(sqlite_store: Store, desk_of: DeskOf) -> None:
    """Longer each time; when no try is left the attempt ends with a text."""
    desk = desk_of(sqlite_store)
    attempt = await desk.start()
    desk.sim.faults.add("reset", path="/users/login", count=0)
    with pytest.raises(RetryLater) as first:
        await logins.login(job(attempt), desk.services)
    with pytest.raises(RetryLater) as later:
        await logins.login(job(attempt, attempts=4), desk.services)
    assert later.value.after_s > first.value.after_s
    await logins.unreachable(job(attempt), desk.services, "gone")
    assert desk.row(attempt).error_code == "upstream_unavailable"
    await logins.unreachable(job(attempt), desk.services, "gone")


async def test_a_login_ends_with_its_cancelled_job(store: Store, desk_of: DeskOf) -> None:
    """Not after half an hour; its account is not busy any more."""
    desk = desk_of(store)
    attempt = await desk.start()
    with store.write() as conn:
        (row,) = outbox.list_jobs(conn, kind=auth.LOGIN_JOB)
        assert leasing.cancel(conn, row.id, settle=True, now=desk.clock.now)
    await Worker(desk.services, Registry({**logins.JOBS, **upkeep.JOBS})).run_until_idle()
    ended = desk.row(attempt)
    assert (ended.state, ended.error_code, ended.secret) == ("failed", "login_cancelled", None)
    assert desk.sim.requests == []


async def test_unfinished_attempts_end(sqlite_store: Store, desk_of: DeskOf) -> None:
    """When their time is over, not before; those that have ended stay as they are."""
    desk = desk_of(sqlite_store)
    attempt = await desk.start("otp+")
    await advance(desk.services, attempt)
    with pytest.raises(RetryLater):
        await logins.expire(job(attempt, auth.EXPIRE_JOB), desk.services)
    desk.clock.go(minutes=31)
    await logins.expire(job(attempt, auth.EXPIRE_JOB), desk.services)
    row = desk.row(attempt)
    assert (row.error_code, row.secret) == ("attempt_expired", None)
    await logins.expire(job(attempt, auth.EXPIRE_JOB), desk.services)
    assert desk.row(attempt) == row


async def test_mail_servers_that_fail(
    sqlite_store: Store, desk_of: DeskOf, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One that is down is tried again; a reference that leads nowhere is not. No text holds the address."""
    reference = tmp_path_factory.mktemp("mail") / "smtp"
    desk = desk_of(sqlite_store, auth={"smtp_url": {"file": str(reference)}})
    attempt = await desk.start("otp+")
    await advance(desk.services, attempt)
    with pytest.raises(GiveUp):
        await logins.send_mail(job(attempt, mail.JOB), desk.services)
    reference.write_text("smtp://127.0.0.1:9")
    with pytest.raises(RetryLater) as caught:
        await logins.send_mail(job(attempt, mail.JOB), desk.services)
    assert desk.creator.email not in str(caught.value)


async def test_old_tokens_are_forgotten(sqlite_store: Store, desk_of: DeskOf) -> None:
    """A day after their end."""
    desk = desk_of(sqlite_store)
    with sqlite_store.write() as conn:
        now = desk.clock.now
        session, _ = auth_sessions.create(conn, desk.team_id, display_name="A", now=now, expires_at=now)
    await logins.prune(Job(1, "auth.prune", None, {}), desk.services)
    desk.clock.go(hours=25)
    await logins.prune(Job(1, "auth.prune", None, {}), desk.services)
    with sqlite_store.read() as conn:
        assert auth_sessions.by_id(conn, session.id) is None
