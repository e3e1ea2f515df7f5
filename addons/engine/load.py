"""The gateway inside a mitmproxy that somebody else started.

mitmdump -s addons/__init__.py --set ofapi_config=config.yaml --mode reverse:http://placeholder@8080 --mode regular@8081
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Sequence
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

import structlog
from mitmproxy import addonmanager, contentviews, ctx, exceptions, http

from addons.config import Config, ConfigError, load_config
from addons.engine import options as engine_options
from addons.engine.gateway import GatewayAddon
from addons.engine.launch import trusted_bundle
from addons.engine.patches import install
from addons.engine.policy import Hosts, Policy
from addons.engine.replay import Replay
from addons.engine.services import gateway_of, opened
from addons.inspect.contentview import OfapiView
from addons.inspect.logs import mask_records
from addons.inspect.observer import FlowObserver
from addons.inspect.retention import Retention

log = structlog.get_logger(__name__)

HELP = "Path of the gateway's config.yaml."


class ScriptedGateway(GatewayAddon):
    """Opens the gateway when mitmproxy starts; requests wait until it is open."""

    def __init__(self) -> None:
        super().__init__(None, Policy(), Hosts(frozenset(), frozenset()), observer=FlowObserver())  # type: ignore[arg-type]
        self.config: Config | None = None
        self.replay: Replay | None = None
        self.addons: list[Any] = []
        self._starting: asyncio.Task[None] | None = None
        self._ends = AsyncExitStack()

    def load(self, loader: addonmanager.Loader) -> None:
        loader.add_option("ofapi_config", str, "config.yaml", HELP)

    def configure(self, updated: set[str]) -> None:
        if "ofapi_config" not in updated:
            return
        if self._starting is not None:
            raise exceptions.OptionsError("ofapi_config is read at start; restart mitmproxy to change it")
        try:
            self.config = load_config(ctx.options.ofapi_config)
        except ConfigError as e:
            raise exceptions.OptionsError(f"ofapi_config: {e}") from e
        mask_records()
        if not structlog.is_configured():  # into mitmproxy's own log, where secrets are masked
            structlog.configure(
                processors=[structlog.stdlib.add_log_level, structlog.processors.KeyValueRenderer(key_order=["event"])],
                logger_factory=structlog.stdlib.LoggerFactory(),
                wrapper_class=structlog.stdlib.BoundLogger,
            )
        self.policy = Policy.of(self.config)
        self.hosts = Hosts.of(self.config, self._media_hosts)
        install(self.policy)
        self._starting = asyncio.get_running_loop().create_task(self._start(self.config))

    def _media_hosts(self) -> Sequence[str]:
        return self.gateway.media_hosts()

    async def _start(self, config: Config) -> None:
        await asyncio.sleep(0)  # options must not change while they are being set
        config.proxy.ca_dir.mkdir(parents=True, exist_ok=True)
        ca_file = trusted_bundle(config.upstream.ca_file, config.proxy.ca_dir)
        engine_options.apply(ctx.options, engine_options.serving_options(self.policy, ca_file))
        contentviews.add(OfapiView())
        services = await self._ends.enter_async_context(opened(config))
        self.gateway = await self._ends.enter_async_context(gateway_of(services))
        host = urlsplit(config.upstream.base_url).hostname or ""
        assert self.observer is not None
        self.replay = Replay(self.gateway, self.policy, self.hosts, self.observer, host)
        if ctx.master.addons.get("view") is not None:
            ctx.master.addons.add(Retention(config.web.retention))

    async def running(self) -> None:
        """Wait for the gateway; what keeps it from opening ends mitmproxy with a sentence."""
        if self._starting is None:
            return
        try:
            await self._starting
        except Exception as e:
            log.error("the gateway does not open", error=str(e))
            ctx.master.shutdown()

    async def requestheaders(self, flow: http.HTTPFlow) -> None:
        if self._starting is not None:
            with contextlib.suppress(Exception):
                await asyncio.shield(self._starting)
        if flow.live or self.replay is None:
            await super().requestheaders(flow)
        else:
            await self.replay.begin(flow)

    async def response(self, flow: http.HTTPFlow) -> None:
        if flow.live or self.replay is None:
            await super().response(flow)
        else:
            await self.replay.finish(flow)

    async def request(self, flow: http.HTTPFlow) -> None:
        if flow.live:
            await super().request(flow)

    async def responseheaders(self, flow: http.HTTPFlow) -> None:
        if flow.live:
            await super().responseheaders(flow)

    def done(self) -> Awaitable[None]:  # type: ignore[override]
        return asyncio.ensure_future(self._close())

    async def _close(self) -> None:
        await super().done()
        await self._ends.aclose()


def load_addons() -> list[Any]:
    """What `addons/__init__.py` gives to mitmproxy."""
    return [ScriptedGateway()]
