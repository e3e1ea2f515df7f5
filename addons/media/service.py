"""The media cache of one process: built and closed by the launcher, found by the gateway in `services.parts`.

`media_swap` puts links into answers, `mounts["cdn"]` and `mounts["cdn_host"]` serve `https://cdn.fansapi.com/…` and
`https://cdn*.onlyfans.com/…`, and the handlers of `addons.compute.media` use `media`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from addons.media import objects
from addons.media import swap as swapping
from addons.media.aliases import Aliases
from addons.media.answers import no_such_file, not_a_media_url
from addons.media.fetch import CdnClient
from addons.media.files import FileStore
from addons.media.filler import Filler
from addons.media.identity import MediaIdentity, MediaKey
from addons.media.index import Copy
from addons.media.links import LinkSigner
from addons.media.server import FileServer
from addons.media.streaming import TICKET, Streamer, Ticket, ticket_end
from addons.media.throttle import Throttle
from addons.media.transfer import Limits, Transfers
from addons.media.uploads import Uploads
from addons.pipeline.directory import StoreDirectory
from addons.pipeline.errors import ValidationFailed
from addons.pipeline.exchange import Headers, UpstreamRequest
from addons.pipeline.rule_models import MediaRules

if TYPE_CHECKING:
    from addons.pipeline.credits import Meter
    from addons.pipeline.exchange import Entry, Exchange, Request, Response
    from addons.pipeline.plan import Plan
    from addons.pipeline.services import Services

log = structlog.get_logger(__name__)

LONGEST_URL = 8192  # CDNs take no longer ones
INLINE_KEYS = 500  # a lookup of more keys than that, about a millisecond, runs in a thread
TOUCH_S = 5.0
SWEEP_S = 3600.0
PASSED_UP = ("Range", "If-Range", "If-None-Match", "If-Modified-Since")
NO_MEDIA = MediaRules(hosts=["cdn.invalid"])


class MediaService:
    """See the module; to be made inside the event loop. `plan` gives the rules in force: a reload takes effect at once."""

    def __init__(self, services: Services, plan: Callable[[], Plan]) -> None:
        self.services = services
        self.config = services.config
        media = services.config.media
        self._plan = plan
        self._rules: MediaRules | None = None
        self._scanner = swapping.Scanner(MediaIdentity([]))
        self._identity = MediaIdentity([])
        self.files = FileStore(media.dir, max_bytes=media.max_cache_bytes, min_free_bytes=media.min_free_bytes)
        self.signer = LinkSigner(services.config.secret_keys(), media.link_ttl_s, time.time)
        self._tasks: list[asyncio.Task[None]] = []
        self.client = CdnClient(services.config, StoreDirectory(services.store, services.secrets).account)
        self.objects = objects.configured(services.config)
        limits = Limits(media.max_file_bytes, Throttle(media.bandwidth_bytes_per_s), self.objects)
        self.transfers = Transfers(self.files, self.client, limits)
        self.filler = Filler(services, self.files, self.transfers, self.objects)
        self.streamer = Streamer(self.files, self.client, self.transfers, self.filler, keep=media.enabled)
        self.uploads = Uploads(self)
        self.server = FileServer(self)

    async def start(self) -> None:
        """Open the file server and begin to fill. Raises OSError where `media.port` is taken."""
        await self.server.start()
        self._tasks = [asyncio.create_task(self._upkeep(), name="media upkeep")]
        if self.config.media.enabled:
            self._tasks.append(asyncio.create_task(self.filler.run(), name="media filler"))
        self.services.parts["media"] = self
        if self.config.media.enabled:
            self.services.parts["media_swap"] = self.swap
        self.services.parts["media_aliases"] = Aliases(self.services.store)
        mounts = self.services.parts.setdefault("mounts", {})
        mounts.update(cdn=self.cdn, cdn_host=self.cdn_host)
        self.services.parts.setdefault("health", {})["media"] = self.health

    async def close(self) -> None:
        """Stop filling, let answers end, give back leases."""
        await self.server.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.transfers.close()
        await self.client.close()
        await asyncio.to_thread(self.files.write_uses)
        self.files.index.close()

    @property
    def meter(self) -> Meter | None:
        meter: Meter | None = self.services.parts.get("meter")
        return meter

    @property
    def identity(self) -> MediaIdentity:
        """Which URLs are media, by the rules in force."""
        self._refresh()
        return self._identity

    def key(self, url: str, field: str) -> MediaKey:
        """The file of a client's URL. Raises ValidationFailed naming `field`."""
        if len(url) > LONGEST_URL:
            raise ValidationFailed.of(field, f"The {field} is longer than {LONGEST_URL} characters.")
        key = self.identity.key(url)
        if key is None:
            raise not_a_media_url(field, self._identity.hosts)
        return key

    async def swap(self, body: bytes, x: Exchange) -> bytes:
        """The body with links to cached files; files without a copy are queued. The same object where nothing changed."""
        result = await self._swapped(body, self.public_root(x.entry), x.account.id if x.account else None)
        x.notes.swapped += result.count
        return result.body

    async def swap_own(self, body: bytes, base_url: str, account_id: str) -> bytes:
        """As `swap`, for an answer of ours to a client that reaches the gateway at `base_url`."""
        if not self.config.media.enabled:
            return body
        return (await self._swapped(body, self.public_root(None, base_url), account_id)).body

    async def _swapped(self, body: bytes, root: str, account_id: str | None) -> swapping.Swapped:
        self._refresh()
        found = self._scanner.find(body)
        if not found:
            return swapping.Swapped(body)
        keys = list({f.text for f in found})
        if len(keys) <= INLINE_KEYS:
            copies = self.files.index.get_many(keys)
        else:
            copies = await asyncio.to_thread(self.files.index.get_many, keys)
        ends = self.signer.default_end()
        links = {key: self._link(root, copy, ends) for key, copy in copies.items()}
        result = swapping.put(body, found, links)
        self.files.used(copies)
        if result.missing:
            self.filler.seen(result.missing, account_id)
        return result

    def _link(self, root: str, copy: Copy, ends: int) -> str:
        if copy.object is not None and self.objects is not None:
            return self.objects.link(copy)
        return root + self.path(copy, ends=ends)

    def remote(self, copy: Copy, seconds: float | None) -> str:
        """The object store's own URL of a copy; None: as long as presigned URLs work."""
        assert self.objects is not None
        return self.objects.link(copy, seconds=seconds)

    def link(self, copy: Copy, base_url: str) -> str:
        """The URL that replaces a cached file's, for a client that reaches the gateway at `base_url`."""
        return self._link(self.public_root(None, base_url), copy, self.signer.default_end())

    def is_own_link(self, url: str, base_url: str) -> bool:
        """Whether the URL has the form of a link to a cached file here. Who opens it learns whether it is genuine."""
        root = self.public_root(None, base_url)
        return url.startswith(root) and self.signer.parse(url[len(root) :]) is not None

    def path(self, copy: Copy, *, ends: int | None = None, public: bool = False) -> str:
        return self.signer.path(copy.id, copy.salt, copy.name, ends=ends, public=public)

    def public_root(self, entry: Entry | None, base_url: str | None = None) -> str:
        """Root of links to cached files: config's, else the gateway's own as this client reaches it."""
        if self.config.media.public_url and self.objects is None:
            return self.config.media.public_url.rstrip("/")
        base = self.config.public_url or base_url or _own_root(entry, self.config.proxy.api_hosts)
        return base.rstrip("/") + ("" if self.config.mounts.cdn == "/" else self.config.mounts.cdn)

    def stream(
        self, request: Request, ticket: Ticket, *, timeout_s: float | None = None, method: str | None = None
    ) -> UpstreamRequest:
        """The gateway's hop to the streaming endpoint."""
        headers = _passed(request)
        headers.set(TICKET, ticket.seal(self.services.secrets))
        wait_s = timeout_s or self.config.upstream.read_timeout_s
        return UpstreamRequest(
            method or request.method, f"{self.server.base}/stream", headers, timeout_s=wait_s, internal=True
        )

    async def cdn(self, x: Exchange) -> Response | UpstreamRequest:
        """`https://cdn.fansapi.com/…`, or the mount `/cdn`: the bearer of a link needs no key."""
        assert x.path is not None
        return self._hop(x.request, x.path.canonical)

    async def cdn_host(self, x: Exchange) -> Response | UpstreamRequest:
        """A regular proxy's client asks a CDN host: from the cache, else streamed through and saved."""
        target = x.request.target
        if target.startswith("http"):
            target = "/" + target.split("/", 3)[3] if target.count("/") > 2 else "/"
        key = self.key(f"{x.entry.scheme}://{x.entry.host}:{x.entry.port}{target}", "url")
        copy = self.copy_of(key)
        if copy is not None:
            return self._hop(x.request, self.path(copy))
        if x.request.method not in ("GET", "HEAD"):
            raise no_such_file()
        account = x.account.id if x.account else None
        return self.stream(x.request, Ticket(key.text, key.url, ticket_end(), field="url", account_id=account))

    def copy_of(self, key: MediaKey) -> Copy | None:
        """The copy of a file, with its bytes where they should be. It counts as used."""
        copy = self.files.index.get(key.text)
        if copy is None or self.files.lost(key.text, copy):
            return None
        self.files.used([key.text])
        return copy

    async def health(self) -> str | None:
        """Why fewer files are cached than could be; None when all is well."""
        if self.files.index.problem is not None:
            return self.files.index.problem
        if self.filler.paused:
            free, least = self.files.free_bytes(), self.files.min_free_bytes
            return f"{free} bytes free, below `media.min_free_bytes` {least}; filling is paused, serving goes on"
        return self.transfers.trouble

    def _hop(self, request: Request, path: str) -> UpstreamRequest:
        wait_s = self.config.upstream.read_timeout_s
        return UpstreamRequest(
            request.method, self.server.base + path, _passed(request), timeout_s=wait_s, internal=True
        )

    def _refresh(self) -> None:
        rules = self._plan().media or NO_MEDIA
        if rules is not self._rules:
            self._identity = MediaIdentity(rules.hosts, rules.identity_params)
            self._scanner = swapping.Scanner(self._identity)
            self._rules = rules

    async def _upkeep(self) -> None:
        """Write down what was used, every few seconds; tidy up every hour."""
        next_sweep = time.monotonic()
        while True:
            try:
                await asyncio.to_thread(self.files.write_uses)
                if time.monotonic() >= next_sweep:
                    next_sweep = time.monotonic() + SWEEP_S
                    await asyncio.to_thread(self.files.sweep)
                    await self.uploads.tidy()
                    await self.filler.forget()
            except Exception as e:
                log.warning("media upkeep failed", error=f"{type(e).__name__}: {e}")
            await asyncio.sleep(TOUCH_S)


@asynccontextmanager
async def opened(services: Services) -> AsyncIterator[None]:
    """The service, in `services.parts` while the block runs (`addons.assemble`)."""
    media = MediaService(services, services.parts["plan"])
    try:
        await media.start()
        yield
    finally:
        await media.close()


def _own_root(entry: Entry | None, api_hosts: Sequence[str]) -> str:
    """How the client of `entry` reaches this gateway's own routes."""
    if entry is None:
        return ""
    if entry.kind in ("proxy_upstream", "proxy_cdn"):
        return f"https://{api_hosts[0]}" if api_hosts else ""
    host = f"[{entry.host}]" if ":" in entry.host else entry.host
    usual = {"http": 80, "https": 443}.get(entry.scheme)
    return f"{entry.scheme}://{host}" + ("" if entry.port == usual else f":{entry.port}")


def _passed(request: Request) -> Headers:
    return Headers([(n, v) for n in PASSED_UP if (v := request.headers.get(n)) is not None])
