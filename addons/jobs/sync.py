"""Walking upstream to fill the store: by the rules of the gateway, page by page, resumable after any kill.

A first walk is full; later ones ask for what is new since the last, for payments whose status is not their last, and for
the fans of links who were renewed; and for everything again every `sync.full_every_days`.
Each page is stored before the cursor moves on, so a page may be asked for twice and never be left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from addons.jobs import links_revenue
from addons.jobs.registry import GiveUp, Job, JobKind, RetryLater
from addons.jobs.sync_chats import NEVER, is_new, of_page, oldest
from addons.jobs.sync_lists import CHATS, CLAIMERS, COLLECTIONS, LISTS, MESSAGES, Listing
from addons.jobs.upstream_client import Refused, SessionExpired, Unavailable, UpstreamClient
from addons.links import observed
from addons.pipeline.ingesting import ingest_sights
from addons.pipeline.observing import observed_rows
from addons.pipeline.pagination import PageSpec, next_query
from ofapi_store import catalog, outbox
from ofapi_store.queries import accounts, link_dirty, links, sync, transactions

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from addons.config import Config
    from addons.pipeline.plan import CompiledRule
    from addons.pipeline.services import Services

KIND = "sync.account"
NOT_FOUND = 404
OVERLAP = timedelta(days=2)
OPEN_FOR = timedelta(days=31)
"""How long a payment may wait for its last status: upstream holds payments back for some weeks at most."""
MESSAGES_OVERLAP = timedelta(minutes=10)
UNDER_WAY = ("query", "items", "walked")  # in the position of a walk that has not ended
PAUSED = frozenset({"session_expired", "reauthenticating", "disconnected"})


@dataclass(slots=True)
class Report:
    """How far a sync is; what `ofapi jobs show` prints. `absent`: lists of links shared by others that upstream does not have."""

    collection: str = ""
    pages: int = 0
    rows: int = 0
    done: list[str] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    items: int = 0
    of: int | None = None

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


class Sync:
    """One walk of one account. `tell` is awaited after each page."""

    def __init__(
        self,
        services: Services,
        client: UpstreamClient,
        tell: Callable[[Mapping[str, Any]], Awaitable[None]],
        *,
        full: bool,
    ) -> None:
        self._services = services
        self._client = client
        self._tell = tell
        self._full = full
        self.report = Report()

    async def run(self, collections: tuple[str, ...]) -> Report:
        """Walks the collections in order. Raises SessionExpired and Unavailable; a refused collection is noted, not fatal."""
        await self._client.call("me-get")
        for name in collections:
            self.report.collection, self.report.items, self.report.of = name, 0, None
            try:
                await self._walk(name)
            except Refused as e:
                if e.status == NOT_FOUND and name.startswith("shared_"):
                    self.report.absent.append(name)
                else:
                    self.report.errors[name] = str(e)
            else:
                self.report.done.append(name)
            await self._tell(self.report.as_json())
        return self.report

    async def _walk(self, name: str) -> None:
        cursor = await self._services.store.aread(sync.get, self._client.account.id, name)
        position = dict(cursor.position) if cursor is not None else {}
        began = self._services.clock()
        full = self._is_full(position, began)
        goes_on = any(key in position for key in UNDER_WAY) and (position.get("full") or not self._full)
        if not goes_on:
            position = {k: v for k, v in position.items() if k in ("full_at", "seen_at", "counts")} | {
                "full": full,
                "began_at": began.isoformat(),
            }
        if name == "messages":
            await self._messages(name, position)
        elif name == "claimers":
            await self._claimers(name, position)
        else:
            await self._list(name, position)
        began_at = position["began_at"]
        end = {"seen_at": began_at, "full_at": began_at if position["full"] else position.get("full_at")}
        if "counts" in position:
            end["counts"] = position["counts"]
        await self._services.store.awrite(_end, self._client.account.id, name, end, self._services.clock())

    def _is_full(self, position: Mapping[str, Any], now: datetime) -> bool:
        last = position.get("full_at")
        if self._full or last is None:
            return True
        return now - datetime.fromisoformat(last) > timedelta(days=self._services.config.sync.full_every_days)

    async def _list(self, name: str, position: dict[str, Any]) -> None:
        both = LISTS[name]
        listing = both.full if position["full"] or both.recent is None else both.recent
        start = position.get("query") or listing.query(await self._since(name, position), self._services.clock())
        async for page in self._pages(listing, {}, start):
            position["query"] = page.next
            await self._save(name, position)

    async def _since(self, name: str, position: Mapping[str, Any]) -> datetime | None:
        """From when on a later walk asks, None for all: a little before the last one; payments from the oldest open one on."""
        seen = position.get("seen_at")
        if position["full"] or seen is None:
            return None
        since = datetime.fromisoformat(seen) - OVERLAP
        if name == "transactions":
            back = self._services.clock() - OPEN_FOR
            oldest = await self._services.store.aread_slow(
                transactions.oldest_open, self._client.account.id, since=back
            )
            since = min(since, oldest or since)
        return since

    async def _pages(self, listing: Listing, params: Mapping[str, str], query: str) -> AsyncIterator[Page]:
        """Pages from `query` on, each stored before it is given out."""
        rule = self._client.rule(listing.rule)
        spec = PageSpec(listing.page, listing.limit)
        following: str | None = query
        while following is not None:
            reply = await self._client.ask(*self._client.target(rule, params, following))
            sight = self._client.sight(rule, params, reply)
            unknown = await self._unknown(rule, params, reply.body)
            following = next_query(spec, following, reply.body)
            self.report.rows += await ingest_sights(self._services, [sight])
            self.report.pages += 1
            await self._tell(self.report.as_json())
            yield Page(reply.body, following, unknown)

    async def _unknown(self, rule: CompiledRule, params: Mapping[str, str], body: bytes) -> frozenset[str]:
        """Ids of messages in the body that the store does not have yet."""
        scope = catalog.Scope(self._client.account.team_id, self._client.account.id)
        unknown: set[str] = set()
        for table, rows in observed_rows(rule.observe, params, body, rule.steps).items():
            keys = catalog.table(table).keys
            if table != "messages" or not keys:
                continue
            wanted = {row[keys[0]] for row in rows if keys[0] in row}
            known = await self._services.store.aread(catalog.fetch, table, scope, keys[0], wanted, [keys[0]])
            unknown |= {str(key) for key in wanted - set(known)}
        return frozenset(unknown)

    async def _messages(self, name: str, position: dict[str, Any]) -> None:
        """Chats, newest first, and the messages of each; later walks end where nothing has happened since the last.

        That the last message of a chat is known says nothing about those before it: traffic stores last messages, too.
        """
        since = None if position["full"] else datetime.fromisoformat(position["seen_at"]) - MESSAGES_OVERLAP
        query = position.get("query") or CHATS.query(None, self._services.clock()) + "&skip_users=none"
        async for page in self._pages(CHATS, {}, query):
            fans = [chat.fan for chat in of_page(page.body) if since is None or is_new(chat, page.unknown, since)]
            if since is not None and not fans:
                break
            self.report.of = (self.report.of or 0) + len(fans)
            await self._each(fans, lambda fan: self._chat(name, position, fan, since))
            position.pop("walked", None)
            position["query"] = page.next
            await self._save(name, position)

    async def _chat(self, name: str, position: dict[str, Any], fan: str, since: datetime | None) -> None:
        """One chat, unless this walk has been there before it was killed."""
        if fan not in position.get("walked", ()):
            async for page in self._pages(MESSAGES, {"chat_id": fan}, MESSAGES.query(None, self._services.clock())):
                if since is not None and not page.unknown and oldest(page.body) < since:
                    break
            position.setdefault("walked", []).append(fan)
            await self._save(name, position)
        self.report.items += 1

    async def _claimers(self, name: str, position: dict[str, Any]) -> None:
        """The subscribers of each link; later walks read the links whose count has changed, or whose fans were renewed."""
        counts: dict[str, Any] = position.setdefault("counts", {})
        renewed = await self._renewed(position)
        wanted: list[tuple[str, links.Kind, links.LinkRow]] = []
        for kind in CLAIMERS:
            for row in await self._services.store.aread_slow(_all_links, self._client.account.id, kind):
                key = f"{kind}:{row.link_id}"
                if key not in position.get("items", []) and (
                    position["full"] or counts.get(key) != row.subscribers_count or row.id in renewed
                ):
                    wanted.append((key, kind, row))
        self.report.of = len(wanted)
        size = self._services.config.sync.max_parallel
        for at in range(0, len(wanted), size):
            group = wanted[at : at + size]
            await self._each(group, self._link)
            position.setdefault("items", []).extend(key for key, _, _ in group)
            counts.update({key: row.subscribers_count for key, _, row in group})
            await self._save(name, position)

    async def _renewed(self, position: Mapping[str, Any]) -> set[int]:
        """Links, by our ids, of fans who paid after their last known period there: since the last walk that was found out."""
        seen = position.get("seen_at")
        if position["full"] or seen is None:
            return set()
        return await self._services.store.aread_slow(
            links.outlived, self._client.account.id, since=datetime.fromisoformat(seen)
        )

    async def _link(self, item: tuple[str, links.Kind, links.LinkRow]) -> None:
        rule, parameter = CLAIMERS[item[1]]
        listing = Listing(rule, "offset", 100)
        async for _ in self._pages(
            listing, {parameter: str(item[2].link_id)}, listing.query(None, self._services.clock())
        ):
            pass
        self.report.items += 1

    async def _each[T](self, items: list[T], work: Callable[[T], Awaitable[None]]) -> None:
        """As many at once as upstream bears; the first error ends all."""
        waiting = iter(items)

        async def take() -> None:
            for item in waiting:
                await work(item)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in items[: self._services.config.sync.max_parallel]:
                    group.create_task(take())
        except* (Refused, SessionExpired, Unavailable) as errors:
            raise _first(errors) from None

    async def _save(self, name: str, position: Mapping[str, Any]) -> None:
        now = self._services.clock()
        so_far = deepcopy(dict(position))  # other chats go on while this is written
        await self._services.store.awrite(sync.save, self._client.account.id, name, so_far, now=now)


@dataclass(frozen=True, slots=True)
class Page:
    """One stored page. `next`: the query of the following one. `unknown`: ids of messages that were new to the store."""

    body: bytes
    next: str | None
    unknown: frozenset[str]


def _end(conn: Connection, account_id: str, name: str, position: Mapping[str, Any], now: datetime) -> None:
    """The stream has reached its end: revenue that waited to know everything is due."""
    sync.save(conn, account_id, name, position, completed=True, now=now)
    if name in ("transactions", "claimers") and link_dirty.not_calculated(conn, account_id):
        observed.enqueue(conn, account_id, at=now, now=now)


def _first(errors: BaseExceptionGroup[Any]) -> Exception:
    found: Any = errors
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, Exception)
    return found


def _all_links(conn: Any, account_id: str, kind: links.Kind) -> list[links.LinkRow]:
    out: list[links.LinkRow] = []
    while True:
        rows = links.page(conn, account_id, kind, limit=1000, offset=len(out), include_smart=True)
        out += rows
        if len(rows) < 1000:
            return out


async def sync_account(job: Job, services: Services) -> None:
    """`{"account": id, "only"?: [collection, …], "full"?: bool}`; progress is a `Report`."""
    try:
        client = await services.parts["upstream"].of(str(job.payload["account"]))
    except LookupError as e:
        raise GiveUp(str(e)) from e
    only = tuple(job.payload.get("only") or services.config.sync.collections)
    if unknown := sorted(set(only) - set(COLLECTIONS)):
        raise GiveUp(f"unknown collection {unknown[0]}; known: {', '.join(COLLECTIONS)}")
    walk = Sync(services, client, job.report, full=bool(job.payload.get("full")))
    try:
        await walk.run(tuple(name for name in COLLECTIONS if name in only))
    except SessionExpired as e:
        raise GiveUp(str(e)) from e
    except Unavailable as e:
        raise RetryLater(e.after_s, str(e)) from e
    while (await links_revenue.step(services, client.account.id)).left:  # who waits for a sync finds its figures
        pass


async def schedule(_: Job, services: Services) -> None:
    """A sync for each account whose last one is `sync.interval_s` ago."""
    due_before = services.clock() - timedelta(seconds=services.config.sync.interval_s)
    await services.store.awrite(_enqueue_due, due_before, services.clock())


def _enqueue_due(conn: Any, due_before: datetime, now: datetime) -> None:
    for account in accounts.list_live(conn):
        if account.state in PAUSED or account.login is None:
            continue
        ends = [c.completed_at for c in sync.list_for_account(conn, account.id)]
        last = max((e for e in ends if e is not None), default=NEVER)
        if last < due_before:
            outbox.enqueue(conn, KIND, {"account": account.id}, key=account.id, now=now)


def _schedule_s(config: Config) -> float:
    return min(60.0, config.sync.interval_s) if config.sync.interval_s else 0.0


JOBS = {KIND: JobKind(sync_account, resumable=True), "sync.schedule": JobKind(schedule)}
PERIODIC = {"sync.schedule": _schedule_s}
