"""addons/logins/methods: what each answer of upstream's login routes means."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from addons.config import Config
from addons.logins.authenticator import LoginUnavailable, NeedsFactor, Refused, Restart, Secret, SignedIn, User
from addons.logins.client import LoginClient
from addons.logins.methods import PasswordLogin, SessionCheck

SECRET = Secret("email_password", email="me@example.test", password="pass-word", xbc="bc")
PENDING = Secret(
    "email_password",
    email="me@example.test",
    password="pass-word",
    session={"cookies": "sess=p", "user_agent": "UA", "xbc": "bc", "auth_id": ""},
    waits_for="sms",
    code="123456",
)
Upstream = Callable[[web.Response], Awaitable[LoginClient]]


@pytest.fixture
async def upstream() -> Any:
    """Makes a client whose upstream gives one answer, whatever is asked."""
    servers: list[TestServer] = []

    async def answering(answer: web.Response) -> LoginClient:
        async def handle(_: web.Request) -> web.Response:
            return answer

        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", handle)
        server = TestServer(app)
        await server.start_server()
        servers.append(server)
        config = {"upstream": {"base_url": str(server.make_url("")).rstrip("/")}, "auth": {"request_timeout_s": 5}}
        return LoginClient(Config.build(config), None)

    yield answering
    for server in servers:
        await server.close()


def error(code: int, message: str = "", status: int = 400) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}}, status=status)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (error(101), "wrong_credentials"),
        (error(103), "captcha_required"),
        (error(0, "Please solve the CAPTCHA"), "captcha_required"),
        (web.Response(status=403, text="<html>Just a moment</html>"), "captcha_required"),
        (web.json_response({}, status=403, headers={"cf-mitigated": "challenge"}), "captcha_required"),
        (error(0, "slow down", 429), "too_many_attempts"),
        (error(0, "Account deleted"), "login_refused"),
        (web.json_response({"twoFactorPending": True, "otp": {"type": "dna"}}), "unknown_second_factor"),
    ],
)
async def test_refused_logins(upstream: Upstream, answer: web.Response, code: str) -> None:
    """Each refusal has a code of its own; captchas and bot checks are named, never passed."""
    found = await PasswordLogin(await upstream(answer)).sign_in(SECRET)
    assert isinstance(found, Refused)
    assert found.code == code


async def test_upstreams_words_are_told_without_secrets(upstream: Upstream) -> None:
    """What upstream says is passed on, but for what the creator gave."""
    answer = error(7, "No login for me@example.test with pass-word")
    found = await PasswordLogin(await upstream(answer)).sign_in(SECRET)
    assert isinstance(found, Refused)
    assert found.message == "OnlyFans refused the login [400]: No login for *** with ***"


@pytest.mark.parametrize("answer", [error(0, status=502), web.Response(status=302, headers={"Location": "/x"})])
async def test_trouble_is_no_refusal(upstream: Upstream, answer: web.Response) -> None:
    """Upstream's own trouble is tried again."""
    with pytest.raises(LoginUnavailable):
        await PasswordLogin(await upstream(answer)).sign_in(SECRET)


async def test_nobody_there() -> None:
    """A connection that fails is tried again, and its text names no secret."""
    client = LoginClient(Config.build({"upstream": {"base_url": "http://127.0.0.1:9"}}), None)
    with pytest.raises(LoginUnavailable, match="cannot be reached"):
        await PasswordLogin(client).sign_in(SECRET)


async def test_sessions_are_built_from_cookies(upstream: Upstream) -> None:
    """The cookies that upstream sets, the user agent and x-bc that were sent."""
    answer = web.json_response({"id": 7, "isAuth": True})
    answer.headers.add("Set-Cookie", "sess=abc; Path=/; HttpOnly")
    answer.headers.add("Set-Cookie", "auth_id=7; Path=/")
    found = await PasswordLogin(await upstream(answer)).sign_in(SECRET)
    assert isinstance(found, SignedIn)
    session = dict(found.session)
    assert (session["auth_id"], session["cookies"], session["xbc"]) == ("7", "sess=abc; auth_id=7", "bc")
    assert session["user_agent"]
    assert "abc" not in repr(found)


async def test_second_factor_is_asked_for(upstream: Upstream) -> None:
    """Of a phone number no more than the last digits are kept."""
    otp = {"type": "sms", "phoneLast4": "00123456"}
    answer = web.json_response({"twoFactorPending": True, "otp": otp}, headers={"Set-Cookie": "sess=p"})
    found = await PasswordLogin(await upstream(answer)).sign_in(SECRET)
    assert isinstance(found, NeedsFactor)
    assert (found.kind, found.phone_ending, found.session["cookies"]) == ("sms", "3456", "sess=p")


@pytest.mark.parametrize(
    ("answer", "code", "again"),
    [
        (error(102), "WRONG_2FA", True),
        (error(105), "face_not_verified", True),
        (error(104, status=429), "too_many_attempts", False),
    ],
)
async def test_refused_codes(upstream: Upstream, answer: web.Response, code: str, again: bool) -> None:
    """Wrong codes can be tried again, until upstream itself allows no more."""
    found = await PasswordLogin(await upstream(answer)).second_factor(PENDING)
    assert isinstance(found, Refused)
    assert (found.code, found.again) == (code, again)


async def test_forgotten_login_starts_anew(upstream: Upstream) -> None:
    """Upstream no longer knows the pending session."""
    assert await PasswordLogin(await upstream(error(0, status=401))).second_factor(PENDING) == Restart()


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (web.json_response({"isAuth": False}), "session_invalid"),
        (web.json_response({"isAuth": True}), "session_invalid"),
        (error(101, status=401), "session_invalid"),
        (error(102, status=403), "session_invalid"),
        (web.Response(status=403, text="no"), "captcha_required"),
        (error(301, "Wrong user."), "login_refused"),
    ],
)
async def test_sessions_that_do_not_work(upstream: Upstream, answer: web.Response, code: str) -> None:
    """A session that upstream does not know, in all its spellings, and other refusals."""
    found = await SessionCheck(await upstream(answer)).who(PENDING)
    assert isinstance(found, Refused)
    assert found.code == code


async def test_whose_session_it_is(upstream: Upstream) -> None:
    """Fractions keep their text."""
    body = web.Response(text='{"id": 7, "isAuth": true, "price": 1.10}', content_type="application/json")
    found = await SessionCheck(await upstream(body)).who(PENDING)
    assert isinstance(found, User)
    assert str(found.data["price"]) == "1.10"


async def test_session_check_takes_no_code(upstream: Upstream) -> None:
    """Signing in with a session is having it."""
    method = SessionCheck(await upstream(web.json_response({})))
    assert isinstance(await method.sign_in(PENDING), SignedIn)
    assert isinstance(await method.sign_in(SECRET), Refused)
    assert isinstance(await method.second_factor(PENDING), Refused)
