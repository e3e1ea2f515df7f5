"""kill -9 of the worker at every state of a login: the next worker finishes it, once, whatever upstream had answered."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from addons.jobs import leasing, logins
from addons.jobs.registry import Registry
from addons.jobs.worker import Worker
from ofapi_store import outbox
from ofapi_store.engine import Store
from ofapi_store.queries import accounts, auth, auth_sessions
from ofapi_store.secrets import SecretBox
from tests.addons.logins.conftest import Desk

DeskOf = Callable[..., Desk]
KillAt = Callable[[Desk, str], int]

# what is given × where the worker dies: before and after each request and each write of the job, and before its row is done
TABLE = {
    "password": ["write:1", "ask:1", "asked:1", "write:2", "wrote:2", "asked:2", "write:3", "wrote:3", "complete"],
    "code": ["ask:1", "asked:1", "write:1", "wrote:1", "asked:2", "write:2", "wrote:2", "complete"],
    "selfie": ["ask:1", "asked:1", "wrote:1", "wrote:2"],
    "raw_data": ["write:1", "wrote:1", "wrote:2", "asked:1", "write:3", "wrote:3", "complete"],
    "client session": ["write:1", "asked:1", "wrote:2", "wrote:3"],
}

CASES = [("sqlite", flow, point) for flow, points in TABLE.items() for point in points]
CASES += [("postgresql", flow, point) for flow in ("password", "code") for point in ("asked:1", "wrote:2", "complete")]


@pytest.fixture(scope="module")
def workers() -> Iterator[subprocess.Popen[str]]:
    """Has everything imported, so that a worker costs a fork."""
    command = [sys.executable, "-m", "tests.addons.logins.dying_workers"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        yield running
        assert running.stdin is not None
        running.stdin.close()


@pytest.fixture
def known_key() -> str:
    return SecretBox.generate_key()


@pytest.fixture
def secret_box(known_key: str) -> SecretBox:
    """One whose key the workers know."""
    return SecretBox([known_key])


@pytest.fixture
def kill_at(workers: subprocess.Popen[str], store_url: str, known_key: str) -> KillAt:
    def kill(desk: Desk, point: str) -> int:
        order = {"store": store_url, "key": known_key, "upstream": desk.sim.api_url, "now": desk.clock().isoformat()}
        assert workers.stdin is not None
        assert workers.stdout is not None
        workers.stdin.write(json.dumps({**order, "point": point}) + "\n")
        workers.stdin.flush()
        return int(workers.stdout.readline())

    return kill


async def take_over(desk: Desk) -> None:
    """What another worker does once the dead one's leases have run out."""
    desk.clock.go(seconds=61)
    await desk.services.store.awrite(leasing.sweep, settled=[], now=desk.clock())
    await Worker(desk.services, Registry(logins.JOBS)).run_until_idle()


async def begin(desk: Desk, flow: str) -> str:
    """Up to the moment from which the worker has something to do."""
    if flow == "raw_data":
        return (await desk.attempts.start(desk.team_id, desk.session())).id
    if flow == "client session":
        ends = desk.clock() + timedelta(hours=1)
        with desk.services.store.write() as conn:
            session, _ = auth_sessions.create(conn, desk.team_id, display_name="A", now=desk.clock(), expires_at=ends)
        secret = desk.given().secret
        assert secret is not None
        return (await desk.attempts.fill(session, secret)).id
    attempt = await desk.start({"code": "otp+", "selfie": "face+"}.get(flow, ""))
    if flow in ("code", "selfie"):
        await Worker(desk.services, Registry(logins.JOBS)).run_until_idle()
        await answer(desk, attempt)
    return attempt


async def answer(desk: Desk, attempt: str) -> None:
    """The second factor, right."""
    if desk.row(attempt).state == "needs_face_otp":
        desk.sim.happen("verify-face")
        await desk.attempts.submit(attempt, None)
    else:
        await desk.attempts.submit(attempt, desk.creator.otp_code)


@pytest.mark.parametrize(("store_url", "flow", "point"), CASES, indirect=["store_url"])
async def test_the_next_worker_finishes_the_login(
    store: Store, desk_of: DeskOf, kill_at: KillAt, flow: str, point: str
) -> None:
    """One account with a working login, one event, no secret left, no job left."""
    desk = desk_of(store)
    attempt = await begin(desk, flow)
    assert await asyncio.to_thread(kill_at, desk, point) == -9
    await take_over(desk)
    if desk.row(attempt).state in auth.WAITING:  # upstream's answer to the factor was lost: it is asked for once more
        await answer(desk, attempt)
        await take_over(desk)
    row = desk.row(attempt)
    assert (row.state, row.progress, row.secret, row.open) == ("authenticated", "signed_in", None, False)
    assert desk.works(attempt)
    assert desk.events().count("accounts.connected") == 1
    assert "accounts.authentication_failed" not in desk.events()
    with store.read() as conn:
        assert [one.id for one in accounts.list_for_team(conn, desk.team_id)] == [row.account_id]
        assert outbox.live(conn, auth.LOGIN_JOB, attempt) is None


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("point", ["write:1", "wrote:1", "complete"])
async def test_a_login_that_nobody_finished_ends_once(
    store: Store, desk_of: DeskOf, kill_at: KillAt, point: str
) -> None:
    """The worker dies around the end of the attempt's time: secrets are wiped, the account goes, one event."""
    desk = desk_of(store)
    attempt = await desk.start("otp+")
    await Worker(desk.services, Registry(logins.JOBS)).run_until_idle()
    desk.clock.go(seconds=desk.services.config.auth.attempt_ttl_s + 1)
    assert await asyncio.to_thread(kill_at, desk, point) == -9
    await take_over(desk)
    row = desk.row(attempt)
    assert (row.state, row.error_code, row.secret) == ("failed", "attempt_expired", None)
    assert desk.account(attempt).disconnected_at is not None
    assert desk.events() == ["accounts.otp_code_required", "accounts.authentication_failed"]
