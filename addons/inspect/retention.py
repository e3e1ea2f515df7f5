"""Bounds on the flows that mitmweb keeps: count, bytes of bodies, age. Flows that a person marked stay."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from mitmproxy import ctx, flow, http
from mitmproxy.addons.view import View

from addons.inspect.trace import MARKERS

if TYPE_CHECKING:
    from addons.config.serving import Retention as Limits

SWEEP_S = 5.0
SLACK = 50
_OURS = frozenset(MARKERS.values())


def size_of(kept: flow.Flow) -> int:
    """Bytes of bodies that a flow holds."""
    if not isinstance(kept, http.HTTPFlow):
        return 0
    bodies = (kept.request.raw_content, kept.response.raw_content if kept.response else None)
    return sum(len(b) for b in bodies if b)


class Retention:
    """Removes the oldest finished flows from mitmweb's view."""

    name = "ofapi-retention"

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._bytes = 0
        self._task: asyncio.Task[None] | None = None

    def running(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._sweeps())

    def done(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def response(self, kept: http.HTTPFlow) -> None:
        self._account(kept)

    def error(self, kept: http.HTTPFlow) -> None:
        self._account(kept)

    def _account(self, kept: http.HTTPFlow) -> None:
        self._bytes += size_of(kept) - self._sizes.pop(kept.id, 0)
        self._sizes[kept.id] = size_of(kept)
        if len(self._sizes) > self.limits.max_flows + SLACK or self._bytes > self.limits.max_bytes * 1.05:
            self.sweep()

    async def _sweeps(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self.sweep()

    def sweep(self) -> int:
        """Remove what is over the limits, oldest first; returns how many flows went."""
        view = ctx.master.addons.get("view")
        if not isinstance(view, View):
            return 0
        oldest = time.time() - self.limits.max_age_s
        gone: list[flow.Flow] = []
        count, size = len(self._sizes), self._bytes
        for flow_id in list(self._sizes):
            kept = view.get_by_id(flow_id)
            if kept is None:  # cleared in the browser
                size -= self._sizes[flow_id]
                self._forget(flow_id)
                count -= 1
                continue
            over = count > self.limits.max_flows or size > self.limits.max_bytes
            if not over and kept.timestamp_created >= oldest:
                break
            if kept.marked and kept.marked not in _OURS:
                continue
            count -= 1
            size -= self._sizes[flow_id]
            self._forget(flow_id)
            gone.append(kept)
        for kept in gone:
            view.remove([kept])  # one by one: for several it writes a line into the event log
        return len(gone)

    def _forget(self, flow_id: str) -> None:
        self._bytes -= self._sizes.pop(flow_id)
