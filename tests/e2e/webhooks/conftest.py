"""A simulated OnlyFans that things happen to, a gateway with a worker that looks often, and a receiver."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from scripts.cli.stack import Stack
from scripts.simulator import Simulator
from tests.addons.webhooks.receiver import Receiver

SMALL = {"fans": 20, "chats": 6, "messages": 60, "transactions": 40, "posts": 5, "media": 5}
QUICK = {"webhooks": {"look_interval_s": 1, "jitter": 0}, "sync": {"min_interval_s": 0}}


@pytest.fixture(scope="module")
def world() -> Iterator[Simulator]:
    with Simulator.start(**SMALL) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(world: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("gateway")
    with (folder / "processes.log").open("wb") as output:
        with Stack.start(
            folder, upstream=world.api_url, cdn=world.cdn_url, logins=world.creators, config=QUICK, output=output
        ) as started:
            yield started


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver().listening() as running:
        yield running
