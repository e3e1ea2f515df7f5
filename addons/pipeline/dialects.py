"""The envelope of `/api/…` (contract 1.1): upstream's bytes spliced into `{data, _pagination?, _meta}`, never re-encoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from addons.pipeline.answers import dumps
from addons.pipeline.document import NotJson, check_json
from addons.pipeline.limits import RateState

CACHE_NOTE = "Cache disabled for this endpoint"
FREE_NOTE = "Free endpoint"
CHARGED_NOTE = "Always"
REPLAY_NOTE = "Idempotent replay. No credits debited"


@dataclass(frozen=True, slots=True)
class Counters:
    """What headers and `_meta` say about the team's account with us."""

    credits_used: int
    credits_balance: int
    rate: RateState | None
    note: str = CHARGED_NOTE

    def headers(self) -> list[tuple[str, str]]:
        """The counters as headers (contract 1.5): the same in both dialects."""
        out = [
            ("X-OFAPI-Credits-Used", str(self.credits_used)),
            ("X-OFAPI-Credits-Balance", str(self.credits_balance)),
            ("X-OFAPI-Is-Cached", "false"),
        ]
        if self.rate is not None:
            out.append(("X-Rate-Limit-Limit-Minute", str(self.rate.limit)))
            out.append(("X-Rate-Limit-Remaining-Minute", str(self.rate.remaining)))
        return out

    def meta(self) -> dict[str, Any]:
        """The counters as `_meta` (contract 1.1)."""
        out: dict[str, Any] = {
            "_credits": {"used": self.credits_used, "balance": self.credits_balance, "note": self.note},
            "_cache": {"is_cached": False, "note": CACHE_NOTE},
        }
        if self.rate is not None:
            out["_rate_limits"] = {
                "limit_minute": self.rate.limit,
                "limit_day": None,
                "remaining_minute": self.rate.remaining,
                "remaining_day": None,
            }
        return out


def is_json(body: bytes) -> bool:
    """Whether `body` is one JSON value; numbers of any length, duplicate keys and any text pass."""
    try:
        check_json(body)
    except NotJson:
        return False
    return True


def envelope(data: bytes, meta: dict[str, Any], pagination: dict[str, Any] | None = None) -> bytes:
    """`data` must be JSON; it is copied as it is."""
    parts = [b'{"data":', data]
    if pagination is not None:
        parts += [b',"_pagination":', dumps(pagination)]
    parts += [b',"_meta":', dumps(meta), b"}"]
    return b"".join(parts)
