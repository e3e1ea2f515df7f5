"""`Idempotency-Key` on sending a message (contract 2.3): a retry of the same request sends nothing twice.

What is kept, for 24 hours and encrypted, is upstream's answer. A replay runs it through the rule again, so that both
dialects work and the counters are current. Answers 5xx, 408 and 429 are not kept: such a retry is a new attempt.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from addons.pipeline.errors import ApiError, Conflict, ValidationFailed
from addons.pipeline.exchange import Headers, Response
from ofapi_store.queries import idempotency as queries

if TYPE_CHECKING:
    from addons.pipeline.exchange import Exchange
    from addons.pipeline.services import Services

HEADER = "idempotency-key"
KEEP = timedelta(hours=24)
LEASE = timedelta(minutes=5)
MAX_LENGTH = 255
_KEPT_HEADERS = ("content-type",)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right of one exchange to perform the request of a key."""

    scope: str
    owner: str


def applies(x: Exchange) -> bool:
    """Whether this is the operation that takes the header."""
    if x.request.method != "POST" or x.path is None or x.account is None or x.mount == "upstream":
        return False
    segments = x.path.segments
    return len(segments) == 4 and segments[1] == "chats" and segments[3] == "messages"


def key_of(x: Exchange) -> str | None:
    """The request's key. Raises ApiError 400 for one that is none."""
    key = x.request.headers.get(HEADER)
    if key is None or not applies(x):
        return None
    if not 1 <= len(key) <= MAX_LENGTH or not (key.isascii() and key.isprintable()):
        text = f"The Idempotency-Key must be 1 to {MAX_LENGTH} printable ASCII characters."
        raise ApiError(400, "IDEMPOTENCY_KEY_INVALID", text)
    return key


class Replays:
    """Claims and stored answers."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def begin(self, x: Exchange, key: str) -> Claim | Response:
        """A claim for a new request, or the stored answer. Raises Conflict while one is under way, 422 for another body."""
        assert x.account is not None
        assert x.path is not None
        now = self._services.clock()
        scope = _digest(x.account.team_id, x.account.id, "POST chats messages", key)
        asked = queries.Asked(scope, _fingerprint(x), x.id, now, now + LEASE)
        found = await self._services.store.awrite(queries.claim, asked)
        if found.fingerprint != asked.fingerprint:
            text = "This Idempotency-Key was used with another chat or body. Use a new key for a new message."
            raise ValidationFailed({"Idempotency-Key": [text]}, code="IDEMPOTENCY_KEY_MISMATCH")
        if found.owner == x.id:
            return Claim(scope, x.id)
        if found.answer is None:
            text = "A request with this Idempotency-Key is still under way. Try again when it has ended."
            raise Conflict(text, code="IDEMPOTENCY_CONFLICT", retry=True)
        return self._open(found.answer)

    async def keep(self, claim: Claim, response: Response) -> None:
        """Store the answer before the client gets it, or let the key go where a retry must be a new attempt."""
        if response.status >= 500 or response.status in (408, 429):
            await self.release(claim)
            return
        kept = {k: v for k, v in response.headers if k.lower() in _KEPT_HEADERS}
        value = {"status": response.status, "headers": kept, "body": response.body.decode("latin-1")}
        token = self._services.secrets.encrypt_json(value)
        until = self._services.clock() + KEEP
        await self._services.store.awrite(queries.keep, claim.scope, claim.owner, token, until)

    async def release(self, claim: Claim) -> None:
        """Let the key go: nothing was done."""
        await self._services.store.awrite(queries.release, claim.scope, claim.owner)

    def _open(self, token: str) -> Response:
        value: dict[str, Any] = self._services.secrets.decrypt_json(token)
        return Response(value["status"], Headers(value["headers"].items()), value["body"].encode("latin-1"))


def _fingerprint(x: Exchange) -> str:
    assert x.path is not None
    return _digest(x.path.segments[2], x.request.headers.get("content-type") or "", x.request.body or b"")


def _digest(*parts: str | bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode("utf-8", "surrogateescape")
        whole.update(len(data).to_bytes(8) + data)
    return whole.hexdigest()
