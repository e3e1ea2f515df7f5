"""`GET /go/{ulid}`: to a real link of the pool, with the click written down before the answer (contract 6.1, 6.3)."""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog
from cachetools import TTLCache
from prometheus_client import Counter
from ulid import ULID

from addons.links.choosing import Chooser
from addons.links.clicks import is_prefetch
from addons.links.finding import parse_ulid
from addons.links.records import Record, clean
from addons.links.visitor import visitor_ids
from addons.pipeline.errors import ApiError
from addons.pipeline.exchange import Headers, Response
from ofapi_store.errors import StoreError
from ofapi_store.queries import pools, smart_links

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from addons.links.writing import ClickWriter
    from addons.pipeline.exchange import Exchange
    from addons.pipeline.services import Services
    from ofapi_store.queries.pools import PoolRow
    from ofapi_store.queries.smart_links import SmartRow

log = structlog.get_logger(__name__)

REFRESH_S = 2.0
UNKNOWN_S = 2.0
KEPT = 10_000
PROFILE = "https://onlyfans.com/"
_HINTS = ("purpose", "sec-purpose", "x-purpose", "x-moz")
_PAGE = (
    "<!doctype html><html lang=en><meta charset=utf-8><meta name=robots content=noindex><title>{0}</title>"
    "<body style='font:16px sans-serif;margin:3em'><h1>{0}</h1><p>{1}</p></body></html>\n"
)


@dataclass(slots=True)
class Known:
    """A smart link as this process knows it. `read_at`: monotonic seconds."""

    row: SmartRow
    pool: Chooser
    read_at: float
    refreshing: bool = False


def page(status: int, title: str, text: str) -> Response:
    """A plain page for people."""
    headers = Headers([("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store")])
    return Response(status, headers, _PAGE.format(title, text).encode())


class Redirects:
    """Answers the mount `redirect`; one per process, in `services.parts["redirects"]`."""

    def __init__(self, services: Services, writer: ClickWriter) -> None:
        self._services = services
        self._config = services.config.links
        self._writer = writer
        self._secret = hashlib.sha256(b"click visitors\0" + services.config.secret_keys()[0].encode()).digest()
        self._known: TTLCache[str, Known] = TTLCache(KEPT, 3600)
        self._unknown: TTLCache[str, bool] = TTLCache(KEPT, UNKNOWN_S)
        self._tasks: set[asyncio.Task[None]] = set()
        self._last_ms = 0
        self._counter: Counter | None = None

    def forget(self, smart_link_id: str) -> None:
        """It was changed by this process: read it again."""
        self._known.pop(smart_link_id, None)

    async def answer(self, x: Exchange) -> Response:
        """302 with `Cache-Control: no-store`; 404 and 410 are plain pages."""
        if x.request.method not in ("GET", "HEAD"):
            raise ApiError(
                405, "method_not_allowed", "Only GET and HEAD are allowed here.", headers=(("Allow", "GET, HEAD"),)
            )
        segments = x.path.segments if x.path is not None else ()
        ulid = parse_ulid(segments[0]) if len(segments) == 1 else None
        link = await self._find(ulid) if ulid is not None else None
        if link is None:
            self._count("unknown")
            return page(404, "Unknown link", "There is no link at this address.")
        if link.row.state != "active":
            self._count("deleted")
            return page(410, "Link removed", "This link is no longer in use.")
        return await self._redirect(x, link)

    async def _redirect(self, x: Exchange, link: Known) -> Response:
        headers = {k.lower(): v for k, v in x.request.headers if k.lower() in _HINTS}
        agent = clean(x.request.headers.get("user-agent"))
        ip = x.entry.client_ip
        ms = self._last_ms = max(int(self._services.clock().timestamp() * 1000), self._last_ms)
        at = ms / 1000
        prefetch = is_prefetch(x.request.method, headers)
        visitor = visitor_ids(self._secret, datetime.fromtimestamp(at, UTC), ip, agent)
        hold = not prefetch and agent not in self._writer.robots
        chosen = link.pool.choose(visitor.today, at, hold=hold)
        record = Record(
            id=str(ULID.from_timestamp(ms)),
            smart_link_id=link.row.id,
            pool_id=chosen.id if chosen else None,
            is_shared=bool(chosen and chosen.is_shared),
            visitor=visitor.today,
            yesterday=visitor.yesterday,
            ip=ip,
            user_agent=agent,
            referrer=clean(x.request.headers.get("referer")),
            query=_query_of(x),
            is_prefetch=prefetch,
        )
        if not self._config.store_ip:
            record.country, record.is_datacenter = (
                self._writer.places.country(ip),
                self._writer.places.is_datacenter(ip),
            )
            record.ip = ""
        try:
            await self._writer.write(record)
        except (OSError, StoreError) as e:
            log.error("click not stored", error=f"{type(e).__name__}: {e}")
            self._count("failed")
            return page(503, "Try again", "This link cannot be followed right now. Try again in a moment.")
        self._count("profile" if chosen is None else "shared" if chosen.is_shared else "pool")
        target = chosen.url if chosen else PROFILE + (link.row.username or "")
        return Response(302, Headers([("Location", target), ("Cache-Control", "no-store")]))

    async def _find(self, ulid: str) -> Known | None:
        link = self._known.get(ulid)
        if link is None:
            return None if ulid in self._unknown else await self._load(ulid)
        if time.monotonic() - link.read_at >= REFRESH_S or not len(link.pool):
            if self._services.store.dialect == "sqlite":
                return await self._load(ulid)
            if not link.refreshing:  # a reading thread away: this answer goes by what is known
                link.refreshing = True
                task = asyncio.create_task(self._refresh(ulid, link))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        return link

    async def _refresh(self, ulid: str, link: Known) -> None:
        try:
            await self._load(ulid)
        except StoreError as e:
            log.warning("smart link not read again", error=str(e))
        finally:
            link.refreshing = False

    async def _load(self, ulid: str) -> Known | None:
        link = self._known.get(ulid)
        try:
            row, members = await self._services.store.aread(_read, ulid)
        except StoreError:
            if link is None:
                raise
            return link  # the store is away: visitors still arrive
        if row is None:
            self._known.pop(ulid, None)
            self._unknown[ulid] = True
            return None
        if link is None:
            link = Known(row, Chooser(self._config.hold_window_s, self._config.duplicate_window_s), 0.0)
            self._known[ulid] = link
        link.row, link.read_at = row, time.monotonic()
        link.pool.update(members)
        return link

    def _count(self, outcome: str) -> None:
        if self._counter is None:
            metrics = self._services.parts.get("metrics")
            if metrics is None:
                return
            text = "Redirects by where they led: pool, shared (all links are held), profile (no link is ready), …"
            self._counter = Counter("ofapi_redirects", text, ["outcome"], registry=metrics.registry)
        self._counter.labels(outcome).inc()


def _query_of(x: Exchange) -> str:
    """As sent; bytes that are no UTF-8 become U+FFFD, as they do where they came percent-encoded."""
    text = x.path.query if x.path is not None else ""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _read(conn: Connection, ulid: str) -> tuple[SmartRow | None, list[PoolRow]]:
    row = smart_links.get(conn, ulid)
    if row is None or row.state != "active":
        return row, []
    return row, [_of_now(row, member) for member in pools.of_smart(conn, ulid)]


def _of_now(smart: SmartRow, member: PoolRow) -> PoolRow:
    """Tracking links stand below the creator's profile, under the user name of now: it may have changed since."""
    if smart.link_type != "tracking_link" or not smart.username or not member.url:
        return member
    return replace(member, url=f"{PROFILE}{smart.username}/{member.url.rpartition('/')[2]}")
