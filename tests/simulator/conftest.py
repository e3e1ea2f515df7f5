from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from scripts.simulator import Simulator

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
SIZES: dict[str, Any] = {
    "fans": 60,
    "chats": 12,
    "messages": 400,
    "transactions": 260,
    "campaigns": 9,
    "trials": 5,
    "posts": 24,
    "media": 30,
}


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator.start(seed=7, now=NOW, **SIZES) as running:
        yield running


def client_of(sim: Simulator, index: int = 0, **headers: str) -> httpx.Client:
    account = sim.creators[index]
    login = {"Cookie": account.cookies, "User-Agent": account.user_agent, "x-bc": account.xbc, **headers}
    return httpx.Client(base_url=sim.api_url + "/api2/v2", headers=login)


@pytest.fixture
def api(sim: Simulator) -> Iterator[httpx.Client]:
    with client_of(sim) as client:
        yield client


@pytest.fixture
def get(api: httpx.Client) -> Callable[..., Any]:
    def read(path: str, **params: Any) -> Any:
        answer = api.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return read
