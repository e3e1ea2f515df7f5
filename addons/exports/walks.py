"""Rows that the store does not hold, asked of upstream by the gateway's own rules, page by page."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from addons.jobs.upstream_client import Unavailable, UpstreamClient, query_text
from addons.pipeline.ingesting import ingest_sights
from addons.pipeline.pagination import PageKind, PageSpec, next_query
from ofapi_store.errors import BadValue
from ofapi_store.types import parse_time, to_cents, to_json

if TYPE_CHECKING:
    from addons.pipeline.services import Services
    from ofapi_store.queries.exports_rows import Scope

Row = Mapping[str, Any]
Emit = Callable[[Row], None]
Page = list[Row] | Exception | None

DAY = timedelta(days=1)
PAGES_AHEAD = 2


@dataclass(frozen=True, slots=True)
class Walk:
    """One walk of one account. `emit` gets each row as it comes."""

    services: Services
    client: UpstreamClient
    scope: Scope
    emit: Emit

    async def pages(
        self, rule_id: str, kind: PageKind, limit: int, params: Mapping[str, str] | None = None, **query: Any
    ) -> AsyncIterator[Any]:
        """Parsed bodies, numbers exact; what the rule observes is stored. Raises KeyError and the UpstreamProblems."""
        rule = self.client.rule(rule_id)
        spec = PageSpec(kind, limit)
        following: str | None = query_text({"limit": limit, **query})
        while following is not None:
            reply = await self.client.ask(*self.client.target(rule, params, following))
            if rule.observe:
                await ingest_sights(self.services, [self.client.sight(rule, params, reply)])
            yield parsed(reply.body)
            following = next_query(spec, following, reply.body)

    async def rows(self, rule_id: str, limit: int, **query: Any) -> AsyncIterator[Row]:
        """The rows of an offset list, each once: what is new at its head pushes rows to the next page."""
        seen: set[str] = set()
        async for body in self.pages(rule_id, "offset", limit, **query):
            for row in listed(body):
                key = str(row.get("id"))
                if "id" not in row or key not in seen:
                    seen.add(key)
                    yield row

    def within(self, value: Any) -> bool:
        """Whether a time of upstream's lies in the period; what has no readable time does."""
        at = moment(value)
        return at is None or self.scope.start <= at < self.scope.end


def parsed(body: bytes) -> Any:
    """JSON with exact numbers. Raises Unavailable: upstream sends HTML when it is in trouble."""
    try:
        return json.loads(body, parse_float=Decimal)
    except ValueError:
        raise Unavailable("upstream answered with something that is no JSON", 60) from None


def moment(value: Any) -> datetime | None:
    try:
        return parse_time(value) if value else None
    except BadValue:
        return None


def dig(row: Any, path: str) -> Any:
    """The member at `a.b.c` as a cell; None where it is missing."""
    for name in path.split("."):
        row = row.get(name) if isinstance(row, Mapping) else None
    return to_json(row) if isinstance(row, Mapping | list) else row


def listed(body: Any) -> list[Any]:
    """The rows of a page in any of upstream's shapes."""
    rows = body.get("list", body.get("users", body.get("items"))) if isinstance(body, Mapping) else body
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []


async def payouts(walk: Walk) -> None:
    async for row in walk.rows("payouts-requests", 100):
        if walk.within(row.get("createdAt")):
            walk.emit(
                {
                    "payout_id": dig(row, "id"),
                    "amount": _money(dig(row, "amount")),
                    "currency": dig(row, "currency"),
                    "state": dig(row, "state"),
                    "invoice_id": dig(row, "invoiceId"),
                    "reject_reason": dig(row, "rejectReason"),
                    "created_at": dig(row, "createdAt"),
                }
            )


async def followings(walk: Walk) -> None:
    """By the day of the subscription where upstream tells it."""
    async for row in walk.rows(f"following-{walk.scope.options.get('type', 'all')}", 50):
        since = dig(row, "subscribedByData.subscribeAt")
        if walk.within(since):
            walk.emit(
                {
                    "user_id": dig(row, "id"),
                    "username": dig(row, "username"),
                    "name": dig(row, "name"),
                    "is_active": dig(row, "subscribedBy"),
                    "subscribe_price": _money(_first(dig(row, "currentSubscribePrice"), dig(row, "subscribePrice"))),
                    "subscribed_at": since,
                    "expires_at": _first(dig(row, "subscribedByData.expiredAt"), dig(row, "subscribedByExpireDate")),
                    "last_seen_at": dig(row, "lastSeen"),
                    "avatar_url": dig(row, "avatar"),
                }
            )


async def profile_visitors(walk: Walk) -> None:
    """One row a day, each day asked by itself: upstream adds longer periods up."""
    day = walk.scope.start.replace(hour=0, minute=0, second=0, microsecond=0)
    end = min(walk.scope.end, walk.services.clock())
    while day < end:
        last = day + DAY - timedelta(seconds=1)
        query = {"start_date": f"{day:%Y-%m-%d %H:%M:%S}", "end_date": f"{last:%Y-%m-%d %H:%M:%S}", "type": "total"}
        body = parsed((await walk.client.call("statistics-profile-visitors", {}, query)).body)
        walk.emit(
            {
                "date": f"{day:%Y-%m-%d}",
                "total_visitors": _number(_first(dig(body, "topCountries.totals.total"), dig(body, "total.current"))),
                "guest_visitors": _number(dig(body, "topCountries.totals.guests")),
                "user_visitors": _number(dig(body, "topCountries.totals.users")),
                "subscriber_visitors": _number(dig(body, "topCountries.totals.subscribers")),
                "average_view_duration": _of_day(body, day),
            }
        )
        day += DAY


async def media_vault(walk: Walk) -> None:
    """Each file of the vault with its URL of now."""
    kind = walk.scope.options.get("mediaType", "all")
    query = {} if kind == "all" else {"type": kind}
    async for row in walk.rows("vault-list", 100, **query):
        if walk.within(row.get("createdAt")):
            url = _first(dig(row, "files.full.url"), dig(row, "full"))
            walk.emit({"media_id": dig(row, "id"), "type": dig(row, "type"), "url": url})


async def chat_messages(walk: Walk) -> None:
    """The newest chats first, of each the newest messages first, up to `maxMessages` in all: the same rows each time."""
    left = int(walk.scope.options["maxMessages"])
    async for chats in _chats(walk):
        async with aclosing(_in_order(walk, chats)) as pages:
            async for rows in pages:
                for row in rows[:left]:
                    walk.emit(row)
                left -= len(rows)
                if left <= 0:
                    return


async def _in_order(walk: Walk, chats: Sequence[Mapping[str, Any]]) -> AsyncGenerator[list[Row]]:
    """Pages of messages, chat after chat; the chats that follow are asked meanwhile, some pages ahead at most."""
    rest, under_way = iter(chats), deque[tuple[asyncio.Task[None], asyncio.Queue[Page]]]()
    try:
        while True:
            while len(under_way) < walk.services.config.sync.max_parallel and (chat := next(rest, None)) is not None:
                queue: asyncio.Queue[Page] = asyncio.Queue(PAGES_AHEAD)
                under_way.append((asyncio.ensure_future(_fill(queue, walk, chat)), queue))
            if not under_way:
                return
            while (page := await under_way[0][1].get()) is not None:
                if isinstance(page, Exception):
                    raise page
                yield page
            under_way.popleft()
    finally:
        tasks = [task for task, _ in under_way]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _fill(queue: asyncio.Queue[Page], walk: Walk, chat: Mapping[str, Any]) -> None:
    """None is the end; what goes wrong is told there, too."""
    try:
        async for rows in _messages_of(walk, chat):
            await queue.put(rows)
    except Exception as e:
        await queue.put(e)
    else:
        await queue.put(None)


async def _chats(walk: Walk) -> AsyncIterator[list[Mapping[str, Any]]]:
    wanted = walk.scope.options.get("chatIds")
    left = int(walk.scope.options.get("maxChats") or 10**9)
    if wanted:
        yield [{"id": chat} for chat in wanted[:left]]
        return
    seen: set[str] = set()
    async for body in walk.pages("chats-list", "offset", 100, skip_users="none"):
        found = [row["withUser"] for row in listed(body) if isinstance(row.get("withUser"), Mapping)]
        users = [user for user in found if str(user.get("id")) not in seen]
        seen.update(str(user.get("id")) for user in users)
        if users:
            yield users[:left]
        left -= len(users)
        if left <= 0:
            return


async def _messages_of(walk: Walk, user: Mapping[str, Any]) -> AsyncIterator[list[Row]]:
    """Pages of a chat's messages of the period."""
    skip = walk.scope.options.get("skipMassMessages")
    async for body in walk.pages("messages-list", "cursor", 100, {"chat_id": str(user["id"])}):
        rows, older = listed(body), False
        wanted: list[Row] = []
        for row in rows:
            at = moment(row.get("createdAt"))
            older = older or (at is not None and at < walk.scope.start)
            if walk.within(at) and not (skip and row.get("isFromQueue")):
                wanted.append(_message(row, user))
        yield wanted
        if older:
            return


def _message(row: Mapping[str, Any], user: Mapping[str, Any]) -> Row:
    mine = row.get("isSentByMe")
    return {
        "message_id": dig(row, "id"),
        "chat_id": dig(user, "id"),
        "fan_username": dig(user, "username"),
        "fan_name": dig(user, "name"),
        "from_fan": not mine if mine is not None else str(dig(row, "fromUser.id")) == str(user["id"]),
        "text": dig(row, "text"),
        "price": _money(dig(row, "price")),
        "is_free": dig(row, "isFree"),
        "is_opened": dig(row, "isOpened"),
        "is_tip": dig(row, "isTip"),
        "is_mass_message": dig(row, "isFromQueue"),
        "media_count": dig(row, "mediaCount"),
        "created_at": dig(row, "createdAt"),
    }


def _first(*values: Any) -> Any:
    return next((v for v in values if v is not None), None)


def _money(value: Any) -> Any:
    """With two places, as amounts from the store; what is no amount in cents as it came."""
    try:
        return Decimal(to_cents(value)).scaleb(-2) if value is not None else None
    except BadValue:
        return value


def _number(value: Any) -> Any:
    """Upstream sends counts as text."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value


def _of_day(body: Any, day: datetime) -> Any:
    chart = body.get("chart") if isinstance(body, Mapping) else None
    points = chart.get("duration") if isinstance(chart, Mapping) else None
    for point in points if isinstance(points, list) else ():
        if str(dig(point, "date")).startswith(f"{day:%Y-%m-%d}"):
            return dig(point, "count")
    return None


WALKS = {
    "payouts": payouts,
    "followings": followings,
    "profile_visitors": profile_visitors,
    "chat_messages": chat_messages,
    "media_vault": media_vault,
}
