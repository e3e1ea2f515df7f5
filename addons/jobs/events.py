"""Looking at accounts for news that a webhook wants, between syncs: notifications, newest messages, money, ended fans.

Each part has a cursor that says how far the last look came that reached its end, by upstream's own times and ids. So a
gateway that was down catches up, and what traffic stored meanwhile hides nothing that came before it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from addons.jobs.registry import GiveUp, Job, JobKind, RetryLater
from addons.jobs.sync import PAUSED
from addons.jobs.upstream_client import Refused, SessionExpired, Unavailable, query_text
from addons.pipeline.ingesting import ingest_sights
from addons.pipeline.pagination import PageSpec, next_query
from addons.webhooks import notified
from addons.webhooks.notified import NOTIFIED, STREAM, member, rows_of, time_of
from ofapi_store import outbox
from ofapi_store.queries import accounts, events, fans, ingest, sync
from ofapi_store.types import show_time

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from addons.config import Config
    from addons.jobs.upstream_client import UpstreamClient
    from addons.pipeline.services import Services

KIND = "events.look"
CHATS, MONEY, ENDED = "looks:chats", "looks:money", "looks:ended"
PAGE = 100
MAX_PAGES = 200  # of one list: an upstream that ignores where to go on must end, too
FANS_PAGE = 20
ENDED_SINCE = timedelta(hours=48)
ENDED_AGAIN = timedelta(minutes=15)  # between two questions about a fan whom upstream still calls active
ENDED_ASKED = 20
MONEY_SINCE = timedelta(days=2)
SKEW = timedelta(minutes=5)  # between upstream's clock and ours
MESSAGES = frozenset({"messages.received", "messages.sent"})
MONIES = frozenset({"transactions.new"})
EXPIRED = frozenset({"subscriptions.expired"})
LOOKED_FOR = NOTIFIED | MESSAGES | MONIES | EXPIRED


@dataclass(frozen=True, slots=True)
class Mark:
    """How far looks have come: the newest time that was seen, and the ids of what was seen at that very second."""

    at: datetime
    ids: frozenset[int] = frozenset()

    @classmethod
    def of(cls, value: Any) -> Mark | None:
        at = time_of(value.get("at")) if isinstance(value, Mapping) else None
        return cls(at, frozenset(value.get("ids") or ())) if at is not None else None

    def as_json(self) -> dict[str, Any]:
        return {"at": show_time(self.at), "ids": sorted(self.ids)}

    def is_news(self, row: Mapping[str, Any]) -> bool:
        at = time_of(row.get("createdAt"))
        return at is not None and (at > self.at or (at == self.at and row.get("id") not in self.ids))

    def moved(self, rows: Iterable[Mapping[str, Any]]) -> Mark:
        """With these rows seen, too."""
        at, ids = self.at, set(self.ids)
        for row in rows:
            when, number = time_of(row.get("createdAt")), row.get("id")
            if when is not None and when > at:
                at, ids = when, set()
            if when == at and isinstance(number, int):
                ids.add(number)
        return Mark(at, frozenset(ids))


class Look:
    """One look at one account. Its parts are independent: one that upstream refuses does not end the others."""

    def __init__(self, services: Services, client: UpstreamClient) -> None:
        self._services = services
        self._client = client
        self.account = client.account
        self.refused: dict[str, str] = {}

    async def run(self) -> None:
        """What webhooks want of the account. Raises SessionExpired, Unavailable."""
        parts: tuple[tuple[Collection[str], Callable[[datetime], Awaitable[None]]], ...] = (
            (NOTIFIED, self._notifications),
            (MESSAGES, self._messages),
            (MONIES, self._transactions),
            (EXPIRED, self._ended),
        )
        for names, part in parts:
            since = await self._services.store.aread(self._since, names)
            if since is not None:
                try:
                    await part(since)
                except Refused as e:
                    self.refused[part.__name__.strip("_")] = str(e)

    def _since(self, conn: Connection, names: Collection[str]) -> datetime | None:
        """What is older than this is no news to anybody; None where no webhook wants any of it."""
        row = accounts.by_id(conn, self.account.id)
        now = self._services.clock()
        wanted = events.wanted_since(conn, self.account.team_id, self.account.id, names, now=now)
        return max(wanted, row.created_at.replace(microsecond=0)) if row is not None and wanted is not None else None

    # messages

    async def _messages(self, since: datetime) -> None:
        """Chats with news, newest first, and all of their messages since the mark; cut short, it goes on at its page."""
        rule = self._client.rule("chats-list")
        position = await self._position(CHATS)
        mark = Mark.of(position.get("done")) or Mark(since - timedelta(seconds=1))
        newest, page = Mark.of(position.get("newest")) or mark, int(position.get("page", 0))
        while page < MAX_PAGES:
            query: dict[str, str | int] = {"limit": PAGE, "offset": PAGE * page, "skip_users": "none"}
            reply = await self._client.ask(*self._client.target(rule, {}, query))
            lasts = [(member(chat, "withUser").get("id"), member(chat, "lastMessage")) for chat in rows_of(reply.body)]
            for fan, last in lasts:
                if mark.is_news(last):
                    await self._chat(str(fan), mark.at)
            await ingest_sights(self._services, [self._client.sight(rule, {}, reply)])
            newest, page = newest.moved(last for _, last in lasts), page + 1
            more = next_query(PageSpec("offset", PAGE), f"limit={PAGE}", reply.body) is not None
            if not more or not lasts or not mark.is_news(lasts[-1][1]):
                break
            await self._save(CHATS, {"done": mark.as_json(), "newest": newest.as_json(), "page": page})
        await self._save(CHATS, {"done": newest.as_json()})

    async def _chat(self, fan: str, since: datetime) -> None:
        """Messages, newest first, down to those from before `since`."""
        await self._walk("messages-list", {"chat_id": fan}, f"limit={PAGE}", PageSpec("cursor", PAGE), since)

    # money

    async def _transactions(self, since: datetime) -> None:
        """Newest first, down to those from before the mark; the first page whole, for what comes late."""
        mark = Mark.of((await self._position(MONEY)).get("done")) or Mark(since)
        start = min(mark.at, self._services.clock()) - MONEY_SINCE
        query = query_text({"limit": PAGE, "startDate": f"{start:%Y-%m-%d %H:%M:%S}"})
        newest = await self._walk("transactions-list", {}, query, PageSpec("marker", PAGE), mark.at)
        await self._save(MONEY, {"done": mark.moved(newest).as_json()})

    async def _walk(
        self, rule_id: str, params: Mapping[str, str], query: str, spec: PageSpec, since: datetime
    ) -> list[dict[str, Any]]:
        """Stores the rows of a list, newest first, until one is from before `since`; gives those of the first page."""
        rule = self._client.rule(rule_id)
        first: list[dict[str, Any]] | None = None
        following: str | None = query
        for _ in range(MAX_PAGES):
            reply = await self._client.ask(*self._client.target(rule, params, following or ""))
            await ingest_sights(self._services, [self._client.sight(rule, params, reply)])
            rows = rows_of(reply.body)
            first = rows if first is None else first
            following = next_query(spec, following or "", reply.body)
            if following is None or any(not notified.since(row, since) for row in rows):
                break
        return first or []

    # ended subscriptions

    async def _ended(self, since: datetime) -> None:
        """Fans whose time is over are asked for by name; of the others upstream's list tells.

        It is sorted by nothing that helps, so it is walked until it has shown as many new ones as its count has grown
        by, the first time to its end.
        """
        now = self._services.clock()
        oldest = max(since, now - ENDED_SINCE)
        await self._ask_for_due(oldest, now)
        before, count = (await self._position(ENDED)).get("expired"), await self._expired_count()
        left = 0 if count is None else count - before if isinstance(before, int) else None
        rule = self._client.rule("fans-expired")
        for page in range(MAX_PAGES):
            query = query_text({"limit": FANS_PAGE, "offset": FANS_PAGE * page})
            reply = await self._client.ask(*self._client.target(rule, {}, query))
            new = await self._newly_ended(rows_of(reply.body), oldest - SKEW, now + SKEW)
            await ingest_sights(self._services, [self._client.sight(rule, {}, reply)])
            left = None if left is None else left - new
            more = next_query(PageSpec("offset", FANS_PAGE), query, reply.body) is not None
            if not more or (left is not None and left <= 0):
                break
        if count is not None:
            await self._save(ENDED, {"expired": count})

    async def _ask_for_due(self, oldest: datetime, now: datetime) -> None:
        due = await self._services.store.aread(
            fans.ending, self.account.id, since=oldest, until=now, seen_before=now - ENDED_AGAIN, limit=ENDED_ASKED
        )
        for fan in due:
            try:
                await self._client.call("users-get", {"username": str(fan)})
            except Refused:  # upstream knows no such user any more
                row = {"fan_id": fan, "is_active": False}
                await self._services.store.awrite(ingest.observe, "fans", self.account.id, [row], observed_at=now)

    async def _expired_count(self) -> int | None:
        """How many ended fans upstream counts; None where it does not say."""
        try:
            body = (await self._client.call("fans-counts")).json()
        except (KeyError, Refused):
            return None
        count = member(member({"of": body}, "of"), "subscribers").get("expired")
        return count if isinstance(count, int) else None

    async def _newly_ended(self, rows: Iterable[Mapping[str, Any]], oldest: datetime, now: datetime) -> int:
        """How many of these ended in that time without the store knowing it."""
        ends = {row.get("id"): time_of(member(row, "subscribedOnData").get("expiredAt")) for row in rows}
        recent = {i: at for i, at in ends.items() if isinstance(i, int) and at is not None and oldest <= at <= now}
        known = await self._services.store.aread(fans.by_ids, self.account.id, recent)
        told = [fan for fan in known.values() if not fan.is_active and fan.expired_at == recent[fan.fan_id]]
        return len(recent) - len(told)

    # notifications

    async def _notifications(self, since: datetime) -> None:
        store = self._services.store
        seen = int((await self._position(STREAM)).get("id", 0))
        found = await self._newer(seen, since)
        if found:
            await store.awrite(
                write_notifications, self.account.team_id, self.account.id, found, self._services.clock()
            )

    async def _newer(self, seen: int, since: datetime) -> list[dict[str, Any]]:
        """Notifications above the id `seen` from `since` on, newest first."""
        rule = self._client.rule("notifications-list")
        query: dict[str, str | int] = {"limit": PAGE, "skip_users": "none"}
        found: list[dict[str, Any]] = []
        for _ in range(MAX_PAGES):
            reply = await self._client.ask(*self._client.target(rule, {}, query))
            rows = notified.numbered(rows_of(reply.body))
            fresh = [row for row in rows if row["id"] > seen and notified.since(row, since)]
            found += fresh
            if not rows or len(fresh) < len(rows):
                break
            query["from_id"] = min(row["id"] for row in rows)
        return found

    # cursors

    async def _position(self, stream: str) -> Mapping[str, Any]:
        cursor = await self._services.store.aread(sync.get, self.account.id, stream)
        return cursor.position if cursor is not None else {}

    async def _save(self, stream: str, position: Mapping[str, Any]) -> None:
        now = self._services.clock()
        await self._services.store.awrite(sync.save, self.account.id, stream, position, now=now)


def write_notifications(
    conn: Connection, team_id: str, account_id: str, found: list[dict[str, Any]], now: datetime
) -> None:
    """Events of notifications, and the cursor: it moves in their transaction, so that a kill neither loses nor doubles one."""
    notified.tell(conn, team_id, account_id, found, now)
    sync.save(conn, account_id, STREAM, {"id": max(int(one["id"]) for one in found)}, completed=True, now=now)


async def look(job: Job, services: Services) -> None:
    """`{"account": id}`: what the webhooks of the account's team want of it."""
    try:
        client = await services.parts["upstream"].of(str(job.payload["account"]))
    except LookupError as e:
        raise GiveUp(str(e)) from e
    one = Look(services, client)
    try:
        await one.run()
    except SessionExpired as e:
        raise GiveUp(str(e)) from e
    except Unavailable as e:
        raise RetryLater(e.after_s, str(e)) from e
    if one.refused:
        raise GiveUp("; ".join(f"{part}: {why}" for part, why in one.refused.items()))


async def schedule(_: Job, services: Services) -> None:
    """A look at each account of which a webhook wants news."""
    await services.store.awrite(_enqueue, services.clock())


def _enqueue(conn: Connection, now: datetime) -> None:
    for account in accounts.list_live(conn):
        if account.state in PAUSED or account.login is None:
            continue
        if events.wanted(conn, account.team_id, account.id, now=now) & LOOKED_FOR:
            outbox.enqueue(conn, KIND, {"account": account.id}, key=account.id, max_attempts=3, now=now)


def _interval_s(config: Config) -> float:
    return config.webhooks.look_interval_s


JOBS = {KIND: JobKind(look, timeout_s=900, routine=True), "events.schedule": JobKind(schedule)}
PERIODIC = {"events.schedule": _interval_s}
