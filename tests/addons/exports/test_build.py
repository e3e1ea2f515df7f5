"""The building thread: batches in, a whole file or none out."""

from __future__ import annotations

import asyncio
import csv
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from addons.exports.build import Progress, Stopped, watched, write_file


def rows(count: int) -> Iterator[list[tuple[int]]]:
    for n in range(0, count, 10):
        yield [(i,) for i in range(n, min(count, n + 10))]


@pytest.mark.parametrize(("most", "want"), [(None, 25), (7, 7), (10, 10), (100, 25)])
def test_writes_what_is_asked_for(tmp_path: Path, most: int | None, want: int) -> None:
    """`most` bounds the rows of the file."""
    final, progress = tmp_path / "x.csv", Progress()
    assert write_file(final, ["n"], rows(25), progress, most=most) == want == progress.rows
    with final.open(encoding="utf-8-sig", newline="") as file:
        assert [row[0] for row in csv.reader(file)] == ["n", *map(str, range(want))]


@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
def test_told_to_stop_it_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    """Between two batches."""
    progress = Progress()

    def stops() -> Iterator[list[tuple[int]]]:
        yield [(1,)]
        progress.stop.set()
        yield [(2,)]

    with pytest.raises(Stopped):
        write_file(tmp_path / f"x.{suffix}", ["n"], stops(), progress)
    assert list(tmp_path.iterdir()) == []


async def test_cancelled_the_thread_ends_first() -> None:
    """Who cancels may rely on it: nothing is written afterwards."""
    progress, ended = Progress(), threading.Event()

    def work() -> None:
        progress.stop.wait(5)
        ended.set()
        raise Stopped

    async def tell(_: int) -> None:
        return None

    task = asyncio.create_task(watched(work, progress, tell))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_tell_hears_the_rows_and_may_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second; what it raises ends the thread and is raised."""
    monkeypatch.setattr("addons.exports.build.TELL_S", 0.01)
    progress, heard = Progress(rows=3), []

    async def tell(count: int) -> None:
        heard.append(count)
        raise Stopped

    with pytest.raises(Stopped):
        await watched(lambda: progress.stop.wait(5), progress, tell)
    assert heard == [3]
