"""The ways to log in that are shipped: a session that exists already, and e-mail with password.

The login routes are those of `onlyfans-upstream` (users/login, users/otp/check, users/me). What upstream answers beyond
them is told to the creator, never worked around.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from addons.logins.authenticator import (
    Authenticator,
    LoginUnavailable,
    NeedsFactor,
    Refused,
    Restart,
    SecondFactor,
    Secret,
    SignedIn,
    User,
)
from addons.logins.client import LoginClient, Reply, merged
from addons.pipeline.upstream_errors import DEAD_SESSION_CODES

CAPTCHA = Refused(
    "captcha_required",
    "OnlyFans demands a captcha or bot check for this login, and this gateway does not pass such checks. Log in with a "
    "browser and connect that session with auth_type raw_data (cookies, user agent, x-bc).",
)
WRONG_PASSWORD = 101
WRONG_CODE = 102
CAPTCHA_CODE = 103
TOO_MANY = 104
NO_SELFIE = 105
_FACTORS: Mapping[str, SecondFactor] = {"sms": "sms", "phone": "sms", "app": "app", "face": "face"}


class SessionCheck:
    """`raw_data`: the cookies, user agent and x-bc of a browser where the creator is logged in."""

    def __init__(self, client: LoginClient) -> None:
        self.client = client

    async def sign_in(self, secret: Secret) -> SignedIn | NeedsFactor | Refused:
        return SignedIn(secret.session) if secret.session else Refused("session_invalid", "There is no session to use.")

    async def second_factor(self, secret: Secret) -> SignedIn | Refused | Restart:
        return Refused("unexpected_code", "A session that exists already wants no code.")

    async def who(self, secret: Secret) -> User | Refused:
        reply = await self.client.send("GET", "/users/me", secret.session or {})
        if reply.status == 200 and isinstance(reply.body, dict) and reply.body.get("isAuth") is not False:
            return User(reply.body) if reply.body.get("id") else _invalid()
        if reply.challenged:
            return CAPTCHA
        _raise_trouble(reply)
        dead = reply.status in (200, 401) or reply.code in DEAD_SESSION_CODES
        return _invalid() if dead else _refused(reply, secret)


class PasswordLogin(SessionCheck):
    """`email_password`: upstream's own login, with a code by SMS or app, or a selfie where upstream wants one."""

    async def sign_in(self, secret: Secret) -> SignedIn | NeedsFactor | Refused:
        agent = secret.user_agent or self.client.user_agent
        start = {"cookies": "", "user_agent": agent, "xbc": secret.xbc, "auth_id": ""}
        body = {"email": secret.email, "password": secret.password}
        reply = await self.client.send("POST", "/users/login", start, body)
        if reply.status != 200:
            return self._no(reply, secret)
        session = _session(start, reply)
        if not isinstance(reply.body, dict) or not reply.body.get("twoFactorPending"):
            return SignedIn(session)
        otp = reply.body.get("otp")
        otp = otp if isinstance(otp, dict) else {}
        kind = _FACTORS.get(str(otp.get("type", "sms")))
        if kind is None:
            return Refused("unknown_second_factor", "OnlyFans wants a second factor that this gateway does not know.")
        ending, url = otp.get("phoneLast4"), otp.get("verificationUrl")
        return NeedsFactor(kind, session, str(ending)[-4:] if ending else None, str(url) if url else None)

    async def second_factor(self, secret: Secret) -> SignedIn | Refused | Restart:
        session = secret.session or {}
        body = {"code": secret.code} if secret.code else {"faceVerified": True}
        reply = await self.client.send("POST", "/users/otp/check", session, body)
        if reply.status == 200:
            return SignedIn(_session(session, reply))
        if reply.status == 401:
            return Restart()
        return self._no(reply, secret)

    def _no(self, reply: Reply, secret: Secret) -> Refused:
        if reply.code == CAPTCHA_CODE or reply.challenged or "captcha" in reply.message.lower():
            return CAPTCHA
        if reply.status == 429 or reply.code == TOO_MANY:
            return Refused("too_many_attempts", "OnlyFans allows no further tries for a while. Try again later.")
        _raise_trouble(reply)
        known = {
            WRONG_PASSWORD: Refused("wrong_credentials", "OnlyFans says that the e-mail or the password is wrong."),
            WRONG_CODE: Refused("WRONG_2FA", "OnlyFans says that the code is wrong. Send another one.", again=True),
            NO_SELFIE: Refused("face_not_verified", "OnlyFans has not seen the selfie check yet.", again=True),
        }
        return known.get(reply.code or 0) or _refused(reply, secret)


def _raise_trouble(reply: Reply) -> None:
    if reply.status >= 500 or reply.status == 429 or (reply.status < 400 and reply.status != 200):
        raise LoginUnavailable(f"OnlyFans answered {reply.status}", 30 if reply.status == 429 else 5)


def _invalid() -> Refused:
    text = (
        "OnlyFans does not know this session. Take fresh cookies, user agent and x-bc from a browser that is logged in."
    )
    return Refused("session_invalid", text)


def _refused(reply: Reply, secret: Secret) -> Refused:
    """Upstream's own words, without anything secret that they might repeat."""
    text = reply.message
    for known in (secret.password, secret.code, secret.email):
        text = text.replace(known, "***") if known else text
    return Refused("login_refused", f"OnlyFans refused the login [{reply.status}]{': ' + text if text else '.'}")


def _session(session: Mapping[str, str], reply: Reply) -> dict[str, str]:
    auth_id = reply.cookies.get("auth_id") or (str(reply.body.get("id") or "") if isinstance(reply.body, dict) else "")
    return {
        "auth_id": auth_id or session.get("auth_id", ""),
        "cookies": merged(session.get("cookies", ""), reply.cookies),
        "user_agent": session.get("user_agent", ""),
        "xbc": session.get("xbc", ""),
    }


METHODS: Mapping[str, Callable[[LoginClient], Authenticator]] = {
    "email_password": PasswordLogin,
    "raw_data": SessionCheck,
}
