"""kill -9 of a worker at each state of a delivery: nothing is lost, nothing doubled but with the same idempotency key."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import update

from ofapi_store.engine import Store
from ofapi_store.queries.events import WEBHOOKS
from ofapi_store.secrets import SecretBox
from tests.addons.webhooks.conftest import Rig
from tests.addons.webhooks.receiver import Receiver

EVENTS = 5
SENT_BEFORE = {"leased": 0, "sending": 1, "sent": 1, "written": 1}


@pytest.fixture
def known_key() -> str:
    return SecretBox.generate_key()


async def killed_at(place: str, store_url: str, known_key: str, folder: Path) -> None:
    """Starts a worker and kills it when it is there."""
    args = ["-m", "tests.addons.webhooks.dying_sender", store_url, known_key, place, str(folder)]
    worker = await asyncio.create_subprocess_exec(sys.executable, *args)
    async with asyncio.timeout(60):
        while not (folder / "there").exists():
            assert worker.returncode is None
            await asyncio.sleep(0.01)
    worker.kill()
    await worker.wait()


@pytest.mark.parametrize("place", list(SENT_BEFORE))
async def test_a_killed_worker_loses_nothing(
    store: Store,
    store_url: str,
    rig_of: Callable[..., Rig],
    receiver: Receiver,
    known_key: str,
    place: str,
    tmp_path: Path,
) -> None:
    """Another one takes over when the lease has run out; what was sent but not written down is sent again, once."""
    rig = rig_of(store)
    rig.services.secrets = SecretBox([known_key])
    rig.hook(receiver.url())
    rig.emit(EVENTS)
    await killed_at(place, store_url, known_key, tmp_path)
    before = Counter(got.key for got in receiver.got)
    assert len(receiver.got) >= SENT_BEFORE[place]
    written = sum(state == "delivered" for state, _ in rig.states())
    assert (written > 0) == (place == "written")
    rig.now = datetime.now(UTC)  # the worker's clock, by which its leases run out
    assert await rig.deliver() == 0 or place == "written"
    rig.pass_time(seconds=61)
    await rig.deliver()
    assert rig.states() == [("delivered", 1)] * EVENTS
    after = Counter(got.key for got in receiver.got)
    assert len(after) == EVENTS
    assert all(n <= before[key] + 1 <= 2 for key, n in after.items())
    assert sum(after.values()) - EVENTS <= sum(before.values()) - written


@pytest.mark.parametrize("place", ["leased", "sending", "sent"])
@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_a_killed_probe_is_made_again(
    store: Store,
    store_url: str,
    rig_of: Callable[..., Rig],
    receiver: Receiver,
    known_key: str,
    place: str,
    tmp_path: Path,
) -> None:
    """The pause ends by another worker's probe, when the lease of the first has run out; nothing that waited is lost."""
    rig = rig_of(store)
    rig.services.secrets = SecretBox([known_key])
    hook = rig.hook(receiver.url())
    rig.emit(EVENTS)
    paused = {"state": "paused", "cooldown": 1, "paused_until": datetime.now(UTC)}
    with store.write() as conn:
        conn.execute(update(WEBHOOKS).values(paused))
    await killed_at(place, store_url, known_key, tmp_path)
    assert len(receiver.got) <= 1
    rig.now = datetime.now(UTC)
    assert await rig.deliver() == 0
    rig.pass_time(seconds=61)
    await rig.deliver()
    assert (rig.webhook(hook).state, {state for state, _ in rig.states()}) == ("active", {"delivered"})
    assert [got.body["payload"]["n"] for got in receiver.got[-EVENTS:]] == list(range(EVENTS))
