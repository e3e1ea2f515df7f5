"""Hook dispatch with handlers looked up once behaves as mitmproxy's own."""

from __future__ import annotations

from typing import Any

import pytest
from mitmproxy import exceptions, hooks, master, options
from mitmproxy.proxy.layers.http import HttpRequestHook
from mitmproxy.test import tflow

from addons.engine.dispatch import CachedAddonManager


class Listener:
    def __init__(self, name: str, calls: list[str], error: Exception | None = None) -> None:
        self.name, self.calls, self.error = name, calls, error

    async def request(self, flow: Any) -> None:
        self.calls.append(f"{self.name}.request")
        if self.error:
            raise self.error

    def update(self, flows: Any) -> None:
        self.calls.append(f"{self.name}.update")


async def manager(*addons: Any) -> CachedAddonManager:
    owner = master.Master(options.Options())
    owner.addons = CachedAddonManager(owner)
    owner.addons.add(*addons)
    return owner.addons


async def test_order_and_update() -> None:
    """Handlers run in the order of the addons, async or not, and flow hooks end with an update."""
    calls: list[str] = []
    found = await manager(Listener("a", calls), Listener("b", calls))
    await found.handle_lifecycle(HttpRequestHook(tflow.tflow()))
    assert calls == ["a.request", "b.request", "a.update", "b.update"]


async def test_changes_are_seen() -> None:
    """Added and removed addons count from the next event on."""
    calls: list[str] = []
    first, second = Listener("a", calls), Listener("b", calls)
    found = await manager(first)
    await found.trigger_event(hooks.UpdateHook([]))
    found.add(second)
    found.remove(first)
    await found.trigger_event(hooks.UpdateHook([]))
    assert calls == ["a.update", "b.update"]
    found.clear()
    await found.trigger_event(hooks.UpdateHook([]))
    assert len(calls) == 2


@pytest.mark.parametrize(("error", "after"), [(ValueError("x"), True), (exceptions.AddonHalt(), False)])
async def test_errors(error: Exception, after: bool) -> None:
    """A handler that raises does not keep the next from running, but AddonHalt does."""
    calls: list[str] = []
    found = await manager(Listener("a", calls, error), Listener("b", calls))
    await found.trigger_event(HttpRequestHook(tflow.tflow()))
    assert ("b.request" in calls) is after
