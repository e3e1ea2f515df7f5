"""Looking at accounts for news that a webhook wants, between syncs: notifications, newest messages, money, ended fans.

Tips, bought messages, subscriptions and likes come from upstream's notifications, which name each once. The cursor moves
in the transaction that writes the events, so that a crash neither loses nor doubles one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from addons.jobs.registry import GiveUp, Job, JobKind, RetryLater
from addons.jobs.sync import PAUSED
from addons.jobs.upstream_client import Refused, SessionExpired, Unavailable
from addons.pipeline.ingesting import ingest_sights
from addons.pipeline.pagination import PageSpec, next_query
from addons.webhooks import payloads
from ofapi_store import outbox
from ofapi_store.errors import BadValue
from ofapi_store.queries import accounts, events, fans, messages, sync
from ofapi_store.queries.events import NewEvent
from ofapi_store.types import parse_time

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from addons.config import Config
    from addons.jobs.upstream_client import UpstreamClient
    from addons.pipeline.services import Services

KIND = "events.look"
STREAM = "notifications"
PAGE = 100
MAX_PAGES = 20
CHAT_PAGES = 5
ENDED_PAGES = 5
ENDED_SINCE = timedelta(hours=48)
MONEY_SINCE = timedelta(days=2)
NOTIFIED = frozenset(
    {"tips.received", "messages.ppv.unlocked", "subscriptions.new", "subscriptions.renewed", "posts.liked"}
)
MESSAGES = frozenset({"messages.received", "messages.sent"})
LOOKED_FOR = NOTIFIED | MESSAGES | {"transactions.new", "subscriptions.expired"}


class Look:
    """One look at one account. Its parts are independent: one that upstream refuses does not end the others."""

    def __init__(self, services: Services, client: UpstreamClient) -> None:
        self._services = services
        self._client = client
        self.account = client.account
        self.refused: dict[str, str] = {}

    async def run(self, wanted: frozenset[str]) -> None:
        """Raises SessionExpired, Unavailable."""
        parts = (
            (NOTIFIED, self._notifications),
            (MESSAGES, self._messages),
            ({"transactions.new"}, self._transactions),
            ({"subscriptions.expired"}, self._ended),
        )
        for names, part in parts:
            if wanted & names:
                try:
                    await part()
                except Refused as e:
                    self.refused[part.__name__.strip("_")] = str(e)

    async def _messages(self) -> None:
        """Chats, newest first, and what is new in each. A page of chats is stored after its messages: no kill leaves a gap."""
        row = await self._services.store.aread(accounts.by_id, self.account.id)
        since = row.created_at.replace(microsecond=0) if row is not None else self._services.clock()
        for page in range(CHAT_PAGES):
            rule = self._client.rule("chats-list")
            query: dict[str, str | int] = {"limit": PAGE, "offset": PAGE * page, "skip_users": "none"}
            reply = await self._client.ask(*self._client.target(rule, {}, query))
            last = {_of(chat, "withUser").get("id"): _of(chat, "lastMessage") for chat in rows_of(reply.body)}
            known = await self._known(one.get("id") for one in last.values())
            fresh = [fan for fan, one in last.items() if one.get("id") not in known and _since(one, since)]
            for fan in fresh:
                await self._chat(str(fan), since)
            await ingest_sights(self._services, [self._client.sight(rule, {}, reply)])
            if len(fresh) < len(last) or len(last) < PAGE:
                return

    async def _chat(self, fan: str, since: datetime) -> None:
        """Messages, newest first, down to those that are known or from before the account was connected."""
        rule, params = self._client.rule("messages-list"), {"chat_id": fan}
        query: str | None = f"limit={PAGE}"
        for _ in range(MAX_PAGES):
            reply = await self._client.ask(*self._client.target(rule, params, query))
            rows = rows_of(reply.body)
            known = await self._known(row.get("id") for row in rows)
            query = next_query(PageSpec("cursor", PAGE), query or "", reply.body)
            await ingest_sights(self._services, [self._client.sight(rule, params, reply)])
            if query is None or any(row.get("id") in known or not _since(row, since) for row in rows):
                return

    async def _known(self, ids: Iterable[Any]) -> set[int]:
        wanted = {number for number in ids if isinstance(number, int)}
        return set(await self._services.store.aread(messages.by_ids, self.account.id, wanted))

    async def _transactions(self) -> None:
        since = self._services.clock() - MONEY_SINCE
        await self._client.call("transactions-list", query={"limit": PAGE, "startDate": f"{since:%Y-%m-%d %H:%M:%S}"})

    async def _ended(self) -> None:
        """Newest first, until a page holds none that ended within the time that is told late."""
        oldest = self._services.clock() - ENDED_SINCE
        for page in range(ENDED_PAGES):
            reply = await self._client.call("fans-expired", query={"limit": 20, "offset": 20 * page})
            ends = [_time(_of(row, "subscribedOnData").get("expiredAt")) for row in rows_of(reply.body)]
            if not any(end is not None and end >= oldest for end in ends):
                return

    async def _notifications(self) -> None:
        store = self._services.store
        row = await store.aread(accounts.by_id, self.account.id)
        if row is None:
            return
        cursor = await store.aread(sync.get, self.account.id, STREAM)
        seen = int(cursor.position.get("id", 0)) if cursor is not None else 0
        found = await self._newer(seen, row.created_at.replace(microsecond=0))
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
            rows = [row for row in rows_of(reply.body) if isinstance(row.get("id"), int)]
            fresh = [row for row in rows if row["id"] > seen and _since(row, since)]
            found += fresh
            if not rows or len(fresh) < len(rows):
                break
            query["from_id"] = min(row["id"] for row in rows)
        return found


def write_notifications(
    conn: Connection, team_id: str, account_id: str, found: list[dict[str, Any]], now: datetime
) -> None:
    """Events of notifications, oldest first, and the cursor."""
    ids = {int(user["id"]) for one in found if isinstance((user := _of(one, "user")).get("id"), int)}
    known = fans.by_ids(conn, account_id, ids)
    new = []
    for one in sorted(found, key=lambda row: int(row["id"])):
        event, user = payloads.event_of(one), _of(one, "user")
        if event is None:
            continue
        fan = known.get(user["id"]) if isinstance(user.get("id"), int) else None
        parts = (
            payloads.fan_parts(user["id"], fan, seen=user, previous_reply_at=fan.last_reply_at if fan else None)
            if isinstance(user.get("id"), int)
            else {"fan": None, "fanData": None}
        )
        body = payloads.notification(event, one, parts)
        new.append(NewEvent(event, f"notification:{one['id']}", body, account_id, _time(one.get("createdAt"))))
    events.emit_all(conn, team_id, new, now=now)
    sync.save(conn, account_id, STREAM, {"id": max(int(one["id"]) for one in found)}, completed=True, now=now)


def rows_of(body: bytes) -> list[dict[str, Any]]:
    """The objects of a list that upstream sends bare or in `list`; none where it is something else."""
    try:
        data = json.loads(body, parse_float=Decimal)
    except ValueError:
        return []
    rows = data.get("list") if isinstance(data, dict) else data
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _of(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = row.get(name)
    return value if isinstance(value, dict) else {}


def _since(row: Mapping[str, Any], since: datetime) -> bool:
    return (_time(row.get("createdAt")) or since) >= since


def _time(value: Any) -> datetime | None:
    try:
        return parse_time(value).astimezone(UTC) if value is not None else None
    except BadValue:
        return None


async def look(job: Job, services: Services) -> None:
    """`{"account": id}`: what the webhooks of the account's team want of it."""
    try:
        client = await services.parts["upstream"].of(str(job.payload["account"]))
    except LookupError as e:
        raise GiveUp(str(e)) from e
    account = client.account
    wanted = await services.store.aread(events.wanted, account.team_id, account.id, now=services.clock())
    one = Look(services, client)
    try:
        await one.run(wanted & LOOKED_FOR)
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


JOBS = {KIND: JobKind(look, timeout_s=900), "events.schedule": JobKind(schedule)}
PERIODIC = {"events.schedule": _interval_s}
