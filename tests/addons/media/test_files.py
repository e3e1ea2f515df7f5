"""Files of the cache: whole or absent, stored once, evicted by use but never while they are being sent."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from addons.media import index
from addons.media.files import INDEX_ROOM, DiskFull, FileStore, TooLarge, is_full
from addons.media.index import Copy, MediaIndex
from addons.media.links import file_id


@pytest.fixture
def files(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "media", max_bytes=10_000, min_free_bytes=0)


def add(files: FileStore, key: str, data: bytes, used: float | None = None) -> Copy:
    part = files.part(file_id(key))
    part.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    copy = Copy(file_id(key), digest, len(data), "image/jpeg", "salt", time.time(), "x.jpg")
    files.adopt(key, copy, part)
    if used is not None:
        with sqlite3.connect(files.root / "index" / "cache.db") as db:
            db.execute("UPDATE Cache SET access_time = ? WHERE key = ?", (used, key))
        db.close()
    return copy


def test_equal_bytes_are_stored_once(files: FileStore) -> None:
    """Two keys with one content share a file; it goes with the last of them."""
    one, two = add(files, "a", b"same"), add(files, "b", b"same")
    assert files.path(one) == files.path(two)
    assert len(list(files.root.glob("blobs/??/*"))) == 1
    assert list(files.root.glob("parts/*")) == []
    assert files.remove("a")
    assert files.path(two).read_bytes() == b"same"
    assert files.remove("b")
    assert not files.path(two).exists()
    assert not files.remove("b")


def test_new_content_of_a_key_replaces_the_old(files: FileStore) -> None:
    """A key has one copy; bytes that nobody refers to any more are removed."""
    old, new = add(files, "a", b"old"), add(files, "a", b"new!")
    assert not files.path(old).exists()
    assert files.index.get("a") == new
    assert files.index.total_bytes() == 4


def test_many_keys_take_one_lookup(files: FileStore) -> None:
    """`get_many` finds all copies of a body, and only those."""
    copies = {f"k{i}": add(files, f"k{i}", str(i).encode()) for i in range(5)}
    assert files.index.get_many([f"k{i}" for i in range(2000)]) == copies
    assert files.index.get_many([]) == {}
    assert files.index.by_id(file_id("k3")) == ("k3", copies["k3"])
    assert files.index.by_id("0" * 32) is None


def test_the_index_holds_no_pickle(files: FileStore) -> None:
    """Keys and values are text; other types are refused, and a foreign row is an error, not code to run."""
    add(files, "a", b"x")
    with sqlite3.connect(files.root / "index" / "cache.db") as db:
        rows = db.execute("SELECT typeof(key), typeof(value), mode FROM Cache").fetchall()
        assert rows == [("text", "text", 1)]
        db.execute("UPDATE Cache SET mode = 4")
    db.close()
    with pytest.raises(TypeError):
        files.index._cache.set(("tuple",), Copy("i", "s", 1, "t", "s", 0.0))
    with pytest.raises(TypeError):
        files.index._cache.set("text", {"a": 1})
    with pytest.raises(ValueError, match="did not write"):
        files.index._cache.get("a")


def test_the_least_recently_used_go_first(files: FileStore) -> None:
    """Room is made by removing what was not used for longest."""
    now = time.time()
    for i in range(5):
        add(files, f"k{i}", bytes([i]) * 2000, used=now - 1000 + i)
    files.used(["k0"])
    files.make_room(2000 * 2)
    assert [k for k, _ in files.index.entries()] == ["k0", "k3", "k4"]
    assert files.index.total_bytes() == 6000
    assert len(list(files.root.glob("blobs/??/*"))) == 3


def test_a_use_counts_at_once(files: FileStore) -> None:
    """Also where a file was saved a moment ago, and in the order of uses, not of writing them down."""
    for name in "abc":
        add(files, name, name.encode() * 3000)
    for name in ("b", "a"):
        files.used([name])
    files.evict(3000)
    assert [k for k, _ in files.index.entries()] == ["a", "b"]
    files.evict(3000)
    assert [k for k, _ in files.index.entries()] == ["a"]
    other = MediaIndex(files.root / "index")
    before = other.oldest(1)[0][2]
    files.used(["a"])
    files.write_uses()
    assert other.oldest(1)[0][2] > before
    other.close()


def test_eviction_goes_on_through_files_of_one_time(files: FileStore) -> None:
    """Files that one answer showed were used at the same moment."""
    for i in range(450):
        add(files, f"k{i}", b"%03d" % i)
    with sqlite3.connect(files.root / "index" / "cache.db") as db:
        db.execute("UPDATE Cache SET access_time = 5")
    db.close()
    assert files.evict(400 * 3) == 400 * 3
    assert len(files.index) == 50


def test_a_file_that_is_being_sent_stays(files: FileStore) -> None:
    """Eviction passes by what someone reads, in whatever process, and takes the next."""
    now = time.time()
    copies = [add(files, f"k{i}", bytes([i]) * 4000, used=now - 1000 + i) for i in range(2)]
    code = "import sys, fcntl; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_SH); print('ok', flush=True); sys.stdin.read()"
    sender = subprocess.Popen(
        [sys.executable, "-c", code, files.path(copies[0])], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with sender:
        assert sender.stdout is not None
        assert sender.stdout.readline() == b"ok\n"
        assert files.evict(4000) == 4000
        assert files.path(copies[0]).exists()
        assert not files.path(copies[1]).exists()
        with files.open(copies[0]) as mine:
            assert files.evict(1) == 0
            assert mine.read() == bytes(4000)
        sender.communicate(b"")
    assert files.evict(1) == 4000


def test_more_than_fits_is_refused(files: FileStore) -> None:
    """A file larger than the cache is `TooLarge`, a disk without room `DiskFull`, and both remove nothing."""
    add(files, "a", b"x")
    with pytest.raises(TooLarge):
        files.make_room(10_001)
    full = FileStore(files.root, max_bytes=10_000, min_free_bytes=2**60)
    with pytest.raises(DiskFull) as caught:
        full.make_room(1)
    assert is_full(caught.value)
    assert full.full()
    assert full.stats().full
    assert files.index.get("a") is not None


def test_room_is_promised(files: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What running transfers have yet to write is no room for others; the index always keeps a little."""
    assert files.min_free_bytes == INDEX_ROOM
    monkeypatch.setattr(files, "free_bytes", lambda: INDEX_ROOM + 5000)
    assert files.has_room(5000)
    files.promise("one", 3000)
    assert files.has_room(2000)
    assert not files.has_room(2001)
    with pytest.raises(DiskFull):
        files.make_room(2001)
    files.promise("one", 0)
    assert files.has_room(5000)


def test_bytes_without_a_row_do_not_stay(files: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the index cannot be written, the file that was moved into place goes; one that others share does not."""
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL

    def fail(*_: object, **__: object) -> None:
        raise error

    add(files, "a", b"kept")
    monkeypatch.setattr(files.index._cache, "set", fail)
    for key, data in (("b", b"gone"), ("c", b"kept")):
        with pytest.raises(sqlite3.OperationalError) as caught:
            add(files, key, data)
        assert is_full(caught.value)
    assert [p.read_bytes() for p in files.root.glob("blobs/??/*")] == [b"kept"]


def test_a_copy_whose_bytes_are_gone_is_forgotten(files: FileStore) -> None:
    """Somebody removed the file: it is fetched again instead of being linked for ever."""
    copy = add(files, "a", b"x")
    assert not files.lost("a", copy)
    assert not files.lost("r", copy._replace(sha256="0" * 64, object="f/x"))
    files.path(copy).unlink()
    assert files.lost("a", copy)
    assert files.index.get("a") is None


@pytest.mark.parametrize("damage", ["rubbish", "cut"])
def test_a_damaged_index_begins_anew(files: FileStore, damage: str) -> None:
    """The cache is empty then, and works."""
    for i in range(50):
        add(files, f"k{i}", bytes([i]) * 50)
    files.index.close()
    path = files.root / "index" / "cache.db"
    path.write_bytes(b"rubbish" * 5000 if damage == "rubbish" else path.read_bytes()[:5000])
    again = FileStore(files.root, max_bytes=10_000, min_free_bytes=0)
    assert len(again.index) == 0
    copy = add(again, "new", b"x")
    assert again.index.get("new") == copy
    again.index.close()


def test_an_index_that_cannot_be_opened_is_empty(files: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk the gateway starts: nothing is cached or kept, and the index is as it was after that."""
    add(files, "a", b"x")
    files.index.close()
    real, refused = index._open, sqlite3.OperationalError("disk I/O error")
    refused.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE

    def opened(folder: Path) -> object:
        if folder == files.root / "index":
            raise refused
        return real(folder)

    monkeypatch.setattr(index, "_open", opened)
    full = FileStore(files.root, max_bytes=10_000, min_free_bytes=0)
    assert full.index.get_many(["a"]) == {}
    assert "make room" in (full.index.problem or "")
    with pytest.raises(OSError, match="make room") as caught:
        add(full, "b", b"y")
    assert is_full(caught.value)
    full.index.close()
    monkeypatch.undo()
    again = FileStore(files.root, max_bytes=10_000, min_free_bytes=0)
    assert [k for k, _ in again.index.entries()] == ["a"]
    again.index.close()


def test_an_index_that_goes_bad_holds_nothing(files: FileStore) -> None:
    """Readers find no copy, as if nothing were cached, and `problem` says why until it can be read again."""
    copy = add(files, "a", b"x")
    assert files.index.problem is None
    with sqlite3.connect(files.root / "index" / "cache.db") as db:
        db.execute("ALTER TABLE Cache RENAME TO Other")
    assert files.index.get_many(["a"]) == {}
    assert "no such table" in (files.index.problem or "")
    assert files.index.by_id(copy.id) is None
    with sqlite3.connect(files.root / "index" / "cache.db") as db:
        db.execute("ALTER TABLE Other RENAME TO Cache")
    db.close()
    assert files.index.get("a") == copy
    assert files.index.problem is None


def test_verify_drops_what_is_not_what_it_was(files: FileStore) -> None:
    """Missing and altered files are reported and forgotten, whole ones stay."""
    good, missing, altered = (add(files, k, k.encode() * 10) for k in "gma")
    files.path(missing).unlink()
    files.path(altered).write_bytes(b"b" * 10)
    bad: list[tuple[str, str]] = []
    assert files.verify(lambda key, copy, reason: bad.append((key, reason))) == 3
    assert sorted(bad) == [("a", "the bytes have changed"), ("m", "the file is missing")]
    assert [k for k, _ in files.index.entries()] == ["g"]
    assert files.path(good).exists()


def test_verify_reports_no_eviction(files: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes while it is being read again is not damaged."""
    add(files, "a", b"x")
    monkeypatch.setattr(files, "_problem", lambda copy: "the file is missing" if files.remove("a") else "")
    assert files.verify(lambda *bad: pytest.fail(str(bad))) == 1


def test_verify_asks_for_what_the_object_store_holds(files: FileStore) -> None:
    """Copies elsewhere are looked up there, not read."""
    for key in ("here", "gone"):
        files.note_remote(key, Copy(file_id(key), "0" * 64, 5, "image/jpeg", "s", 0.0, object=f"f/{key}"))
    bad: list[str] = []
    assert files.verify(lambda key, copy, reason: bad.append(reason), lambda copy: copy.object == "f/here") == 2
    assert bad == ["the object is missing"]
    assert [k for k, _ in files.index.entries()] == ["here"]


def test_sweep_removes_what_nobody_refers_to(files: FileStore) -> None:
    """Files left by a crash between rename and index go, those in use do not."""
    import os

    kept = add(files, "a", b"kept")
    orphan = files.root / "blobs" / "ff" / ("f" * 64)
    orphan.parent.mkdir()
    orphan.write_bytes(b"orphan")
    for path in (orphan, files.path(kept)):
        os.utime(path, (1, 1))
    assert files.sweep() == 1
    assert not orphan.exists()
    assert files.path(kept).exists()


def test_processes_share_the_index(files: FileStore) -> None:
    """What one process saves, another one finds."""
    copy = add(files, "a", b"x")
    other = MediaIndex(files.root / "index")
    assert other.get("a") == copy
    assert len(other) == 1
    other.close()
