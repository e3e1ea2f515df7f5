"""The store: whole writes, isolated failures in a group, errors that say what to do, nothing lost by kill -9."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, func, select, text
from sqlalchemy.exc import IntegrityError

from ofapi_store import dialects, testing
from ofapi_store.engine import Store
from ofapi_store.errors import SchemaOutdated, StoreClosed, StoreCorrupt, StoreError, StoreUnavailable, StoreUrlInvalid
from ofapi_store.queries import teams
from ofapi_store.queries.teams import TEAMS


def _create(conn: Connection, slug: str) -> str:
    return teams.create(conn, slug=slug).id


def _create_and_raise(conn: Connection, slug: str) -> str:
    teams.create(conn, slug=slug)
    raise ZeroDivisionError(slug)


def _count(conn: Connection) -> int:
    return int(conn.execute(select(func.count()).select_from(TEAMS)).scalar_one())


def test_write_is_whole_or_not_at_all(store: Store) -> None:
    """A block that raises leaves nothing; one that ends is there for the next read."""
    with pytest.raises(ZeroDivisionError), store.write() as conn:
        _create_and_raise(conn, "a")
    with store.write() as conn:
        _create(conn, "b")
    with store.read() as conn:
        assert [team.slug for team in teams.list_all(conn)] == ["b"]


async def test_failing_write_undoes_only_itself(store: Store) -> None:
    """Of many concurrent writes those that raise, or break a constraint, leave the others stored."""
    calls = [store.awrite(_create_and_raise if n % 3 == 0 else _create, f"t{n}") for n in range(60)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [isinstance(result, ZeroDivisionError) for result in results] == [n % 3 == 0 for n in range(60)]
    assert await store.aread(_count) == 40

    def duplicate(conn: Connection) -> None:
        conn.execute(text("INSERT INTO teams SELECT * FROM teams"))

    with pytest.raises(IntegrityError):
        await store.awrite(duplicate)
    assert await store.aread_slow(_count) == 40


async def test_waiting_writes_share_a_commit(sqlite_store: Store) -> None:
    """While one write holds the writer, those that come share the next transaction."""
    begun = 0
    entered, release = threading.Event(), threading.Event()
    writer = sqlite_store._engines.writer

    @event.listens_for(writer, "commit")
    def _committed(_conn: Connection) -> None:
        nonlocal begun
        begun += 1

    def hold(_conn: Connection) -> None:
        entered.set()
        assert release.wait(60)

    first = asyncio.ensure_future(sqlite_store.awrite(hold))
    await asyncio.to_thread(entered.wait, 60)
    others = [asyncio.ensure_future(sqlite_store.awrite(_create, f"t{n}")) for n in range(100)]
    await asyncio.sleep(0)
    release.set()
    await asyncio.gather(first, *others)
    assert begun == 2


async def test_future_resolves_after_commit(sqlite_store: Store, sqlite_url: str) -> None:
    """When `awrite` returns, another connection sees the row."""
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))
    for n in range(20):
        await sqlite_store.awrite(_create, f"t{n}")
        assert other.execute("SELECT count(*) FROM teams").fetchone() == (n + 1,)
    other.close()


async def test_cancelled_write_that_waits_is_not_made(sqlite_store: Store) -> None:
    """A caller that gave up before its turn has written nothing."""
    entered, release = threading.Event(), threading.Event()

    def hold(_conn: Connection) -> None:
        entered.set()
        assert release.wait(60)

    first = asyncio.ensure_future(sqlite_store.awrite(hold))
    await asyncio.to_thread(entered.wait, 60)
    waiting = asyncio.ensure_future(sqlite_store.awrite(_create, "never"))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    release.set()
    await first
    assert await sqlite_store.aread(_count) == 0


def test_write_inside_a_write_is_an_error_not_a_deadlock(sqlite_store: Store) -> None:
    """The same thread cannot wait for itself."""
    with pytest.raises(StoreError, match="pass the connection on"), sqlite_store.write(), sqlite_store.write():
        pass


def test_threads_write_and_read_at_once(store: Store) -> None:
    """Synchronous writes of many threads all arrive, each once."""

    def work(name: int) -> None:
        for n in range(10):
            with store.write() as conn:
                _create(conn, f"t{name}-{n}")
            with store.read() as conn:
                assert _count(conn) >= n

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as conn:
        assert _count(conn) == 80


async def test_hot_read_is_fast(sqlite_store: Store) -> None:
    """A read by key on SQLite takes well under 1 ms, on the event loop itself."""
    with sqlite_store.write() as conn:
        team = testing.make_team(conn)
    await sqlite_store.aread(teams.by_id, team.id)
    times = []
    for _ in range(200):
        start = time.perf_counter()
        await sqlite_store.aread(teams.by_id, team.id)
        times.append(time.perf_counter() - start)
    assert sorted(times)[100] < 0.001


def test_sqlite_is_set_up_for_concurrency(sqlite_store: Store) -> None:
    """Write-ahead log, foreign keys and the rest hold on every connection."""
    with sqlite_store.read() as reading, sqlite_store.write() as writing:
        for conn in (reading, writing):
            values = [conn.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "foreign_keys")]
            assert values == ["wal", 1]
            assert conn.exec_driver_sql("PRAGMA synchronous").scalar() == 1


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://root:geheim@host/x", "mysql"),
        ("oracle+cx_oracle://x", "oracle"),
        ("postgresql+asyncpg://x/y", "postgresql+asyncpg"),
        ("nonsense", "not a database URL"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
    ],
)
def test_unsupported_url_is_refused_in_words(url: str, words: str) -> None:
    """The message names what was given and what is expected, and shows no password."""
    with pytest.raises(StoreUrlInvalid, match="expected sqlite:///") as caught:
        Store.open(url)
    assert words in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_file_that_is_no_database(tmp_path: Path) -> None:
    """The error names the file and how to go on."""
    path = tmp_path / "x.db"
    path.write_bytes(b"this is not a database, it only looks like one" * 100)
    with pytest.raises(StoreCorrupt, match="restore it from a backup"):
        Store.open(f"sqlite:///{path}")


def test_damaged_file(sqlite_url: str) -> None:
    """A file that is damaged after its header is reported as such."""
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(StoreCorrupt, match="damaged"):
        Store.open(sqlite_url)


def test_folder_that_cannot_be_opened(tmp_path: Path) -> None:
    """A path that is a folder gives a sentence about folders and rights."""
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        Store.open(f"sqlite:///{tmp_path}")


def test_unreachable_postgresql(tmp_path: Path) -> None:
    """The error says where it looked, without the password."""
    with pytest.raises(StoreUnavailable, match="cannot be reached") as caught:
        Store.open(f"postgresql+psycopg://me:geheim@/x?host={tmp_path}")
    assert "geheim" not in str(caught.value)


async def test_locked_by_another_process(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that waits longer than the busy timeout ends as StoreUnavailable, and the next one works."""
    monkeypatch.setattr(dialects, "BUSY_TIMEOUT_MS", 50)
    opened = Store.open(sqlite_url)
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked by another process"):
        await opened.awrite(_create, "a")
    other.execute("ROLLBACK")
    other.close()
    await opened.awrite(_create, "a")
    opened.close()


def test_missing_tables_are_named(empty_store_url: str) -> None:
    """A store that was never migrated says which command to run."""
    opened = Store.open(empty_store_url)
    with pytest.raises(SchemaOutdated, match="ofapi db upgrade"), opened.read() as conn:
        teams.list_all(conn)
    opened.close()


def test_error_texts_hold_no_parameters(store: Store) -> None:
    """Values of a failed statement may be secrets, so the error does not show them."""
    with pytest.raises(IntegrityError) as caught, store.write() as conn:
        testing.make_account(conn, "team_none", login="topsecret")
    assert "topsecret" not in str(caught.value)


async def test_closed_store_refuses(store: Store) -> None:
    """What was submitted before `close` is stored; later calls are StoreClosed."""
    pending = [asyncio.ensure_future(store.awrite(_create, f"t{n}")) for n in range(20)]
    await asyncio.sleep(0)
    await asyncio.to_thread(store.close)
    assert len(await asyncio.gather(*pending)) == 20
    store.close()
    with pytest.raises(StoreClosed):
        await store.awrite(_create, "late")
    with pytest.raises(StoreClosed):
        await store.aread(_count)


def test_kill_loses_no_acknowledged_write(store_url: str, tmp_path: Path) -> None:
    """What a process printed after `awrite` returned is in the store after kill -9."""
    code = """
        import asyncio, sys
        from ofapi_store.engine import Store
        from ofapi_store.queries import teams

        def create(conn, slug):
            teams.create(conn, slug=slug)
            return slug

        async def one(store, worker):
            for n in range(100000):
                print(await store.awrite(create, f"t{worker}-{n}"), flush=True)

        async def main():
            store = Store.open(sys.argv[1])
            await asyncio.gather(*(one(store, worker) for worker in range(8)))

        asyncio.run(main())
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), store_url], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(200)]
        process.send_signal(signal.SIGKILL)
        said += process.stdout.readlines()
    acknowledged = {line.decode().strip() for line in said if line.endswith(b"\n")}
    opened = Store.open(store_url)
    with opened.read() as conn:
        stored = {team.slug for team in teams.list_all(conn)}
    opened.close()
    assert len(acknowledged) >= 200
    assert acknowledged <= stored
