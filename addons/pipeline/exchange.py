"""One request and its answer inside the pipeline, free of any proxy engine's types."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    from addons.pipeline.paths import CanonicalPath
    from addons.pipeline.plan import Match, Plan

Dialect = Literal["raw", "envelope"]
EntryKind = Literal["reverse", "proxy_api", "proxy_upstream", "proxy_cdn"]


class BodyMode(enum.Enum):
    """BUFFER: read whole before going on. STREAM: pass on chunk by chunk, unread."""

    BUFFER = "buffer"
    STREAM = "stream"


class Headers:
    """Ordered multi-dict of header fields; names compare without case, order and spelling are kept."""

    __slots__ = ("_items",)

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        self._items: list[tuple[str, str]] = list(items)

    def get(self, name: str, default: str | None = None) -> str | None:
        """The first value of `name`."""
        low = name.lower()
        for key, value in self._items:
            if key.lower() == low:
                return value
        return default

    def get_all(self, name: str) -> list[str]:
        low = name.lower()
        return [v for k, v in self._items if k.lower() == low]

    def set(self, name: str, value: str) -> None:
        """One field of that name, in the first one's place."""
        low = name.lower()
        at = next((i for i, (k, _) in enumerate(self._items) if k.lower() == low), None)
        if at is None:
            self._items.append((name, value))
            return
        rest = [kv for kv in self._items[at + 1 :] if kv[0].lower() != low]
        self._items[at:] = [(self._items[at][0], value), *rest]

    def add(self, name: str, value: str) -> None:
        self._items.append((name, value))

    def remove(self, *names: str) -> None:
        low = {n.lower() for n in names}
        self._items = [kv for kv in self._items if kv[0].lower() not in low]

    def copy(self) -> Headers:
        return Headers(self._items)

    def items(self) -> list[tuple[str, str]]:
        return list(self._items)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"Headers({[k for k, _ in self._items]!r})"  # values may be secrets


@dataclass(slots=True)
class Entry:
    """How the request arrived: which listener, from where. `host` is the Host that the client addressed, without port."""

    kind: EntryKind
    scheme: str
    host: str
    port: int
    client_ip: str


@dataclass(slots=True)
class Request:
    """`target` is the raw request target (path and query) as sent; `body` is None while unread or streamed."""

    method: str
    target: str
    headers: Headers
    body: bytes | None = None


@dataclass(slots=True)
class ResponseHead:
    """Status and headers of an answer whose body is not (yet) held."""

    status: int
    headers: Headers


@dataclass(slots=True)
class Response:
    """A whole answer. `body` is content-decoded; the engine sets content-length and any compression."""

    status: int
    headers: Headers
    body: bytes = b""


@dataclass(slots=True)
class UpstreamRequest:
    """What goes out. `headers` are complete, but for Host and Content-Length. `internal`: a hop to our own media server."""

    method: str
    url: str
    headers: Headers
    body: bytes | None = None
    via_proxy: str | None = None
    timeout_s: float = 60.0
    internal: bool = False


@dataclass(slots=True)
class UpstreamFailure:
    """No usable upstream answer. `kind`: connect | timeout | closed | protocol | too_large."""

    kind: Literal["connect", "timeout", "closed", "protocol", "too_large"]
    detail: str


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Where an enriched value came from: store table, row key, age of the row in seconds."""

    table: str
    row: str
    age_s: float | None = None


class Edit(msgspec.Struct, frozen=True, gc=False):
    """One change of one field. `old`/`new` are JSON bytes, None where the field was or is absent.

    There is one per row of each hybrid answer: a struct is made in a tenth of the time that a frozen dataclass takes.
    """

    pointer: str
    old: bytes | None
    new: bytes | None
    rule: str
    step: str
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Team:
    """`requests_per_minute` 0: the config's."""

    id: str
    name: str
    slug: str
    requests_per_minute: int


@dataclass(frozen=True, slots=True)
class ApiKey:
    """`account_ids` None: every account of the team. `scopes`: subset of {read, write, delete}.

    `client_session`: the id of the session whose token this is, which may start and follow one login and nothing else.
    """

    id: str
    name: str
    team_id: str
    created_at: datetime
    last_used_at: datetime | None
    account_ids: frozenset[str] | None = None
    scopes: frozenset[str] = frozenset({"read", "write", "delete"})
    client_session: str | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    team: Team
    key: ApiKey


@dataclass(frozen=True, slots=True)
class Login:
    """What upstream needs to know the account. `cookies` is one `a=b; c=d` string. Never logged."""

    auth_id: str
    cookies: str
    user_agent: str
    xbc: str
    proxy_url: str | None = None

    def __repr__(self) -> str:
        return f"Login(auth_id={self.auth_id!r}, …)"


@dataclass(frozen=True, slots=True)
class AccountContext:
    """A connected account. `state`: authenticated | session_expired | reauthenticating | …"""

    id: str
    team_id: str
    display_name: str
    state: str
    onlyfans_id: str | None
    username: str | None
    login: Login | None


@dataclass(slots=True)
class Notes:
    """What happened on the way, for the comment in mitmweb, the log and the metrics."""

    upstream_ms: float | None = None
    store_ms: float = 0.0
    queries: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)  # (step, reason)
    counts: dict[str, int] = field(default_factory=dict)
    handler: str | None = None
    credits: int = 0
    swapped: int = 0
    retried: bool = False

    def count(self, name: str, by: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + by


@dataclass(slots=True)
class Exchange:
    """See docs/architecture.md, "Exchange"."""

    id: str
    entry: Entry
    request: Request
    started: float
    dialect: Dialect = "raw"
    mount: str = "raw"  # raw | envelope | internal | redirect | cdn | connect | upstream
    path: CanonicalPath | None = None
    plan: Plan | None = None
    admitted: bool = False
    match: Match | None = None
    principal: Principal | None = None
    account: AccountContext | None = None
    query: dict[str, Any] = field(default_factory=dict)
    upstream: UpstreamRequest | None = None
    upstream_status: int | None = None
    upstream_body: bytes | None = None
    response: Response | None = None
    edits: list[Edit] = field(default_factory=list)
    notes: Notes = field(default_factory=Notes)
    reservation: Any = None
    state: dict[str, Any] = field(default_factory=dict)

    @property
    def rule_id(self) -> str:
        return self.match.rule.id if self.match else "default"
