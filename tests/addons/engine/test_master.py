"""Which addons run, and in which order."""

from __future__ import annotations

from typing import Any

from mitmproxy import options

from addons.engine.dispatch import CachedAddonManager
from addons.engine.master import GatewayMaster, GatewayWebMaster


class Ours:
    name = "ours"


def names(master: Any) -> list[str]:
    return [getattr(a, "name", type(a).__name__.lower()) for a in master.addons.chain]


async def test_only_what_a_gateway_needs() -> None:
    """Each addon costs time at every event: five are enough, ours before the choice of layers."""
    master = GatewayMaster(options.Options(), Ours())
    assert names(master) == ["core", "proxyserver", "ours", "nextlayer", "tlsconfig"]
    assert isinstance(master.addons, CachedAddonManager)


async def test_ours_comes_first_in_mitmweb() -> None:
    """The view and the savers see flows after us, without secrets; errorcheck may not end our process."""
    master = GatewayWebMaster(options.Options(), Ours())
    assert names(master)[0] == "ours"
    assert "view" in names(master)
    assert "errorcheck" not in names(master)
