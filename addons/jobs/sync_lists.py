"""What a sync walks: the lists of upstream, by the rules that ask for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from addons.jobs.upstream_client import query_text
from addons.pipeline.pagination import PageKind
from ofapi_store.queries import links

BEGINNING = "2016-01-01 00:00:00"


@dataclass(frozen=True, slots=True)
class Listing:
    """A paged list of a rule. `since`, `until`: the rule's date parameters."""

    rule: str
    page: PageKind
    limit: int
    since: str | None = None
    until: str | None = None

    def query(self, since: datetime | None, now: datetime) -> str:
        out: dict[str, Any] = {"limit": self.limit}
        if self.since is not None:
            out[self.since] = f"{since:%Y-%m-%d %H:%M:%S}" if since is not None else BEGINNING
        if self.until is not None:
            out[self.until] = f"{now + timedelta(days=1):%Y-%m-%d %H:%M:%S}"
        return query_text(out)


@dataclass(frozen=True, slots=True)
class Collection:
    """What a full walk reads, and what later ones read instead (default: the same)."""

    full: Listing
    recent: Listing | None = None


LISTS: dict[str, Collection] = {
    "fans": Collection(
        Listing("fans-all", "offset", 20), Listing("fans-latest", "offset", 50, since="start_date", until="end_date")
    ),
    "transactions": Collection(Listing("transactions-list", "marker", 100, since="startDate")),
    "chargebacks": Collection(
        Listing("chargebacks-list", "offset", 100, since="start_date", until="end_date"),
    ),
    "tracking_links": Collection(Listing("tracking-links-list", "offset", 100)),
    "trial_links": Collection(Listing("trial-links-list", "offset", 100)),
    "shared_tracking_links": Collection(Listing("shared-tracking-links-list", "offset", 100)),
    "shared_trial_links": Collection(Listing("shared-trial-links-list", "offset", 100)),
}
CHATS = Listing("chats-list", "offset", 100)
MESSAGES = Listing("messages-list", "cursor", 100)
CLAIMERS: dict[links.Kind, tuple[str, str]] = {
    "tracking": ("tracking-links-subscribers", "tracking_link_id"),
    "trial": ("trial-links-subscribers", "trial_link_id"),
}
COLLECTIONS: tuple[str, ...] = (*LISTS, "messages", "claimers")
