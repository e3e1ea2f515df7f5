"""addons/logins/advance: an attempt goes as far as it can, from whatever state it was left in."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from addons.logins.advance import advance
from addons.logins.authenticator import LoginUnavailable
from addons.pipeline.errors import Conflict
from ofapi_store import outbox
from ofapi_store.engine import Store
from ofapi_store.queries import accounts, auth
from tests.addons.logins.conftest import Desk

DeskOf = Callable[..., Desk]


async def test_password(store: Store, desk_of: DeskOf) -> None:
    """Signed in: the login works, secrets are gone, one event; both databases."""
    desk = desk_of(store)
    attempt = await desk.start(name="Anna")
    assert desk.account(attempt).state == "authenticating"
    await advance(desk.services, attempt)
    row, account = desk.row(attempt), desk.account(attempt)
    assert (row.state, row.progress, row.secret, row.open) == ("authenticated", "signed_in", None, False)
    assert (account.state, account.username, account.onlyfans_id) == (
        "authenticated",
        desk.creator.username,
        str(desk.creator.id),
    )
    assert account.display_name == "Anna", "the name that the team gave stays"
    assert desk.works(attempt)
    assert desk.events() == ["accounts.connected"]


@pytest.mark.parametrize(
    ("prefix", "state", "event"),
    [
        ("otp+", "needs-otp", "accounts.otp_code_required"),
        ("app+", "needs-app-otp", "accounts.otp_code_required"),
        ("face+", "needs_face_otp", "accounts.face_otp_required"),
    ],
)
async def test_second_factors(desk: Desk, prefix: str, state: str, event: str) -> None:
    """Each kind has its state and event; the creator's answer ends the attempt."""
    attempt = await desk.start(prefix)
    await advance(desk.services, attempt)
    assert desk.row(attempt).state == state
    if prefix == "face+":
        desk.sim.happen("verify-face")
    await desk.attempts.submit(attempt, None if prefix == "face+" else desk.creator.otp_code)
    await advance(desk.services, attempt)
    assert desk.row(attempt).state == "authenticated"
    assert desk.works(attempt)
    assert desk.events() == [event, "accounts.connected"]


async def test_wrong_codes(desk: Desk) -> None:
    """A wrong code leaves the attempt open, the last allowed one ends it; the new account goes with it."""
    attempt = await desk.start("otp+")
    await advance(desk.services, attempt)
    for tries in range(1, 6):
        await desk.attempts.submit(attempt, "0000")
        await advance(desk.services, attempt)
        assert desk.row(attempt).tries == min(tries, 4)
    row = desk.row(attempt)
    assert (row.state, row.error_code, row.secret) == ("failed", "too_many_codes", None)
    assert row.error_message == "OnlyFans says that the code is wrong. That was the last try; start again."
    assert desk.account(attempt).disconnected_at is not None
    assert desk.events()[-1] == "accounts.authentication_failed"


async def test_upstream_down(desk: Desk) -> None:
    """No answer: the attempt stays as it is, to be tried again."""
    attempt = await desk.start()
    desk.sim.faults.add("server_error", path="/users/login", count=1)
    with pytest.raises(LoginUnavailable):
        await advance(desk.services, attempt)
    assert desk.row(attempt).progress == "submitting"
    await advance(desk.services, attempt)
    assert desk.row(attempt).state == "authenticated"


async def test_too_late(desk: Desk) -> None:
    """After `auth.attempt_ttl_s` nothing is sent any more."""
    attempt = await desk.start()
    desk.clock.go(hours=1)
    await advance(desk.services, attempt)
    assert desk.row(attempt).error_code == "attempt_expired"
    assert [r for r in desk.sim.requests if "login" in r["path"]] == []


async def test_reconnect_that_fails_changes_nothing(desk: Desk) -> None:
    """A dead account whose new login is refused is dead as before, with its old login; while it ran, it was waiting."""
    attempt = await desk.start()
    await advance(desk.services, attempt)
    account = desk.account(attempt)
    with desk.services.store.write() as conn:
        accounts.set_state(conn, account.id, "session_expired")
    wrong = desk.given(password="wrong").secret
    assert wrong is not None
    again = await desk.attempts.renew(account, wrong)
    assert desk.account(attempt).state == "reauthenticating"
    with pytest.raises(Conflict):
        await desk.attempts.renew(account, wrong)
    await advance(desk.services, again.id)
    assert (desk.row(again.id).error_code, desk.account(attempt).state) == ("wrong_credentials", "session_expired")
    assert desk.account(attempt).login == account.login


async def test_a_second_login_of_one_user(desk: Desk) -> None:
    """Not forced, it fails and the first stays; forced, the first account gets the login and the second goes."""
    first = await desk.start()
    await advance(desk.services, first)
    second = await desk.start("otp+")
    forced = await desk.start("app+", force_connect=True)
    for attempt in (second, forced):
        await advance(desk.services, attempt)
        await desk.attempts.submit(attempt, desk.creator.otp_code)
        await advance(desk.services, attempt)
    assert desk.row(second).error_code == "already_connected"
    assert desk.row(forced).account_id == desk.row(first).account_id
    with desk.services.store.read() as conn:
        assert [row.id for row in accounts.list_for_team(conn, desk.team_id)] == [desk.row(first).account_id]
    assert desk.events()[-1] == "accounts.reconnected"


async def test_kept_credentials(sqlite_store: Store, desk_of: DeskOf) -> None:
    """Kept only where config says so, encrypted; forgotten with the account, and when they turn out wrong."""
    desk = desk_of(sqlite_store, auth={"keep_credentials": True})
    attempt = await desk.start()
    await advance(desk.services, attempt)
    account = desk.account(attempt)
    with sqlite_store.read() as conn:
        kept = auth.credentials(conn, account.id)
    assert kept is not None
    assert desk.services.secrets.decrypt_json(kept)["password"] == desk.creator.password
    wrong = desk.given(password="changed").secret
    assert wrong is not None
    again = await desk.attempts.renew(account, wrong)
    await advance(desk.services, again.id)
    with sqlite_store.read() as conn:
        assert auth.credentials(conn, account.id) is None


async def test_unreadable_secret(desk: Desk) -> None:
    """A key that was taken away: the attempt ends with a text, not with a retry for ever."""
    attempt = await desk.start()
    with desk.services.store.write() as conn:
        conn.exec_driver_sql("UPDATE auth_attempts SET secret = 'gAAAAAnothing'")
    await advance(desk.services, attempt)
    assert desk.row(attempt).error_code == "secret_unreadable"
    with desk.services.store.read() as conn:
        assert {job.kind for job in outbox.list_jobs(conn)} == {"auth.login", "auth.expire"}
