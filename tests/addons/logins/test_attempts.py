"""addons/logins/attempts: what clients and the hosted page may do with an attempt, and when."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from addons.logins import attempts as shapes
from addons.logins.advance import advance
from addons.logins.authenticator import Secret
from addons.pipeline.errors import Conflict, ValidationFailed
from ofapi_store.engine import Store
from ofapi_store.queries import auth_sessions
from ofapi_store.queries.auth_sessions import SessionRow
from tests.addons.logins.conftest import Desk


def session_of(desk: Desk, name: str = "Anna") -> SessionRow:
    with desk.services.store.write() as conn:
        ends = desk.clock.now + timedelta(hours=1)
        return auth_sessions.create(conn, desk.team_id, display_name=name, now=desk.clock.now, expires_at=ends)[0]


def secret_of(desk: Desk, prefix: str = "", **body: str) -> Secret:
    found = desk.given(prefix, **body).secret
    assert found is not None
    return found


async def test_connected_accounts_are_refused_at_once(desk: Desk) -> None:
    """By auth id, and by an e-mail that upstream confirmed; the error names our account."""
    attempt = await desk.start()
    await advance(desk.services, attempt)
    account = desk.account(attempt)
    for wanted in (desk.session(), desk.given()):
        with pytest.raises(Conflict, match=account.id):
            await desk.attempts.start(desk.team_id, wanted)


async def test_a_code_only_while_one_is_wanted(desk: Desk) -> None:
    """Before, after, twice, and of the wrong kind: refused, and nothing changes."""
    attempt = await desk.start("otp+")
    with pytest.raises(Conflict):
        await desk.attempts.submit(attempt, "123456")
    await advance(desk.services, attempt)
    with pytest.raises(ValidationFailed):
        await desk.attempts.submit(attempt, None)
    await desk.attempts.submit(attempt, desk.creator.otp_code)
    with pytest.raises(Conflict):
        await desk.attempts.submit(attempt, desk.creator.otp_code)
    await advance(desk.services, attempt)
    with pytest.raises(Conflict):
        await desk.attempts.submit(attempt, desk.creator.otp_code)
    face = await desk.start("face+", force_connect=True)
    await advance(desk.services, face)
    with pytest.raises(ValidationFailed):
        await desk.attempts.submit(face, "123456")


async def test_too_late_for_a_code(desk: Desk) -> None:
    """An attempt whose time is over takes no code, although its end was not written yet."""
    attempt = await desk.start("otp+")
    await advance(desk.services, attempt)
    desk.clock.go(hours=1)
    with pytest.raises(Conflict):
        await desk.attempts.submit(attempt, desk.creator.otp_code)


async def test_a_page_is_for_one_login(desk: Desk) -> None:
    """A refused password can be corrected on the page; after the login, nothing more can be started."""
    session = session_of(desk)
    row = await desk.attempts.fill(session, secret_of(desk, password="wrong"))
    with pytest.raises(Conflict):
        await desk.attempts.fill(session, secret_of(desk))
    await advance(desk.services, row.id)
    again = desk.row(row.id)
    assert (again.progress, again.error_code, again.secret) == ("filling_out_login", "wrong_credentials", None)
    assert (await desk.attempts.fill(session, secret_of(desk))).id == row.id
    await advance(desk.services, row.id)
    assert desk.row(row.id).state == "authenticated"
    assert desk.account(row.id).display_name == "Anna"
    with pytest.raises(Conflict) as caught:
        await desk.attempts.fill(session, secret_of(desk))
    assert caught.value.code == "link_used"


async def test_a_page_has_a_limit_of_tries(desk: Desk) -> None:
    """After `auth.max_code_tries` refused logins the link is used up."""
    session = session_of(desk)
    for _ in range(5):
        row = await desk.attempts.fill(session, secret_of(desk, password="wrong"))
        await advance(desk.services, row.id)
    assert desk.row(row.id).state == "failed"
    with pytest.raises(Conflict):
        await desk.attempts.fill(session, secret_of(desk))


async def test_a_captcha_ends_a_page(desk: Desk) -> None:
    """There is nothing to correct: the attempt has failed and its link is used up."""
    session = session_of(desk)
    row = await desk.attempts.fill(session, secret_of(desk, email=f"captcha+{desk.creator.email}"))
    await advance(desk.services, row.id)
    ended = desk.row(row.id)
    assert (ended.state, ended.progress, ended.error_code) == ("failed", "failed", "captcha_required")
    assert "raw_data" in (ended.error_message or "")
    with pytest.raises(Conflict) as caught:
        await desk.attempts.fill(session, secret_of(desk))
    assert caught.value.code == "link_used"


async def test_a_page_renews_a_dead_account(store: Store, desk_of: Callable[..., Desk]) -> None:
    """A creator whose session died logs in by a new link: the account that is there gets the login."""
    desk = desk_of(store)
    first = await desk.start()
    await advance(desk.services, first)
    account = desk.account(first)
    with store.write() as conn:
        conn.exec_driver_sql(f"UPDATE accounts SET state = 'session_expired' WHERE id = '{account.id}'")
    row = await desk.attempts.fill(session_of(desk), secret_of(desk))
    await advance(desk.services, row.id)
    assert (desk.row(row.id).account_id, desk.account(row.id).state) == (account.id, "authenticated")
    assert desk.account(row.id).display_name == account.display_name


async def test_pages_for_mails(desk: Desk) -> None:
    """A mail's page follows the attempt that it was made for."""
    attempt = await desk.start("otp+")
    await advance(desk.services, attempt)
    token = await desk.attempts.page_of(desk.row(attempt))
    with desk.services.store.read() as conn:
        session = auth_sessions.by_token(conn, token, desk.clock.now)
    assert session is not None
    assert (session.attempt_id, session.expires_at) == (attempt, desk.row(attempt).expires_at)


async def test_mobile_logins_wait_for_the_creator(desk: Desk) -> None:
    """Nothing is sent before the page was filled in."""
    wanted = desk.given(auth_type="mobile_app", email=None, password=None)
    row, token = await desk.attempts.start_mobile(desk.team_id, wanted)
    assert token.startswith("ofapi_cs_")
    await advance(desk.services, row.id)
    assert desk.row(row.id).progress == "filling_out_login"
    assert desk.sim.requests == []


async def test_polls_show_what_clients_can_read(desk: Desk) -> None:
    """`users/me` only once it is connected, without what the clients' types do not take."""
    attempt = await desk.start()
    row, account = desk.row(attempt), desk.account(attempt)
    data = {"id": 5, "avatarThumbs": {"c50": "u"}}
    assert shapes.shown(row, account, data)["account"]["onlyfans_data"] is None
    await advance(desk.services, attempt)
    shown = shapes.shown(desk.row(attempt), desk.account(attempt), data)
    assert shown["account"]["onlyfans_data"] == {"id": 5, "avatarThumbs": None}
    assert shown["lastAttempt"]["success"] is True


async def test_what_a_login_can_be_renewed_with(desk: Desk) -> None:
    """Kept credentials, else the last session, else nothing."""
    attempt = await desk.start()
    assert shapes.secret_from(desk.services, desk.account(attempt), None) is None
    await advance(desk.services, attempt)
    session = shapes.secret_from(desk.services, desk.account(attempt), None)
    assert session is not None
    assert (session.kind, session.auth_id) == ("raw_data", str(desk.creator.id))
    wanted = secret_of(desk)
    kept = desk.services.secrets.encrypt_json(wanted.as_json())
    assert shapes.secret_from(desk.services, desk.account(attempt), kept) == wanted
