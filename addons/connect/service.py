"""Mount `connect`: `/connect/{token}` and what its page asks for.

    GET  {token}            the page
    GET  {token}/status     where the login stands
    POST {token}/start      credentials or a session
    POST {token}/code       a 2FA code, or the word that the selfie check is done
    GET  auth.js            for sites that open the page in a frame
    GET  assets/{name}

The same below the mount `embed`, where the npm package @onlyfansapi/auth looks for the page. The token is all that a
caller needs; it can start and follow one login and nothing else.
"""

from __future__ import annotations

import mimetypes
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from addons.logins import given
from addons.logins.attempts import Attempts
from addons.logins.renewing import Renewal
from addons.pipeline.answers import dumps, json_response
from addons.pipeline.begin import method_not_allowed
from addons.pipeline.errors import ApiError, Forbidden, NotFound, ValidationFailed
from addons.pipeline.exchange import Headers, Response
from addons.pipeline.sessions import add_on_account_state
from addons.pipeline.validate import read_json
from ofapi_store.queries import accounts, auth, auth_sessions

if TYPE_CHECKING:
    from addons.pipeline.exchange import Exchange
    from addons.pipeline.services import Services
    from ofapi_store.queries.auth_sessions import SessionRow

ASSETS = ("app.js", "style.css")
BODY_BYTES = 65_536
GONE = "This link does not work, or its time is over. Ask for a new one."


class ConnectPage:
    """The mount's handler. `services` as everywhere."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._attempts = Attempts(services)

    async def __call__(self, x: Exchange) -> Response:
        """Raises ApiError."""
        parts = list(x.path.segments) if x.path is not None else []
        if parts == ["auth.js"] or (len(parts) == 2 and parts[0] == "assets" and parts[1] in ASSETS):
            _only(x, "GET", "HEAD")
            return self._asset(parts[-1])
        if len(parts) not in (1, 2):
            raise NotFound(GONE)
        if len(parts) == 1:
            return await self._page(x, parts[0])
        session = await self._session(parts[0])
        if parts[1] == "status":
            _only(x, "GET", "HEAD")
            return await self._status(session)
        if parts[1] not in ("start", "code"):
            raise NotFound(GONE)
        _only(x, "POST")
        body = _own_json(x, self._services.config.public_url)
        if parts[1] == "start":
            await self._attempts.fill(session, given.credentials(body))
        else:
            await self._submit(session, body)
        return await self._status(await self._session(parts[0]))

    async def _page(self, x: Exchange, token: str) -> Response:
        _only(x, "GET", "HEAD")
        found = await self._services.store.aread(auth_sessions.by_token, token, self._services.clock())
        name = "page.html" if found is not None else "gone.html"
        body = _read(name).replace(b"{{base}}", self._services.config.mounts.connect.encode())
        return Response(200 if found is not None else 404, self._headers("text/html; charset=utf-8"), body)

    async def _session(self, token: str) -> SessionRow:
        found = await self._services.store.aread(auth_sessions.by_token, token, self._services.clock())
        if found is None:
            raise NotFound(GONE)
        return found

    async def _submit(self, session: SessionRow, body: dict[str, Any]) -> None:
        code = given.answer(body)
        if session.attempt_id is None:
            raise ValidationFailed.of("code", "No login has been started on this page yet.")
        await self._attempts.submit(session.attempt_id, code)

    async def _status(self, session: SessionRow) -> Response:
        """What the page shows; `account` once it is connected. Nothing secret."""
        row = None
        if session.attempt_id is not None:
            row = await self._services.store.aread(auth.by_id, session.attempt_id)
        shown: dict[str, Any] = {
            "display_name": session.display_name,
            "state": "new",
            "progress": None,
            "account": None,
        }
        if row is not None:
            last = auth.last_attempt(row)
            shown |= {"state": row.state, "progress": row.progress, "lastAttempt": last}
            if row.state == "authenticated":
                shown["account"] = await self._account(row.account_id)
        return json_response(200, dumps(shown), [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")])

    async def _account(self, account_id: str) -> dict[str, Any]:
        """What the frame's owner hears of whom it connected, in the words of the official frame library."""
        store = self._services.store
        row = await store.aread(accounts.by_id, account_id)
        data = (await store.aread(accounts.user_data, [account_id])).get(account_id) or {}
        username = row.username if row is not None else None
        shown = {name: data.get(name) for name in ("id", "username", "name", "email")}
        person = {**shown, "username": username, "avatar_url": data.get("avatar")}
        return {"id": account_id, "username": username, "onlyfans_data": person}

    def _asset(self, name: str) -> Response:
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        headers = [
            ("Content-Type", f"{kind}; charset=utf-8"),
            ("Cache-Control", "public, max-age=300"),
            ("X-Content-Type-Options", "nosniff"),
            ("Cross-Origin-Resource-Policy", "cross-origin" if name == "auth.js" else "same-origin"),
        ]
        return Response(200, Headers(headers), _read(name))

    def _headers(self, kind: str) -> Headers:
        """Nothing from elsewhere, no frame but on the sites that config names, and the token in no Referer."""
        origins = [_origin(str(url)) for url in self._services.config.auth.embed_origins]
        allowed = " ".join(origins) or "'none'"
        policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; "
            f"base-uri 'none'; frame-ancestors {allowed}"
        )
        return Headers(
            [
                ("Content-Type", kind),
                ("Content-Security-Policy", policy),
                ("Referrer-Policy", "no-referrer"),
                ("Cache-Control", "no-store"),
                ("X-Content-Type-Options", "nosniff"),
                ("X-Robots-Tag", "noindex"),
                *([] if origins else [("X-Frame-Options", "DENY")]),
            ]
        )


@cache
def _read(name: str) -> bytes:
    return files("addons.connect").joinpath("assets", name).read_bytes()


def _only(x: Exchange, *methods: str) -> None:
    if x.request.method not in methods:
        raise method_not_allowed(x.request.method, methods)


def _own_json(x: Exchange, public_url: str | None) -> dict[str, Any]:
    """The JSON object that our page sent. Another site's forms and scripts cannot: they get 403 or 415."""
    origin, kind = x.request.headers.get("origin"), x.request.headers.get("content-type")
    if x.request.headers.get("sec-fetch-site") not in (None, "same-origin", "none"):
        raise Forbidden("Only the page itself may send this.")
    hosts = {x.entry.host.lower(), urlsplit(str(public_url or "")).hostname}
    if origin is not None and urlsplit(origin).hostname not in hosts:
        raise Forbidden("Only the page itself may send this.")
    if (kind or "").partition(";")[0].strip().lower() != "application/json":
        raise ApiError(415, "unsupported_media_type", "Send JSON with Content-Type: application/json.")
    body = read_json(x.request.body, limit=BODY_BYTES, content_type=kind)
    if not isinstance(body, dict):
        raise ValidationFailed.of("body", "The request body must be a JSON object.")
    long = [name for name, value in body.items() if isinstance(value, str) and len(value) > 16_384]
    if long:
        raise ValidationFailed.of(long[0], f"The {long[0]} field must not be longer than 16384 characters.")
    return body


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


@asynccontextmanager
async def opened(services: Services) -> AsyncIterator[None]:
    """Registers the mount, and who logs accounts in again by themselves (`addons.assemble`)."""
    page = ConnectPage(services)
    services.parts.setdefault("mounts", {}).update(connect=page, embed=page)
    add_on_account_state(services, Renewal(services))
    yield
