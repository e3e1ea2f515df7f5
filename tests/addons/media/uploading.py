"""What the tests of uploads share: an account's upstream, and a client that sends forms."""

from __future__ import annotations

import time
from typing import Any

import aiohttp
import orjson

from addons.jobs.upstream_client import Refused, Reply, SessionExpired
from addons.media.streaming import TICKET
from addons.media.uploads import UploadTicket
from addons.pipeline.exchange import Headers
from tests.addons.media.rig import Cdn, Rig

DATA = b"\xff\xd8" + bytes(999_998)


class Upstream:
    """The account's client: slots, `users/me`, the vault; `asked` has what was asked."""

    def __init__(self, cdn: Cdn, account_id: str) -> None:
        self.cdn = cdn
        self.asked: list[tuple[str, str]] = []
        self.vault_has: dict[str, Any] | None = None
        self.dead = False
        self.account = type("Account", (), {"id": account_id})()

    async def of(self, account_id: str) -> Upstream:
        assert account_id == self.account.id
        return self

    async def ask(self, method: str, target: str, *, body: Any = None) -> Reply:
        self.asked.append((method, target))
        if self.dead:
            raise SessionExpired("upstream refuses the login")
        answers: dict[str, Any] = {
            "/api2/v2/upload/signed/create": {"putUrl": f"{self.cdn.base}/put?sig=1", "getUrl": f"{self.cdn.base}/get"},
            "/api2/v2/users/me": {
                "upload": {"geoUploadArgs": {"preset": "p", "isDelay": True, "additional": {"user": "7"}}}
            },
            "/api2/v2/vault/media": {"id": 5, "type": "photo"},
        }
        if target.startswith("/api2/v2/vault/media/hash"):
            if self.vault_has is None:
                raise Refused(404, "new")
            return Reply(200, Headers(), orjson.dumps(self.vault_has))
        return Reply(200, Headers(), orjson.dumps(answers[target]))


def send(
    rig: Rig, http: aiohttp.ClientSession, fields: dict[str, Any], *, target: str = "media", prefix: str = "/api"
) -> Any:
    ticket = UploadTicket(rig.team_id, rig.account_id, target, "http://gw.test", prefix, time.time() + 60)
    form = aiohttp.FormData(quote_fields=False, default_to_multipart=True)
    for name, value in fields.items():
        if name == "file":
            form.add_field("file", value, filename="dir/a b.jpg", content_type="image/jpeg")
        else:
            form.add_field(name, value)
    headers = {TICKET: rig.media.uploads.seal(ticket)}
    return http.post(f"{rig.media.server.base}/upload", data=form, headers=headers)


def spooled(rig: Rig) -> list[str]:
    return [p.name for p in (rig.media.files.root / "spool").iterdir()]
