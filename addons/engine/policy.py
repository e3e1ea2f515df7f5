"""What the engine itself enforces: sizes, times and methods, taken once from the config."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from addons.config import Config

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
RETRYABLE_METHODS = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Policy:
    """Sizes in bytes, times in seconds."""

    header_bytes: int = 65_536
    json_body_bytes: int = 10_000_000
    upload_body_bytes: int = 5_000_000_000
    max_body_bytes: int = 20_000_000
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 60.0
    keepalive_s: float = 30.0
    proxying: bool = True

    @classmethod
    def of(cls, config: Config) -> Policy:
        return cls(
            header_bytes=config.limits.header_bytes,
            json_body_bytes=config.limits.json_body_bytes,
            upload_body_bytes=config.limits.upload_body_bytes,
            max_body_bytes=config.limits.max_body_bytes,
            connect_timeout_s=float(config.upstream.connect_timeout_s),
            read_timeout_s=float(config.upstream.read_timeout_s),
            keepalive_s=float(config.upstream.keepalive_s),
            proxying=config.proxy.enabled,
        )

    def request_limit(self, content_type: str) -> int:
        """Most bytes of a request body: uploads have their own limit, everything else is held to that of JSON."""
        kind = content_type.partition(";")[0].strip().lower()
        if kind == "multipart/form-data" or kind.startswith(("image/", "video/", "audio/")):
            return self.upload_body_bytes
        return self.json_body_bytes


@dataclass(frozen=True, slots=True)
class Hosts:
    """Which hosts the regular proxy serves. Anything else is refused: this is no open proxy."""

    api: frozenset[str]
    upstream: frozenset[str]
    cdn: re.Pattern[str]

    @classmethod
    def of(cls, api: tuple[str, ...], upstream: tuple[str, ...]) -> Hosts:
        """CDN hosts are `cdn*.` below an upstream host."""
        names = "|".join(re.escape(h.lower()) for h in upstream) or r"(?!)"
        return cls(
            frozenset(h.lower() for h in api),
            frozenset(h.lower() for h in upstream),
            re.compile(rf"cdn[a-z0-9-]*\.(?:{names})"),
        )
