"""The records that a simulated world consists of. Money is integer cents, times are aware UTC datetimes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

SUM_KINDS = ("tips", "chat_messages", "post", "stream", "subscribes")


@dataclass(slots=True)
class Media:
    """One file of the vault; `kind` is photo, video, gif or audio."""

    id: int
    kind: str
    key: str
    created: datetime
    size: int
    width: int
    height: int
    duration: int = 0
    likes: int = 0
    tips_cents: int = 0
    hidden: bool = False
    lists: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Span:
    """One subscription period [start, end) of a fan. `via` is the link that it was claimed through, if any."""

    id: int
    start: datetime
    end: datetime
    price_cents: int
    regular_cents: int
    action: str
    via: str | None = None


@dataclass(slots=True)
class Fan:
    """A subscriber of one creator, with everything that the creator can see or set."""

    id: int
    username: str
    name: str
    joined: datetime
    last_seen: datetime
    spans: list[Span] = field(default_factory=list)
    deleted: bool = False
    online: bool = False
    notice: str = ""
    display_name: str = ""
    blocked: bool = False
    restricted: bool = False
    performer: bool = False
    sums: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SUM_KINDS, 0))

    def active_at(self, when: datetime) -> bool:
        for span in self.spans:  # noqa: SIM110 - a plain loop is three times as fast, and lists ask this of every fan
            if span.start <= when < span.end:
                return True
        return False


@dataclass(slots=True)
class Message:
    """One chat message; `fan_id` names the chat, `mine` says that the creator wrote it."""

    id: int
    fan_id: int
    mine: bool
    text: str
    created: datetime
    price_cents: int = 0
    media: tuple[int, ...] = ()
    opened: bool = True
    liked: bool = False
    pinned: bool = False
    tip_cents: int = 0
    queue_id: int | None = None
    new: bool = False
    locked_text: bool = False
    giphy_id: str | None = None
    previews: tuple[int, ...] = ()
    text_cdn: bool = False


@dataclass(slots=True)
class Chat:
    fan_id: int
    messages: list[Message] = field(default_factory=list)
    unread: int = 0
    last_read_id: int = 0
    muted: bool = False
    hidden: bool = False
    priority: bool = False


@dataclass(slots=True)
class Transaction:
    id: str
    fan_id: int
    kind: str
    description: str
    amount_cents: int
    net_cents: int
    created: datetime
    status: str
    tips_source: str | None = None
    message_id: int | None = None
    chargeback_at: datetime | None = None

    @property
    def fee_cents(self) -> int:
        return self.amount_cents - self.net_cents


@dataclass(slots=True)
class Claim:
    """A fan who subscribed through a link; `span_id` is the period that the claim started."""

    id: int
    fan_id: int
    at: datetime
    span_id: int


@dataclass(slots=True)
class Link:
    """A tracking link (`campaign`) or a free trial link (`trial`)."""

    id: int
    kind: str
    code: str
    name: str
    created: datetime
    ends: datetime | None
    clicks: int = 0
    days: int = 0
    limit: int = 0
    deleted: bool = False
    finished: bool = False
    owner: dict[str, Any] | None = None
    claims: list[Claim] = field(default_factory=list)

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.id}"


@dataclass(slots=True)
class Creator:
    """A connected account: its login, its profile and its whole world."""

    id: int
    username: str
    name: str
    email: str
    password: str
    otp_code: str
    user_agent: str
    xbc: str
    sess: str
    joined: datetime
    price_cents: int
    fans: dict[int, Fan] = field(default_factory=dict)
    fan_order: list[int] = field(default_factory=list)
    by_username: dict[str, int] = field(default_factory=dict)
    following: dict[int, Fan] = field(default_factory=dict)
    chats: dict[int, Chat] = field(default_factory=dict)
    messages: dict[int, Message] = field(default_factory=dict)
    transactions: list[Transaction] = field(default_factory=list)
    links: dict[str, Link] = field(default_factory=dict)
    shared: dict[str, Link] = field(default_factory=dict)
    vault: dict[int, Media] = field(default_factory=dict)
    vault_lists: dict[int, dict[str, Any]] = field(default_factory=dict)
    posts: dict[int, dict[str, Any]] = field(default_factory=dict)
    labels: dict[str, dict[str, Any]] = field(default_factory=dict)
    stories: dict[int, dict[str, Any]] = field(default_factory=dict)
    highlights: dict[int, dict[str, Any]] = field(default_factory=dict)
    queue: dict[int, dict[str, Any]] = field(default_factory=dict)
    mass: dict[int, dict[str, Any]] = field(default_factory=dict)
    lists: dict[str, dict[str, Any]] = field(default_factory=dict)
    notifications: list[dict[str, Any]] = field(default_factory=list)
    payouts: list[dict[str, Any]] = field(default_factory=list)
    promotions: dict[int, dict[str, Any]] = field(default_factory=dict)
    bundles: dict[int, dict[str, Any]] = field(default_factory=dict)
    uploads: dict[str, dict[str, Any]] = field(default_factory=dict)
    profile: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    buttons: list[dict[str, Any]] = field(default_factory=list)
    welcome: dict[str, Any] = field(default_factory=dict)
    hide_empty: bool = False
    version: int = 0

    def link_list(self, kind: str) -> list[Link]:
        return [link for link in self.links.values() if link.kind == kind]
