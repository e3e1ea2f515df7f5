"""Who clicked, without storing who: a keyed hash of address and user agent with a salt that changes each day.

The previous day's salt is tried too, so that midnight does not make a second visitor of the first (practice of privacy
friendly counters). The salt is derived from the installation's secret and the date: nothing to store, nothing to leak,
and every process has the same one.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class VisitorIds:
    """`today` is stored with a click; a click is a duplicate where either is found within the window."""

    today: str
    yesterday: str


@lru_cache(maxsize=8)
def _salt(secret: bytes, day: date) -> bytes:
    return hmac.digest(secret, b"visitor-salt:" + day.isoformat().encode(), "sha256")


def _id(salt: bytes, ip: str, user_agent: str) -> str:
    text = f"{ip}\x00{user_agent}".encode("utf-8", "replace")
    return hashlib.blake2b(text, key=salt, digest_size=16).hexdigest()


def visitor_ids(secret: bytes, at: datetime, ip: str, user_agent: str) -> VisitorIds:
    """Both ids of a visitor at `at` (aware). Without `secret` nobody can tell an address from an id."""
    day = at.astimezone(UTC).date()
    return VisitorIds(
        _id(_salt(secret, day), ip, user_agent), _id(_salt(secret, day - timedelta(days=1)), ip, user_agent)
    )
