"""Logins through the official client, strict, against a simulated upstream."""

from __future__ import annotations

from typing import Any

import onlyfansapi
import pytest
from onlyfansapi import OnlyFansAPI

from tests.e2e.logins.conftest import CODE, PASSWORD, Bed
from tests.e2e.waiting import until


def poll(client: OnlyFansAPI, attempt: str | None, *, state: str) -> Any:
    """The attempt as soon as it has that state."""
    assert attempt is not None
    return until(lambda: client.authenticate.poll_status(attempt), lambda found: found.state == state)


def ended(client: OnlyFansAPI, attempt: str | None) -> Any:
    return poll(client, attempt, state="failed").last_attempt


def test_password_login(client: OnlyFansAPI, bed: Bed) -> None:
    """E-mail and password: authenticated with what `users/me` says, listed, and usable at once."""
    started = client.authenticate.start(email=bed.owner.email, password=PASSWORD, name="Anna")
    assert started.polling_url == f"{bed.stack.base_url}/api/authenticate/{started.attempt_id}"
    done = poll(client, started.attempt_id, state="authenticated")
    assert (done.progress, done.last_attempt.success) == ("signed_in", True)
    assert (done.account.display_name, done.account.onlyfans_data.id) == ("Anna", bed.owner.id)
    assert done.account.onlyfans_data.csrf is None
    listed = {row.id: row for row in client.accounts.list(onlyfans_id=str(bed.owner.id))}
    assert (listed[done.account.id].is_authenticated, listed[done.account.id].display_name) == (True, "Anna")
    assert bed.api.get(f"/{done.account.id}/me").json()["data"]["id"] == bed.owner.id


@pytest.mark.parametrize(("prefix", "state"), [("otp+", "needs-otp"), ("app+", "needs-app-otp")])
def test_second_factor(client: OnlyFansAPI, bed: Bed, prefix: str, state: str) -> None:
    """A wrong code leaves the attempt open; the right one ends it."""
    attempt = client.authenticate.start(email=prefix + bed.owner.email, password=PASSWORD).attempt_id
    waiting = poll(client, attempt, state=state)
    assert (waiting.progress, waiting.last_attempt.needs_otp) == ("waiting_for_otp", True)
    assert waiting.last_attempt.otp_phone_ending == (str(bed.owner.id)[-4:] if prefix == "otp+" else None)
    assert client.authenticate.submit_2fa(attempt, code="000000").message == "OTP submitted successfully"
    again = until(
        lambda: client.authenticate.poll_status(attempt),
        lambda found: found.state == state and found.last_attempt.error_code == "WRONG_2FA",
    )
    assert again.last_attempt.completed_at is None
    client.authenticate.submit_2fa(attempt, code=f"{CODE[:4]} {CODE[4:]}")
    poll(client, attempt, state="authenticated")


def test_codes_run_out(client: OnlyFansAPI, bed: Bed) -> None:
    """After `auth.max_code_tries` wrong codes the attempt has failed, and takes no further one."""
    attempt = client.authenticate.start(email=f"otp+{bed.owner.email}", password=PASSWORD).attempt_id
    for _ in range(3):
        poll(client, attempt, state="needs-otp")
        client.authenticate.submit_2fa(attempt, code="111111")
        until(lambda: client.authenticate.poll_status(attempt).state, lambda s: s in ("needs-otp", "failed"))
    assert ended(client, attempt).error_code == "too_many_codes"
    with pytest.raises(onlyfansapi.ConflictError):
        client.authenticate.submit_2fa(attempt, code=CODE)


def test_selfie(client: OnlyFansAPI, bed: Bed) -> None:
    """A selfie check that was not done leaves the attempt open; once done, it passes."""
    attempt = client.authenticate.start(email=f"face+{bed.owner.email}", password=PASSWORD).attempt_id
    waiting = poll(client, attempt, state="needs_face_otp")
    assert waiting.last_attempt.face_otp_verification_url.startswith("https://onlyfans.com/")
    bed.sim.world.faces.discard(bed.owner.id)
    client.authenticate.submit_2fa(attempt, selfie_verification_completed=True)
    until(
        lambda: client.authenticate.poll_status(attempt).last_attempt,
        lambda last: last.error_code == "face_not_verified",
    )
    bed.sim.happen("verify-face", creator=bed.owner.id)
    client.authenticate.submit_2fa(attempt, selfie_verification_completed=True)
    poll(client, attempt, state="authenticated")


def test_refusals(client: OnlyFansAPI, bed: Bed) -> None:
    """A wrong password and a captcha end the attempt with a code and a text that says what to do; no account stays."""
    wrong = client.authenticate.start(email=bed.owner.email, password="nope").attempt_id
    assert ended(client, wrong).error_code == "wrong_credentials"
    captcha = ended(client, client.authenticate.start(email=f"captcha+{bed.owner.email}", password=PASSWORD).attempt_id)
    assert captcha.error_code == "captcha_required"
    assert "raw_data" in captcha.error_message
    assert [row.id for row in client.accounts.list()] == [bed.stack.account]


def test_session_and_force(client: OnlyFansAPI, bed: Bed) -> None:
    """A session connects; a second time is a conflict, unless forced: then the same account gets the new login."""
    session = bed.session()
    first = client.authenticate.start(auth_type="raw_data", **session)
    account = poll(client, first.attempt_id, state="authenticated").account.id
    with pytest.raises(onlyfansapi.ConflictError, match="already connected"):
        client.authenticate.start(auth_type="raw_data", **session)
    forced = client.authenticate.start(auth_type="raw_data", force_connect=True, **bed.session())
    assert poll(client, forced.attempt_id, state="authenticated").account.id == account
    late = client.authenticate.start(email=f"otp+{bed.owner.email}", password=PASSWORD, force_connect=True)
    poll(client, late.attempt_id, state="needs-otp")
    assert bed.api.get(f"/{account}/me").status_code == 200, "a working account goes on while its new login runs"


def test_dead_session_is_refused(client: OnlyFansAPI, bed: Bed) -> None:
    """Cookies that upstream does not know, and cookies of somebody else, connect nothing."""
    dead = {**bed.session(), "cookies": f"auth_id={bed.owner.id}; sess=unknown"}
    found = ended(client, client.authenticate.start(auth_type="raw_data", **dead).attempt_id)
    assert found.error_code == "session_invalid"
    other = {**bed.session(), "auth_id": "4711"}
    assert (
        ended(client, client.authenticate.start(auth_type="raw_data", **other).attempt_id).error_code == "wrong_account"
    )


def test_found_out_late_that_it_is_connected(client: OnlyFansAPI, bed: Bed) -> None:
    """Where only upstream tells who it is, a second connection fails then, and the first goes on."""
    first = client.authenticate.start(auth_type="raw_data", **bed.session())
    poll(client, first.attempt_id, state="authenticated")
    second = client.authenticate.start(email=f"otp+{bed.owner.email}", password=PASSWORD)
    poll(client, second.attempt_id, state="needs-otp")
    client.authenticate.submit_2fa(str(second.attempt_id), code=CODE)
    assert ended(client, second.attempt_id).error_code == "already_connected"
    assert bed.api.get("/accounts").json()[-1]["is_authenticated"] is True


def test_reauthenticate(client: OnlyFansAPI, bed: Bed) -> None:
    """With kept credentials a dead account comes back; without, only the last session can be tried."""
    started = client.authenticate.start(email=bed.owner.email, password=PASSWORD)
    account = str(poll(client, started.attempt_id, state="authenticated").account.id)
    again = client.authenticate.reauthenticate(account)
    assert again.success is True
    poll(client, str(again.polling_url).rpartition("/")[2], state="authenticated")
    replaced = bed.api.put(f"/authenticate/{account}/credentials", json=bed.session()).json()
    poll(client, replaced["polling_url"].rpartition("/")[2], state="authenticated")
    with pytest.raises(onlyfansapi.NotFoundError):
        client.authenticate.reauthenticate(bed.stack.seeded.other_account)


def test_a_dead_session_is_renewed_by_itself(client: OnlyFansAPI, bed: Bed) -> None:
    """Upstream ends the session: traffic notices, a login starts with the kept credentials, requests wait with 503."""
    started = client.authenticate.start(email=f"otp+{bed.owner.email}", password=PASSWORD)
    poll(client, started.attempt_id, state="needs-otp")
    client.authenticate.submit_2fa(str(started.attempt_id), code=CODE)
    account = str(poll(client, started.attempt_id, state="authenticated").account.id)
    for sess, session in list(bed.sim.world.sessions.items()):
        if session.creator_id == bed.owner.id:
            del bed.sim.world.sessions[sess]
    assert bed.api.get(f"/{account}/me").status_code == 401
    until(lambda: bed.api.get(f"/{account}/me"), lambda answer: answer.status_code == 503)
    assert bed.api.get(f"/{account}/me").json()["error"] == "SERVICE_UNAVAILABLE"
    row = until(
        lambda: next(r for r in bed.api.get("/accounts").json() if r["id"] == account),
        lambda found: found["authentication_progress"] == "waiting_for_otp",
    )
    assert row["is_authenticated"] is False


def test_mobile_app_and_mail(client: OnlyFansAPI, bed: Bed) -> None:
    """The link opens a page where the creator logs in; a mail with a link of its own helps with the second factor."""
    started: Any = client.authenticate.start(auth_type="mobile_app", name="By phone")
    link = started.mobile_auth_session_deeplink
    assert link.startswith(f"{bed.stack.base_url}/connect/ofapi_cs_")
    shown: Any = client.authenticate.poll_status(started.attempt_id)
    assert (shown.state, shown.progress) == ("authenticating", "filling_out_login")
    assert shown.mobile_auth_session_deeplink == link
    page = bed.api
    assert page.post(f"{link}/start", json={"email": f"otp+{bed.owner.email}", "password": PASSWORD}).status_code == 200
    poll(client, started.attempt_id, state="needs-otp")
    assert client.authenticate.send_2fa_email(started.attempt_id).success is True
    (mail,) = until(lambda: bed.mails.mails, len)
    assert mail["To"] == f"otp+{bed.owner.email}"
    mailed = next(word for word in mail.get_content().split() if word.startswith("http"))
    assert page.post(f"{mailed}/code", json={"code": CODE}).status_code == 200
    done = poll(client, started.attempt_id, state="authenticated")
    assert done.account.display_name == "By phone"
    shown = page.get(f"{link}/status").json()["account"]
    assert (shown["id"], shown["username"]) == (done.account.id, bed.owner.username)


def test_client_session(client: OnlyFansAPI, bed: Bed) -> None:
    """The token opens the page of one login and nothing of the API beyond it; after its login it starts no other."""
    made = client.client_sessions.create(display_name="Anna", client_reference_id="crm-17")
    assert made.data is not None
    token = str(made.data.token)
    assert (token[:9], made.data.display_name, made.data.client_reference_id) == ("ofapi_cs_", "Anna", "crm-17")
    page = f"{bed.stack.base_url}/connect/{token}"
    assert bed.api.get("/accounts", headers={"Authorization": f"Bearer {token}"}).status_code == 403
    login = {"email": bed.owner.email, "password": PASSWORD}
    assert bed.api.post(f"{page}/start", json=login).status_code == 200
    done = until(lambda: bed.api.get(f"{page}/status").json(), lambda found: found["state"] == "authenticated")
    row = next(r for r in bed.api.get("/accounts").json() if r["id"] == done["account"]["id"])
    assert (row["display_name"], row["client_reference_id"]) == ("Anna", "crm-17")
    assert bed.api.post(f"{page}/start", json=login).json()["error"] == "link_used"


def test_a_client_session_logs_in_by_the_api(bed: Bed) -> None:
    """Its token starts, follows and finishes its one login, as `POST /authenticate` does, and may do nothing else."""
    made = bed.api.post("/client-sessions", json={"display_name": "Anna", "client_reference_id": "crm-18"}).json()
    token = {"headers": {"Authorization": f"Bearer {made['data']['token']}"}}
    stranger = bed.api.post("/authenticate", json={"auth_type": "mobile_app"}).json()["attempt_id"]
    login = {"email": f"otp+{bed.owner.email}", "password": PASSWORD}
    for field in ("force_connect", "customProxy", "proxyCountry"):
        value = {"force_connect": True, "customProxy": {"host": "1.2.3.4", "port": 80}, "proxyCountry": "us"}[field]
        refused = bed.api.post("/authenticate", json={**login, field: value}, **token)
        assert (refused.status_code, list(refused.json()["errors"])) == (422, [field])
    assert bed.api.post("/authenticate", json={"auth_type": "mobile_app"}, **token).status_code == 422
    attempt = bed.api.post("/authenticate", json=login, **token).json()["attempt_id"]
    until(lambda: bed.api.get(f"/authenticate/{attempt}", **token).json()["state"], "needs-otp".__eq__)
    assert bed.api.put(f"/authenticate/{attempt}", json={"code": CODE}, **token).status_code == 200
    until(lambda: bed.api.get(f"/authenticate/{attempt}", **token).json()["state"], "authenticated".__eq__)
    assert bed.api.post("/authenticate", json=login, **token).json()["error"] == "link_used"
    account = bed.api.get(f"/authenticate/{attempt}").json()["account"]["id"]
    row = next(r for r in bed.api.get("/accounts").json() if r["id"] == account)
    assert (row["display_name"], row["client_reference_id"]) == ("Anna", "crm-18")
    assert bed.api.get(f"/authenticate/{stranger}", **token).status_code == 404
    forbidden = [("GET", "/whoami"), ("GET", f"/{account}/fans/all"), ("DELETE", f"/accounts/{account}")]
    forbidden += [
        ("POST", f"/authenticate/{account}/reauthenticate"),
        ("POST", "/client-sessions"),
        ("GET", "/nothing"),
    ]
    for method, path in forbidden:
        assert bed.api.request(method, path, **token).status_code == 403, path


def test_other_teams_see_nothing(bed: Bed) -> None:
    """An attempt of another team is as unknown as one that never was, for every operation."""
    attempt = bed.api.post("/authenticate", json={"auth_type": "mobile_app"}).json()["attempt_id"]
    stranger = {"headers": bed.stack.other_auth}
    for made_up in (attempt, "auth_unknown"):
        answers = [
            bed.api.get(f"/authenticate/{made_up}", **stranger),
            bed.api.put(f"/authenticate/{made_up}", json={"code": "123456"}, **stranger),
            bed.api.post(f"/authenticate/{made_up}/send-email-to-creator", **stranger),
        ]
        assert {(a.status_code, a.json()["error"]) for a in answers} == {(404, "not_found")}
    bed.api.delete(f"/accounts/{bed.api.get(f'/authenticate/{attempt}').json()['account']['id']}")
    gone = bed.api.get(f"/authenticate/{attempt}").json()
    assert (gone["state"], gone["lastAttempt"]["error_code"]) == ("failed", "disconnected")
