"""Deadlines of upstream requests and ages of idle upstream connections, for one client connection."""

from __future__ import annotations

import time

from mitmproxy.connection import Connection

_GRAIN_S = 0.02


class Timers:
    """Monotonic times. One wake-up serves all deadlines of a client connection; it is armed only for an earlier one."""

    def __init__(self, keepalive_s: float) -> None:
        self.keepalive_s = keepalive_s
        self.deadlines: dict[int, float] = {}
        self.idle: dict[Connection, float] = {}
        self._armed_until = float("inf")

    def touch(self, stream_id: int, timeout_s: float) -> None:
        """The stream has `timeout_s` from now."""
        self.deadlines[stream_id] = time.monotonic() + timeout_s

    def release(self, stream_id: int) -> None:
        self.deadlines.pop(stream_id, None)

    def idle_from_now(self, connection: Connection) -> None:
        self.idle[connection] = time.monotonic()

    def arm(self) -> float | None:
        """Seconds until a wake-up that is not under way yet, or None."""
        if not self.deadlines and not self.idle:
            return None
        due = min(self.deadlines.values(), default=float("inf"))
        if self.idle:
            due = min(due, min(self.idle.values()) + self.keepalive_s)
        if due >= self._armed_until:
            return None
        self._armed_until = due
        return max(due - time.monotonic(), 0.0) + _GRAIN_S

    def woke(self) -> None:
        self._armed_until = float("inf")

    def overdue(self) -> list[int]:
        """Streams past their deadline; they are forgotten."""
        now = time.monotonic()
        late = [sid for sid, due in self.deadlines.items() if due <= now]
        for sid in late:
            del self.deadlines[sid]
        return late

    def expired(self) -> list[Connection]:
        """Connections idle for longer than the keep-alive; they are forgotten."""
        limit = time.monotonic() - self.keepalive_s
        old = [c for c, since in self.idle.items() if since <= limit]
        for connection in old:
            del self.idle[connection]
        return old
