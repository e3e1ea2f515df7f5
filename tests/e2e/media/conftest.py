"""A gateway of its own for each module: what other tests have listed would be cached before it is looked at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.cli.stack import Stack
from scripts.simulator import Simulator


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """The upstream of `stack`, with its CDN."""
    log = tmp_path_factory.mktemp("upstream") / "requests.jsonl"
    with Simulator.start(log=log, fans=120, chats=40, messages=3_000, transactions=800) as running:
        yield running


@pytest.fixture(scope="module")
def stack(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The gateway and its worker, with an empty cache."""
    folder = tmp_path_factory.mktemp("stack")
    with (folder / "processes.log").open("wb") as output:
        started = Stack.start(
            folder, upstream=simulator.api_url, cdn=simulator.cdn_url, logins=simulator.creators, output=output
        )
        with started:
            yield started
