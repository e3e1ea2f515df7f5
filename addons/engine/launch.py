"""Starting the gateway: services, rules, mitmproxy, and the way back."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from mitmproxy import contentviews, exceptions, master
from mitmproxy import options as moptions

from addons.config import SecretMissing
from addons.engine import options as engine_options
from addons.engine.gateway import GatewayAddon
from addons.engine.master import GatewayMaster, GatewayWebMaster
from addons.engine.options import FreePorts
from addons.engine.patches import install
from addons.engine.policy import Hosts, Policy
from addons.engine.running import Listening, StartFailed, started
from addons.engine.services import gateway_of, opened
from addons.inspect.contentview import OfapiView
from addons.inspect.logs import mask_records
from addons.inspect.observer import FlowObserver
from addons.inspect.retention import Retention
from addons.inspect.web import WebAccess, WebRefused, access
from addons.pipeline.problems import RulesInvalid
from ofapi_store.errors import StoreError

if TYPE_CHECKING:
    from addons.config import Config
    from addons.pipeline.gateway import Gateway

log = structlog.get_logger(__name__)

Ready = Callable[[Listening], None]


async def run(
    config: Config, *, web: bool = False, ready: Ready | None = None, stop: asyncio.Event | None = None
) -> None:
    """Serve until `stop` is set.

    Args:
        config: as loaded.
        web: mitmweb instead of mitmdump.
        ready: told the real addresses once everything answers.
        stop: default: until the task is cancelled.

    Raises StartFailed with a sentence that says what to do.
    """
    mask_records()
    stop = stop or asyncio.Event()
    async with AsyncExitStack() as ends:
        try:
            ports = ends.enter_context(FreePorts())
            door = _web_access(config, ports) if web else None
            confdir = config.proxy.ca_dir
            confdir.mkdir(parents=True, exist_ok=True)
            ca_file = trusted_bundle(config.upstream.ca_file, confdir)
            services = await ends.enter_async_context(opened(config))
            gateway = await ends.enter_async_context(gateway_of(services))
            engine = build(config, gateway, door, ca_file, ports)
            where = await ends.enter_async_context(started(engine))
        except RulesInvalid as e:
            raise StartFailed(f"the rules do not load; `ofapi rules check` shows this too:\n{e}") from e
        except (WebRefused, SecretMissing, StoreError, exceptions.OptionsError, OSError, ValueError) as e:
            raise StartFailed(str(e)) from e
        if door is not None:
            where = replace(where, web=(door.host, door.port), web_password=door.password)
        settle_heap()
        if ready is not None:
            ready(where)
        await stop.wait()


def settle_heap() -> None:
    """Take what start-up made out of garbage collection: it lives as long as the process.

    The thresholds stay as they are: flows are cycles, and collecting them later is memory that grows.
    """
    gc.collect()
    gc.freeze()


def build(
    config: Config, gateway: Gateway, door: WebAccess | None, ca_file: Path | None, ports: FreePorts
) -> master.Master:
    """The master with our addon and every option set. Needs a running event loop."""
    policy = Policy.of(config)
    install(policy)
    hosts = Hosts.of(config, gateway.media_hosts)
    opts = moptions.Options(confdir=str(config.proxy.ca_dir))
    values: dict[str, Any] = engine_options.serving_options(policy, ca_file)
    values["mode"] = engine_options.listen_modes(config, ports)
    if door is None:
        engine: master.Master = GatewayMaster(opts, GatewayAddon(gateway, policy, hosts))
    else:
        contentviews.add(OfapiView())
        addon = GatewayAddon(gateway, policy, hosts, observer=FlowObserver())
        engine = GatewayWebMaster(opts, addon, Retention(config.web.retention))
        values |= door.options()
    engine_options.apply(engine.options, values)
    return engine


def trusted_bundle(ca_file: Path | None, confdir: Path) -> Path | None:
    """A file with the usual authorities and the operator's own; None without one."""
    if ca_file is None:
        return None
    import certifi

    try:
        own = ca_file.read_bytes()
    except OSError as e:
        raise StartFailed(f"config upstream.ca_file: {e}; name a readable PEM file") from e
    bundle = confdir / "upstream-authorities.pem"
    bundle.write_bytes(Path(certifi.where()).read_bytes() + b"\n" + own)
    return bundle


def _web_access(config: Config, ports: FreePorts) -> WebAccess:
    secret = config.web.password
    port = config.web.port or ports.take(config.web.host)
    return access(config.web.host, port, secret.resolve() if secret is not None else None)


__all__ = ["Listening", "StartFailed", "build", "run"]
