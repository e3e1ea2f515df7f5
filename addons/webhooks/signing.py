"""Signatures of a delivery: `Signature` (contract 7.3) and the three headers of Standard Webhooks beside it."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac

PREFIX = "whsec_"


def standard_key(secret: str) -> bytes:
    """The key that Standard Webhooks verifiers use: base64 after `whsec_`, else the secret's own bytes. Never empty."""
    key = b""
    if secret.startswith(PREFIX):
        with contextlib.suppress(binascii.Error, ValueError):  # ValueError: not ASCII
            key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    return key or secret.encode()


def hex_signature(secret: str, body: bytes) -> str:
    """Lower-case hex HMAC-SHA256 of the raw body; the key is the secret as given."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def standard_headers(secret: str | None, event_id: str, timestamp: int, body: bytes) -> list[tuple[str, str]]:
    """`webhook-id`, `webhook-timestamp` (unix seconds of this attempt) and, with a secret, `webhook-signature`."""
    headers = [("webhook-id", event_id), ("webhook-timestamp", str(timestamp))]
    if secret:
        signed = f"{event_id}.{timestamp}.".encode() + body
        digest = hmac.digest(standard_key(secret), signed, "sha256")
        headers.append(("webhook-signature", f"v1,{base64.b64encode(digest).decode()}"))
    return headers
