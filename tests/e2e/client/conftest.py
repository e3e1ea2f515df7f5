"""The official client, strict: an answer of another shape than its types say is an error."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from onlyfansapi import OnlyFansAPI

from scripts.cli.stack import Stack
from scripts.simulator import Simulator
from scripts.simulator.model import Creator
from tests.e2e.client.things import Things, things


def strict(base_url: str, key: str) -> OnlyFansAPI:
    """A client that validates every answer and repeats nothing."""
    return OnlyFansAPI(base_url=base_url, api_key=key, _strict_response_validation=True, max_retries=0)


@pytest.fixture(scope="session")
def creator(simulator: Simulator) -> Creator:
    """The simulated creator behind the first team's account. Tests only read here."""
    return simulator.world.creators[0]


@pytest.fixture(scope="session")
def writable(simulator: Simulator) -> Creator:
    """The simulated creator behind the second team's account, for tests that change things."""
    return simulator.world.creators[1]


@pytest.fixture(scope="session")
def client(stack: Stack) -> Iterator[OnlyFansAPI]:
    with strict(stack.base_url, stack.api_key) as opened:
        yield opened


@pytest.fixture(scope="session")
def writer(stack: Stack) -> Iterator[OnlyFansAPI]:
    """The second team's client."""
    with strict(stack.base_url, stack.seeded.other_api_key) as opened:
        yield opened


@pytest.fixture(scope="session")
def t(stack: Stack, creator: Creator) -> Things:
    return things(stack.account, creator)


@pytest.fixture(scope="session")
def w(stack: Stack, writable: Creator) -> Things:
    """Things of the account that tests may change."""
    return things(stack.seeded.other_account, writable)
