"""The world: options, its clock, its creators, and the counters that give new things their ids."""

from __future__ import annotations

import hashlib
import itertools
import random
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from scripts.simulator import files, generate
from scripts.simulator.model import Creator, Media

EPOCH_IDS = 900_000_000


@dataclass(frozen=True)
class Options:
    """Sizes are per creator. `now` fixes the day that the world is generated for (default: today, UTC)."""

    seed: int = 7
    creators: int = 2
    fans: int = 500
    chats: int = 200
    messages: int = 20_000
    transactions: int = 5_000
    campaigns: int = 40
    trials: int = 20
    posts: int = 120
    media: int = 150
    now: datetime | None = None
    cents: bool = False
    cdn_host: str = "cdn{n}.onlyfans.com"
    cdn_scheme: str = "https"
    cdn_ttl_s: int = 3600
    storage_base: str = ""
    latency_s: float = 0.0
    cache_gets: bool = False
    compress: bool = False
    log_keep: int = 50_000


@dataclass
class World:
    """Everything that exists, generated from the options alone: the same options give the same world."""

    options: Options
    creators: list[Creator] = field(default_factory=list)
    files: files.FileTable = field(default_factory=files.FileTable)
    sessions: dict[str, Session] = field(default_factory=dict)
    storage_url: str = ""
    stored: dict[str, dict[str, Any]] = field(default_factory=dict)
    processed: dict[str, tuple[int, Media]] = field(default_factory=dict)
    hashes: dict[tuple[int, str | None, str | None], Media] = field(default_factory=dict)
    faces: set[int] = field(default_factory=set)
    rows: dict[tuple[int, int, str], tuple[Any, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        self.base = self.options.now or today
        self._started = time.monotonic()
        self._ids = itertools.count(EPOCH_IDS)
        self.signer = files.Signer(self.options, self.options.seed)
        for index in range(self.options.creators):
            self.creators.append(generate.creator(self.options, index, self.base, self.files))
        for creator in self.creators:
            self.sessions[creator.sess] = Session(creator.id, creator.user_agent, creator.xbc)
        generate.shared_links(self.creators, self.options, self.base)
        self.by_id = {creator.id: creator for creator in self.creators}

    def now(self) -> datetime:
        """The clock: real time, or, when `now` is given, that time plus what has passed since the start."""
        if self.options.now is None:
            return datetime.now(UTC).replace(microsecond=0)
        return (self.options.now + timedelta(seconds=time.monotonic() - self._started)).replace(microsecond=0)

    def new_id(self) -> int:
        return next(self._ids)

    def rng(self, *parts: object) -> random.Random:
        return random.Random(":".join(map(str, (self.options.seed, *parts))))

    def digest(self) -> str:
        """A hash over everything that was generated: equal for equal options."""
        total = hashlib.sha256()
        for creator in self.creators:
            total.update(repr(creator).encode())
        total.update(repr(sorted(self.files.specs)).encode())
        return total.hexdigest()


@dataclass
class Session:
    """One login session: the cookie `sess` belongs to this creator, browser and device."""

    creator_id: int
    user_agent: str | None
    xbc: str | None
    pending: str | None = None
    tries: int = 0
    dead: bool = False
