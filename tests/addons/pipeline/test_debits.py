"""The journal of debits: durable at once, booked once, whatever happens to the process in between."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from addons.config import Config
from addons.pipeline.credits import Debit
from addons.pipeline.debits import SUFFIX, DebitSpool, opened
from addons.pipeline.services import Services
from addons.spool import files
from ofapi_store.engine import Store
from ofapi_store.errors import StoreUnavailable
from ofapi_store.queries import credits as ledger
from ofapi_store.secrets import SecretBox

REPO = Path(__file__).resolve().parents[3]
YEAR = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
AT = datetime(2026, 3, 1, 12, 30, 30, tzinfo=UTC)

KILLED = """
import os, sys
from pathlib import Path
from addons.spool import files
file = files.create(Path(sys.argv[1]), ".debits")
for line in sys.stdin.buffer:
    file.append(line)
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def services(store: Store, secret_box: SecretBox, tmp_path: Path) -> Services:
    config = Config.build({"credits": {"spool_dir": str(tmp_path / "credits"), "flush_interval_s": 0.01}})
    return Services(config, store, secret_box, clock=lambda: AT)


def booked(store: Store, team: str) -> tuple[int, list[tuple[str | None, int, int]]]:
    """Balance, and (endpoint, credits, requests)."""
    with store.read() as conn:
        rows = ledger.usage(conn, team, *YEAR, group_by="endpoint")
        return ledger.balance(conn, team), [(r.group, r.credits, r.requests) for r in rows]


async def test_debits_are_booked_in_batches(services: Services, team) -> None:
    """By team, account and operation, with what was given back; the meter hears of its own."""
    before, _ = booked(services.store, team.id)
    heard: list[tuple[dict[str, int], dict[str, int]]] = []
    async with opened(services):
        spool: DebitSpool = services.parts["debits"]
        spool.on_booked = lambda credits, balances: heard.append((dict(credits), dict(balances)))
        for _ in range(10):
            spool.append(Debit(team.id, "acct_a", "fans", 2))
        spool.append(Debit(team.id, "acct_a", "fans", -2, requests=-1))
        await spool.flush()
    assert booked(services.store, team.id) == (before - 18, [("fans", 18, 9)])
    assert heard == [({team.id: 18}, {team.id: before - 18})]
    assert files.found(services.config.credits.spool_dir, SUFFIX) == []


async def test_what_a_killed_process_left_is_booked_once(services: Services, team) -> None:
    """At the next start, with the time of the request; a torn last line was never answered."""
    before, _ = booked(services.store, team.id)
    folder = services.config.credits.spool_dir
    line = f'["{team.id}","","fans",3,"request",1,{int(AT.timestamp())}]\n'
    child = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", KILLED, str(folder)], input=(line * 5).encode(), cwd=REPO, check=False
    )
    assert child.returncode == -9
    (path,) = files.found(folder, SUFFIX)
    with path.open("ab") as f:
        f.write(line[:20].encode())
    for _ in range(2):
        async with opened(services):
            assert booked(services.store, team.id) == (before - 15, [("fans", 15, 5)])
    assert files.found(folder, SUFFIX) == []


async def test_a_store_that_is_away_gets_them_when_it_is_back(
    services: Services, team, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing waits for it, nothing is lost or booked twice."""
    monkeypatch.setattr("addons.spool.writer.RETRY_S", 0.01)
    before, _ = booked(services.store, team.id)
    away = True
    real = services.store.awrite

    async def awrite(fn, *args, **kwargs):
        if away:
            raise StoreUnavailable("db", "connection refused")
        return await real(fn, *args, **kwargs)

    async with opened(services):
        spool: DebitSpool = services.parts["debits"]
        monkeypatch.setattr(services.store, "awrite", awrite)
        spool.append(Debit(team.id, "", "fans", 4))
        with pytest.raises(StoreUnavailable):
            await spool.flush()
        away = False
        async with asyncio.timeout(30):
            while booked(services.store, team.id)[0] == before:
                await asyncio.sleep(0.01)
    assert booked(services.store, team.id) == (before - 4, [("fans", 4, 1)])


async def test_debits_of_a_team_that_is_gone_hold_up_nobody(services: Services, team) -> None:
    """They alone are left out; so is a line that a bad disk made."""
    before, _ = booked(services.store, team.id)
    async with opened(services):
        spool: DebitSpool = services.parts["debits"]
        spool.append(Debit(team.id, "", "fans", 1))
        spool.append(Debit("team_gone", "", "fans", 1))
        spool._spool.append(b"\x00\xff no line\n")
        spool.append(Debit(team.id, "", "fans", 1))
        await spool.flush()
    assert booked(services.store, team.id) == (before - 2, [("fans", 2, 2)])
