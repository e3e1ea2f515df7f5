"""Bodies that pass by fill the store, after the answer, once, and none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace

import pytest
from sqlalchemy import select

from addons.pipeline.exchange import Edit
from addons.pipeline.metrics import Metrics
from addons.pipeline.observe import Observer, Sight
from ofapi_store.models.observed import Fan
from tests.addons.pipeline.harness import Bench, json_answer

PAGE = {"list": [{"id": 5, "username": "a", "name": "A"}, {"id": 6, "username": "b", "name": "B"}], "hasMore": False}


def fans(bench: Bench) -> list[tuple[str, str]]:
    with bench.store.read() as conn:
        return [tuple(map(str, r)) for r in conn.execute(select(Fan.fan_id, Fan.username).order_by(Fan.fan_id))]  # type: ignore[misc]


async def test_rows_come_from_upstreams_body_not_from_the_edited_one(both: Bench) -> None:
    """And both dialects observe the same."""
    both.upstream = lambda _: json_answer(PAGE)
    got = await both.api("{a}/fans/active")
    assert any(isinstance(e, Edit) for e in got.exchange.edits)
    assert fans(both) == [("5", "a"), ("6", "b")]


@pytest.mark.parametrize("status", [401, 404, 500])
async def test_errors_are_not_observed(bench: Bench, status: int) -> None:
    """Only 2xx bodies."""
    bench.upstream = lambda _: json_answer(PAGE, status)
    await bench.raw("{a}/fans/active")
    assert fans(bench) == []


def sight(n: int, size: int = 10) -> Sight:
    return Sight("t", "a", SimpleNamespace(id="r"), {}, str(n).encode().ljust(size), 0.0)


async def test_the_same_body_within_a_minute_is_taken_once() -> None:
    """By account, rule, parameters and bytes."""
    batches: list[Sequence[Sight]] = []

    async def ingest(batch: Sequence[Sight]) -> int:
        batches.append(batch)
        return 1

    observer = Observer(ingest, Metrics())
    for n in (1, 1, 2, 1):
        await observer.see(sight(n))
    await observer.flush()
    assert sum(len(b) for b in batches) == 2
    await observer.close()


async def test_who_waits_for_what_was_seen_waits_for_nothing_later() -> None:
    """Traffic that never ends holds nobody up: flush ends with the last body that was seen before it."""
    stored: list[Sight] = []

    async def ingest(batch: Sequence[Sight]) -> int:
        stored.extend(batch)
        await observer.see(sight(1000 + len(stored)))  # one more comes with each batch
        await asyncio.sleep(0)
        return len(batch)

    observer = Observer(ingest, Metrics())
    await observer.see(sight(1))
    await asyncio.wait_for(observer.flush(), 5)
    assert sight(1) in stored
    observer._ingest = _nothing
    await observer.close()


async def _nothing(_: Sequence[Sight]) -> int:
    return 0


async def test_a_full_queue_makes_answered_exchanges_wait_and_drops_nothing() -> None:
    """Memory is bounded by bytes; everything is stored in the end."""
    stored: list[Sight] = []
    held: list[int] = []

    async def ingest(batch: Sequence[Sight]) -> int:
        held.append(sum(len(s.body) for s in batch))
        await asyncio.sleep(0.001)
        stored.extend(batch)
        return len(batch)

    observer = Observer(ingest, Metrics(), max_bytes=1000)
    await asyncio.gather(*(observer.see(sight(n, 100)) for n in range(100)))
    await observer.close()
    assert len(stored) == 100
    assert max(held) <= 1000


async def test_a_body_over_the_whole_queue_is_still_taken() -> None:
    """Alone."""
    stored: list[Sight] = []

    async def ingest(batch: Sequence[Sight]) -> int:
        stored.extend(batch)
        return 1

    observer = Observer(ingest, Metrics(), max_bytes=10)
    await observer.see(sight(1, 100))
    await observer.see(sight(2, 100))
    await observer.flush()
    assert len(stored) == 2
    await observer.close()


async def test_a_busy_store_is_tried_again_and_one_bad_body_spoils_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that never fits is stored body by body."""
    monkeypatch.setattr("addons.pipeline.observe.RETRY_S", (0.0, 0.0))
    stored: list[bytes] = []

    async def ingest(batch: Sequence[Sight]) -> int:
        if any(s.body.startswith(b"1 ") for s in batch):
            raise OSError("locked")
        stored.extend(s.body for s in batch)
        return len(batch)

    metrics = Metrics()
    observer = Observer(ingest, metrics)
    await asyncio.gather(*(observer.see(sight(n)) for n in range(3)))
    await observer.flush()
    assert sorted(b[:1] for b in stored) == [b"0", b"2"]
    assert b'outcome="failed"} 1.0' in metrics.render()
    await observer.close()


async def test_a_store_that_takes_nothing_costs_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that the store is down for is given up whole; what waits for room too long is left out; both are counted,
    and the same bodies are taken when they come again."""
    monkeypatch.setattr("addons.pipeline.observe.RETRY_S", (0.0,))
    monkeypatch.setattr("addons.pipeline.observe.INGEST_S", 0.2)
    monkeypatch.setattr("addons.pipeline.observe.ROOM_S", 0.01)
    down, tries, stored = True, 0, 0

    async def ingest(batch: Sequence[Sight]) -> int:
        nonlocal tries, stored
        tries += 1
        if down:
            await asyncio.sleep(60)
        stored += len(batch)
        return len(batch)

    metrics = Metrics()
    observer = Observer(ingest, metrics, max_bytes=250)
    await asyncio.gather(*(observer.see(sight(n, 100)) for n in range(4)))
    await observer.flush()
    assert tries == 2
    counted = metrics.render()
    assert b'outcome="failed"} 2.0' in counted
    assert b'outcome="dropped"} 2.0' in counted
    down = False
    for n in range(4):
        await observer.see(sight(n, 100))
        await observer.flush()
    assert stored == 4
    await observer.close()


async def test_what_follows_from_rows_is_written_with_them(bench: Bench) -> None:
    """`on_observed` runs in the transaction that stored the rows."""
    seen: list[tuple[str, int]] = []
    bench.services.parts["on_observed"] = lambda conn, found, result: seen.append((found.table, result.stored))
    bench.upstream = lambda _: json_answer(PAGE)
    await bench.raw("{a}/fans/active")
    assert seen == [("fans", 2)]
