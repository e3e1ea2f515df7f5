"""Spools: appended lines reach the store in order, once, and a store that is away shows in the health report."""

from __future__ import annotations

from pathlib import Path

import pytest

from addons.config import Config
from addons.pipeline.services import Services
from addons.spool import files, writer
from addons.spool.files import Lines
from addons.spool.writer import Spool
from ofapi_store.engine import Store
from ofapi_store.errors import StoreUnavailable
from ofapi_store.queries import spools
from ofapi_store.secrets import SecretBox


class Kept:
    """What was stored, by a spool of its own."""

    def __init__(self, store: Store, secret_box: SecretBox, folder: Path) -> None:
        self.services = Services(Config.build({}), store, secret_box)
        self.spool = Spool(self.services, folder, ".lines", 0.01, self.take)
        self.lines: list[bytes] = []
        self.away = False

    async def take(self, lines: Lines) -> None:
        if self.away:
            raise StoreUnavailable("the database is away")
        if b"bad" in lines.lines:
            raise ValueError("no database takes this")
        now = self.services.clock()
        if await self.services.store.awrite(spools.claim, lines.name, lines.start, lines.end, now=now):
            self.lines += lines.lines


@pytest.fixture
def kept(store: Store, secret_box: SecretBox, tmp_path: Path) -> Kept:
    return Kept(store, secret_box, tmp_path / "spool")


async def test_lines_are_stored_in_order_over_full_files(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full file is followed by a new one; stored files go, and the notes about them too."""
    monkeypatch.setattr(files, "ROTATE_BYTES", 100)
    await kept.spool.start()
    wanted = [b"line %03d" % n for n in range(100)]
    for line in wanted:
        kept.spool.append(line + b"\n")
    (first, *_) = files.found(tmp_path / "spool", ".lines")
    assert kept.spool.owns(first.name) and not kept.spool.owns("other.lines")
    await kept.spool.flush()
    assert kept.lines == wanted
    await kept.spool.close()
    assert files.found(tmp_path / "spool", ".lines") == []
    with kept.services.store.read() as conn:
        assert spools.position(conn, first.name) == 0


async def test_one_line_that_is_refused_is_left_out_alone(kept: Kept) -> None:
    """Its neighbours are stored."""
    for line in (b"a\n", b"bad\n", b"c\n"):
        kept.spool.append(line)
    await kept.spool.flush()
    kept.spool.append(b"d\n")
    await kept.spool.close()
    assert kept.lines == [b"a", b"c", b"d"]


async def test_lines_that_wait_too_long_are_a_reason_to_be_degraded(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The health report says how much waits and where, until it is stored; nothing is lost meanwhile."""
    monkeypatch.setattr(writer, "BEHIND_S", 0.0)
    check = kept.services.parts["health"]["spool lines"]
    assert await check() is None
    kept.away = True
    kept.spool.append(b"a\n")
    with pytest.raises(StoreUnavailable):
        await kept.spool.flush()
    assert f"2 bytes in {tmp_path / 'spool'} wait for the store" in await check()
    kept.away = False
    await kept.spool.close()
    assert (kept.lines, await check()) == ([b"a"], None)
