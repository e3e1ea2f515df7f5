"""Where rows come from: the store after a sync, or upstream, asked once and kept; against a simulated upstream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from addons.exports import spool
from addons.exports.catalog import TYPES
from addons.exports.exporter import Exporter
from addons.jobs.upstream_client import Unavailable
from addons.pipeline.services import Services
from ofapi_store.engine import Store
from ofapi_store.queries import accounts, exports
from ofapi_store.secrets import SecretBox
from scripts.simulator import Simulator
from tests.addons.jobs.conftest import services_of
from tests.addons.jobs.upstream import SMALL, connected

__all__ = ["services_of"]
Make = Callable[..., Exporter]


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with Simulator.start(**SMALL) as running:
        yield running


@pytest.fixture
async def rig(
    sim: Simulator, sqlite_store: Store, services_of: Callable[..., Services], tmp_path: Path
) -> AsyncIterator[tuple[Services, str]]:
    key = tmp_path / "key"
    key.write_text(SecretBox.generate_key())
    sections = {"exports": {"dir": str(tmp_path / "exports")}, "secrets": {"keys": [{"file": str(key)}]}}
    async with connected(sim, sqlite_store, services_of, **sections) as (services, account):
        yield services, account


def exporter(rig: tuple[Services, str], kind: str, **options: Any) -> tuple[Exporter, str]:
    """An export that is being built, of all time."""
    services, account = rig
    kind_of = TYPES[kind]
    start, end = datetime(2016, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
    with services.store.write() as conn:
        team = accounts.by_id(conn, account)
        assert team is not None
        new = exports.NewExport(kind, kind_of.file_types[0], start, end, [account], kind_of.columns, options)
        made = exports.create(conn, team.team_id, new)
        exports.calculated(conn, made.id, rows=0, credits=0)
        exports.start(conn, made.id)
        row = exports.begin(conn, made.id)
        assert row is not None
        of = exports.accounts_of(conn, [made.id])[made.id]
    return Exporter(services, row, of), made.id


async def tell(_: int) -> None:
    return None


async def test_upstream_is_asked_once(rig: tuple[Services, str], sim: Simulator) -> None:
    """What was walked to be counted is what is built; the kept rows go when the export is over."""
    services, account = rig
    work, export_id = exporter(rig, "payouts")
    counted = await work.count(tell)
    client = await services.parts["upstream"].of(account)
    asked = client.requests
    built = await work.build(tell)
    assert (built.rows, client.requests) == (counted, asked)
    assert counted == len(sim.world.creators[0].payouts)
    assert spool.count(services.config.exports.dir / ".spool" / f"{export_id}.jsonl") == counted
    work.discard(file=False)
    assert spool.count(services.config.exports.dir / ".spool" / f"{export_id}.jsonl") is None
    assert (await exporter(rig, "payouts")[0].build(tell)).rows == counted  # nothing kept: asked again


async def test_stored_types_are_synced_first(rig: tuple[Services, str], sim: Simulator) -> None:
    """An account that was never synced gives all its rows; a second export soon after asks nothing."""
    services, account = rig
    assert await exporter(rig, "transactions")[0].count(tell) == len(sim.world.creators[0].transactions)
    client = await services.parts["upstream"].of(account)
    asked = client.requests
    assert await exporter(rig, "transactions")[0].count(tell) == len(sim.world.creators[0].transactions)
    assert client.requests == asked


async def test_without_upstream_what_was_synced_once_must_do(rig: tuple[Services, str], monkeypatch: Any) -> None:
    """Never synced: the job tries later. Synced before: the export has the rows of then."""
    services, account = rig
    client = await services.parts["upstream"].of(account)

    async def down(*_args: Any, **_more: Any) -> Any:
        raise Unavailable("upstream answered 503", 60)

    with monkeypatch.context() as broken:
        broken.setattr(type(client), "ask", down)
        with pytest.raises(Unavailable):
            await exporter(rig, "transactions")[0].count(tell)
    before = await exporter(rig, "transactions")[0].count(tell)
    monkeypatch.setattr(type(client), "ask", down)
    monkeypatch.setattr("addons.exports.exporter.FRESH_S", 0.0)
    assert await exporter(rig, "transactions")[0].count(tell) == before


async def test_a_walk_that_breaks_keeps_nothing(rig: tuple[Services, str], monkeypatch: Any) -> None:
    """Half the rows are not a spool: the next try starts anew."""
    services, account = rig
    client = await services.parts["upstream"].of(account)
    ask, left = type(client).ask, 3

    async def breaks(*args: Any, **more: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise Unavailable("upstream answered 502", 60)
        return await ask(*args, **more)

    work, _ = exporter(rig, "chat_messages", maxMessages=1000)
    with monkeypatch.context() as broken:
        broken.setattr(type(client), "ask", breaks)
        with pytest.raises(Unavailable):
            await work.count(tell)
    assert list((services.config.exports.dir / ".spool").iterdir()) == []
    assert await work.count(tell) > 0


async def test_limits_of_messages(rig: tuple[Services, str], sim: Simulator) -> None:
    """`maxMessages` bounds each account, `maxChats` takes the chats that were active last."""
    chats = sorted((c for c in sim.world.creators[0].chats.values() if c.messages), key=lambda c: -c.messages[-1].id)
    assert await exporter(rig, "chat_messages", maxMessages=25)[0].count(tell) == 25
    found = await exporter(rig, "chat_messages", maxMessages=10_000, maxChats=2)[0].count(tell)
    assert found == sum(len(chat.messages) for chat in chats[:2])
    none = exporter(rig, "chat_messages", maxMessages=10_000, skipMassMessages=True, chatIds=[chats[0].fan_id])[0]
    assert await none.count(tell) == sum(m.queue_id is None for m in chats[0].messages)


async def test_messages_come_from_the_store_where_it_keeps_their_text(
    rig: tuple[Services, str], sim: Simulator
) -> None:
    """With `store.keep_message_text`, after a sync; nothing is kept beside the store."""
    services, _ = rig
    keeping = services.config.store.model_copy(update={"keep_message_text": True})
    services.config = services.config.model_copy(update={"store": keeping})
    chats = sim.world.creators[0].chats.values()
    want = sum(len(chat.messages) for chat in chats if not chat.hidden)
    work, _ = exporter(rig, "chat_messages", maxMessages=100_000)
    assert await work.count(tell) == want
    assert (await work.build(tell)).rows == want
    assert not (services.config.exports.dir / ".spool").exists()
    assert (await exporter(rig, "chat_messages", maxMessages=30)[0].build(tell)).rows == 30
