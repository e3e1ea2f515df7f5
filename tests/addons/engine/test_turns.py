"""Turns: connections with events are served in rounds, and nobody keeps the event loop to himself."""

from __future__ import annotations

import asyncio

import pytest

from addons.engine import turns as turns_module
from addons.engine.turns import Turns, turns_of


class Connection:
    """Has `events` events; notes each that is served."""

    def __init__(self, name: str, events: int, seen: list[str]) -> None:
        self.name, self.left, self.seen = name, events, seen

    def turn(self) -> bool:
        self.left -= 1
        self.seen.append(self.name)
        return self.left > 0


async def test_connections_take_turns() -> None:
    """Each round serves one event of every connection that waits, in the order in which they came."""
    seen: list[str] = []
    turns = Turns(asyncio.get_running_loop())
    for name, events in (("a", 3), ("b", 1), ("c", 2)):
        turns.add(Connection(name, events, seen))
    assert seen == []
    await asyncio.sleep(0)
    assert "".join(seen) == "abcaca"


@pytest.mark.parametrize("connections", [1, 3])
async def test_busy_connections_let_the_loop_go_on(connections: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """After SLICE_S the loop gets its turn, in the middle of a round too; nobody is served twice before the others once."""
    seen: list[str] = []
    monkeypatch.setattr(turns_module, "SLICE_S", 4)
    turns = Turns(asyncio.get_running_loop(), timer=lambda: len(seen))
    for at in range(connections):
        turns.add(Connection(str(at), 12, seen))
    between = []
    for _ in range(3 * connections + 1):
        await asyncio.sleep(0)
        between.append(len(seen))
    assert between == [*range(4, 12 * connections + 1, 4), 12 * connections]
    assert seen == [str(at) for at in range(connections)] * 12


async def test_one_that_had_its_turn_can_come_again() -> None:
    """A connection that had nothing left is served again when it is added again, also while others are served."""
    seen: list[str] = []
    turns = Turns(asyncio.get_running_loop())
    turns.add(Connection("a", 1, seen))
    await asyncio.sleep(0)
    turns.add(Connection("b", 1, seen))
    turns.add(Connection("a", 1, seen))
    await asyncio.sleep(0)
    assert "".join(seen) == "aba"


def test_each_loop_has_its_own() -> None:
    """A loop that ended with work undone does not hold up the next one."""

    async def leave_undone() -> Turns:
        turns = turns_of(asyncio.get_running_loop())
        turns.add(Connection("old", 1, []))
        return turns

    async def serve() -> tuple[Turns, list[str]]:
        seen: list[str] = []
        turns = turns_of(asyncio.get_running_loop())
        turns.add(Connection("new", 1, seen))
        await asyncio.sleep(0)
        return turns, seen

    first = asyncio.run(leave_undone())
    second, seen = asyncio.run(serve())
    assert first is not second
    assert seen == ["new"]
