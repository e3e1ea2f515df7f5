"""Deadlines and idle connections of one client connection."""

from __future__ import annotations

import time

import pytest
from mitmproxy.connection import Server

from addons.engine.timers import Timers


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_one_wakeup_serves_all(clock: list[float]) -> None:
    """A wake-up is armed for the first deadline, and again only for an earlier one."""
    timers = Timers(30.0)
    assert timers.arm() is None
    timers.touch(1, 10.0)
    assert timers.arm() == pytest.approx(10.02)
    timers.touch(3, 20.0)
    assert timers.arm() is None
    timers.touch(5, 1.0)
    assert timers.arm() == pytest.approx(1.02)


def test_overdue_streams(clock: list[float]) -> None:
    """A stream is overdue once; touching it gives it more time."""
    timers = Timers(30.0)
    timers.touch(1, 5.0)
    timers.touch(3, 5.0)
    clock[0] += 4.0
    timers.touch(3, 5.0)
    clock[0] += 2.0
    assert timers.overdue() == [1]
    assert timers.overdue() == []
    timers.release(3)
    clock[0] += 100.0
    assert timers.overdue() == []


def test_idle_connections(clock: list[float]) -> None:
    """A connection expires after the keep-alive, and a wake-up is armed for that."""
    timers, server = Timers(30.0), Server(address=("a", 1))
    timers.idle_from_now(server)
    assert timers.arm() == pytest.approx(30.02)
    clock[0] += 29.0
    assert timers.expired() == []
    clock[0] += 1.5
    assert timers.expired() == [server]
    timers.woke()
    assert timers.arm() is None
