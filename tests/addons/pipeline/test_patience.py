"""Reads of the store on the way of a request never wait long, nor again and again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from addons.pipeline.patience import PAUSE_S, PatientStore, Shared, StoreSlow
from ofapi_store.errors import SchemaOutdated, StoreUnavailable


class Db:
    """Answers, raises or hangs."""

    reads_inline = False

    def __init__(self) -> None:
        self.result: Any = 1
        self.reads = 0

    async def aread(self, _fn: Any, *_args: Any) -> Any:
        self.reads += 1
        if self.result == "hang":
            await asyncio.sleep(60)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


def nothing(_conn: Any) -> int:
    return 0


@pytest.fixture
def db() -> Db:
    return Db()


@pytest.fixture
def now() -> list[float]:
    return [100.0]


@pytest.fixture
def patient(db: Db, now: list[float], monkeypatch: pytest.MonkeyPatch) -> PatientStore:
    monkeypatch.setattr("addons.pipeline.patience.WAIT_S", 0.01)
    return PatientStore(db, timer=lambda: now[0])  # type: ignore[arg-type]


@pytest.mark.parametrize("failure", ["hang", StoreUnavailable("down")])
async def test_a_store_that_does_not_answer_is_left_alone_for_a_while(
    patient: PatientStore, db: Db, now: list[float], failure: Any
) -> None:
    """The first read waits and fails, those after it fail at once, and after the pause the store is asked again."""
    db.result = failure
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await patient.aread(nothing)
    assert db.reads == 1
    db.result = 7
    now[0] += PAUSE_S
    assert await patient.aread(nothing) == 7


async def test_a_caller_in_a_hurry_says_nothing_about_the_store(patient: PatientStore, db: Db) -> None:
    """A step with a deadline of a few milliseconds fails alone."""
    db.result = "hang"
    with pytest.raises(StoreSlow):
        await patient.within(0.001, nothing)
    db.result = 7
    assert await patient.aread(nothing) == 7


async def test_other_errors_are_told_and_change_nothing(patient: PatientStore, db: Db) -> None:
    """A missing table is no reason to wait."""
    db.result = SchemaOutdated("x")
    for _ in range(2):
        with pytest.raises(SchemaOutdated):
            await patient.aread(nothing)
    assert db.reads == 2


async def test_many_who_ask_for_one_thing_share_one_read() -> None:
    """Two hundred at once are one read; the next asks anew; an error is everybody's."""
    reads = 0

    async def read() -> int:
        nonlocal reads
        reads += 1
        await asyncio.sleep(0.01)
        if reads == 3:
            raise StoreUnavailable("x")
        return reads

    shared: Shared[str, int] = Shared()
    assert set(await asyncio.gather(*(shared.get("k", read) for _ in range(200)))) == {1}
    assert await shared.get("k", read) == 2
    ended = await asyncio.gather(*(shared.get("k", read) for _ in range(3)), return_exceptions=True)
    assert [type(e) for e in ended] == [StoreUnavailable] * 3


async def test_a_shared_read_goes_on_for_those_who_can_wait() -> None:
    """One that gives up, or is cancelled, does not end it for the others."""
    gate = asyncio.Event()

    async def read() -> int:
        await gate.wait()
        return 1

    shared: Shared[str, int] = Shared()
    patient = asyncio.create_task(shared.get("k", read))
    cancelled = asyncio.create_task(shared.get("k", read))
    with pytest.raises(StoreSlow):
        await shared.get("k", read, 0.01)
    cancelled.cancel()
    gate.set()
    assert await patient == 1
