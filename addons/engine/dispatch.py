"""Hook dispatch that looks up each event's handlers once.

mitmproxy asks every addon at every event of every flow; with few handlers that search is half of a request's time.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from mitmproxy import exceptions, flow, hooks
from mitmproxy.addonmanager import AddonManager, safecall

Handler = Callable[..., Any]


class CachedAddonManager(AddonManager):
    """mitmproxy's addon manager with the handlers kept per event, until the addons change."""

    def __init__(self, master: Any) -> None:
        AddonManager.__init__(self, master)
        self._handlers: dict[str, list[Handler]] = {}

    def clear(self) -> None:
        AddonManager.clear(self)
        self._handlers.clear()

    def register(self, addon: Any) -> Any:
        self._handlers.clear()
        return AddonManager.register(self, addon)

    def add(self, *addons: Any) -> None:
        AddonManager.add(self, *addons)
        self._handlers.clear()

    def remove(self, addon: Any) -> None:
        AddonManager.remove(self, addon)
        self._handlers.clear()

    def _handlers_of(self, event: hooks.Hook) -> list[Handler]:
        found = self._handlers.get(event.name)
        if found is None:
            found = [func for addon in self.chain for _, func in self._iter_hooks(addon, event)]
            self._handlers[event.name] = found
        return found

    async def handle_lifecycle(self, event: hooks.Hook) -> None:
        args = _args(event)
        await self._call(event, args)
        if isinstance(args[0], flow.Flow):
            update = hooks.UpdateHook([args[0]])
            if self._handlers_of(update):
                await self._call(update, update.args())

    async def trigger_event(self, event: hooks.Hook) -> None:
        await self._call(event, _args(event))

    async def _call(self, event: hooks.Hook, args: list[Any]) -> None:
        for handler in self._handlers_of(event):
            try:
                result = handler(*args)
                if result is not None and inspect.isawaitable(result):
                    await result
            except exceptions.AddonHalt:
                return
            except Exception:
                with safecall():  # logs it as mitmproxy does; entering it for each call costs more than some calls
                    raise


_FIELDS: dict[type[hooks.Hook], tuple[str, ...]] = {}


def _args(event: hooks.Hook) -> list[Any]:
    """As `event.args()`, which asks for the fields of its class each time."""
    names = _FIELDS.get(type(event))
    if names is None:
        names = _FIELDS[type(event)] = tuple(field.name for field in fields(event))  # type: ignore[arg-type]
    return [getattr(event, name) for name in names]
