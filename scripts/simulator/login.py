"""Login with email and password, 2FA codes, and the outcomes that a login can end in.

The email's prefix chooses what upstream asks for: `otp+`, `app+` (2FA code by SMS, by app), `face+` (selfie), `captcha+`.
`POST /users/login {email, password}`: 200 `{"id", "isAuth": true}` with the cookies `auth_id` and `sess`; or
200 `{"twoFactorPending": true, "otp": {"type": "sms|app|face", "phoneLast4"?, "verificationUrl"?}}` with a pending `sess`;
400 code 101 wrong email or password; 400 code 103 captcha required. `POST /users/otp/check {code}` with that `sess` (or
`{"faceVerified": true}` once the control endpoint said so): 200 as a login; 400 code 102 wrong code; after 5 wrong codes 429.
"""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web

from scripts.simulator.model import Creator
from scripts.simulator.routes.base import Fail, Reply
from scripts.simulator.world import Session, World

MAX_TRIES = 5
MODES = {"otp+": "sms", "app+": "app", "face+": "face"}


def cookies(request: web.BaseRequest) -> dict[str, str]:
    pairs = (part.split("=", 1) for part in request.headers.get("Cookie", "").split(";") if "=" in part)
    return {name.strip(): value.strip() for name, value in pairs}


def open_session(world: World, who: Creator, request: web.BaseRequest, pending: str | None = None) -> str:
    sess = f"{world.new_id():x}{world.rng(who.id, len(world.sessions)).getrandbits(96):024x}"
    world.sessions[sess] = Session(who.id, request.headers.get("User-Agent"), request.headers.get("x-bc"), pending)
    return sess


def signed_in(who: Creator, sess: str) -> Reply:
    return Reply(
        {"id": who.id, "isAuth": True, "username": who.username}, cookies={"auth_id": str(who.id), "sess": sess}
    )


def start(world: World, request: web.BaseRequest, body: dict[str, Any]) -> Reply:
    email = str(body.get("email", "")).strip().lower()
    prefix = next((one for one in (*MODES, "captcha+") if email.startswith(one)), "")
    if prefix == "captcha+":
        raise Fail(400, "Captcha required", 103)
    who = next((one for one in world.creators if one.email == email.removeprefix(prefix)), None)
    if who is None or body.get("password") != who.password:
        raise Fail(400, "Wrong email or password", 101)
    mode = MODES.get(prefix)
    if mode is None:
        return signed_in(who, open_session(world, who, request))
    sess = open_session(world, who, request, pending=mode)
    otp: dict[str, Any] = {"type": mode}
    if mode == "sms":
        otp["phoneLast4"] = str(who.id)[-4:]
    if mode == "face":
        otp["verificationUrl"] = f"https://onlyfans.com/face-otp/{who.id}"
    return Reply({"twoFactorPending": True, "otp": otp}, cookies={"sess": sess})


def check(world: World, request: web.BaseRequest, body: dict[str, Any]) -> Reply:
    session = world.sessions.get(cookies(request).get("sess", ""))
    if session is None or session.pending is None:
        raise Fail(401, "Please refresh the page", 401)
    who = world.by_id[session.creator_id]
    if session.tries >= MAX_TRIES:
        raise Fail(429, "Too many attempts", 104)
    face = session.pending == "face"
    passed = who.id in world.faces if face else str(body.get("code", "")) == who.otp_code
    if not passed:
        session.tries += 1
        raise Fail(400, "Face is not verified yet" if face else "Wrong code", 105 if face else 102)
    session.pending = None
    return signed_in(who, cookies(request)["sess"])


def answer(world: World, request: web.BaseRequest, path: str, raw: bytes) -> Reply | None:
    """The answer of a login route, or None for other paths."""
    if not path.startswith(("/users/login", "/users/otp/", "/users/logout")):
        return None
    try:
        body = orjson.loads(raw) if raw else {}
    except orjson.JSONDecodeError:
        raise Fail(400, "Wrong request body.") from None
    key = (request.method, path)
    if key == ("POST", "/users/login"):
        return start(world, request, body)
    if key == ("POST", "/users/otp/check"):
        return check(world, request, body)
    if key in {("GET", "/users/otp/code"), ("PUT", "/users/otp/alternative")}:
        return Reply({"success": True})
    if key == ("POST", "/users/logout"):
        world.sessions.pop(cookies(request).get("sess", ""), None)
        return Reply({"success": True})
    return None
