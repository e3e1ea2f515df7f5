"""What the stages of the gateway work with, and how much of it other parts of the program provide."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from addons.compute.api import Handler, Selector
    from addons.config import Config
    from addons.pipeline.auth import CachedDirectory
    from addons.pipeline.credits import Meter, Prices
    from addons.pipeline.exchange import Exchange, Response, UpstreamRequest
    from addons.pipeline.idempotency import Replays
    from addons.pipeline.limits import RateLimiter
    from addons.pipeline.metrics import Metrics
    from addons.pipeline.mounts import MountTable
    from addons.pipeline.observe import Observer
    from addons.pipeline.plan import Plan
    from addons.pipeline.services import Services
    from addons.pipeline.sessions import Sessions
    from addons.pipeline.touches import Touches
    from addons.pipeline.upstream import Signer


class BodyEditor(Protocol):
    """Runs the steps of a rule on a body (the runner)."""

    async def response(self, x: Exchange, body: bytes) -> bytes:
        """Upstream's body after `steps`, in the envelope dialect after `present.steps` too."""
        ...

    async def request(self, x: Exchange, body: bytes) -> bytes:
        """The client's JSON body after the rule's `request` steps."""
        ...


PublicHandler = Callable[["Exchange"], Awaitable["Response | UpstreamRequest"]]
"""Answers a mount without API keys. `services.parts["mounts"]` maps `redirect`, `cdn`, `cdn_host`, `connect` and
`internal/<name>` to one; `x.path` is the path below the mount. An UpstreamRequest is a hop to our own file server."""

MediaSwap = Callable[[bytes, "Exchange"], Any]
"""`services.parts["media_swap"]`: the body with URLs of cached files swapped; the same object where nothing changed."""


@dataclass(slots=True)
class Parts:
    """Built once by `Gateway`; the stages get it as their first argument."""

    config: Config
    services: Services
    plan: Callable[[], Plan]
    mounts: MountTable
    directory: CachedDirectory
    limiter: RateLimiter
    meter: Meter
    prices: Prices
    metrics: Metrics
    observer: Observer
    replays: Replays
    sessions: Sessions
    touches: Touches
    editor: BodyEditor
    handlers: Mapping[str, Handler] = field(default_factory=dict)
    selectors: Mapping[str, Selector] = field(default_factory=dict)
    signer: Signer | None = None
