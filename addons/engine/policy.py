"""What the engine itself enforces: sizes, times and methods, taken once from the config."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from addons.media.identity import host_regex
from addons.pipeline.answers import is_upload_type

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
        return self.upload_body_bytes if is_upload_type(content_type) else self.json_body_bytes


@dataclass(frozen=True, slots=True)
class Hosts:
    """Which hosts the regular proxy serves. Anything else is refused: this is no open proxy.

    `media` gives the host patterns of the rules in force: a reload of rules/media.yaml takes effect at once.
    """

    api: frozenset[str]
    upstream: frozenset[str]
    media: Callable[[], Sequence[str]] = tuple

    @classmethod
    def of(cls, config: Config, media: Callable[[], Sequence[str]]) -> Hosts:
        return cls(
            frozenset(h.lower() for h in (*config.proxy.api_hosts, *config.media.hosts)),
            frozenset(h.lower() for h in config.upstream.direct_hosts),
            media,
        )

    def is_cdn(self, host: str) -> bool:
        """Whether a lower-case host serves media files."""
        return _any_of(tuple(self.media())).fullmatch(host) is not None


@lru_cache(maxsize=8)
def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(host_regex(pattern) for pattern in patterns) or r"(?!)")
