"""A gateway, its worker and a simulated upstream of their own, for tests that make links and let fans come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from onlyfansapi import APIResponseValidationError, OnlyFansAPI
from pydantic import ValidationError

from ofapi_store import outbox
from ofapi_store.engine import Store
from scripts.cli.stack import Stack
from scripts.simulator import Simulator
from tests.e2e.client.conftest import strict
from tests.e2e.waiting import until

SYNCED = ("fans", "transactions", "chargebacks", "messages", "tracking_links", "trial_links", "claimers")
BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{} Safari/537.36"


@dataclass
class World:
    """Everything that a test of links talks to."""

    sim: Simulator
    stack: Stack
    store: Store
    client: OnlyFansAPI

    @property
    def account(self) -> str:
        return self.stack.account

    def raw(self, method: str, path: str, *, other: bool = False, **kwargs: Any) -> requests.Response:
        """A request in the raw dialect, as the first team or as the other."""
        headers = self.stack.other_auth if other else self.stack.auth
        return requests.request(method, f"{self.stack.base_url}{path}", headers=headers, timeout=60, **kwargs)

    def go(self, url: str, *, version: int = 130, method: str = "GET", **headers: str) -> requests.Response:
        """Follows a smart link as a browser of some version; another version is another visitor."""
        agent = {"User-Agent": BROWSER.format(f"{version}.0.0.0")}
        fields = agent | {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.request(method, url, headers=fields, allow_redirects=False, timeout=30)

    def happen(self, what: str, **facts: Any) -> dict[str, Any]:
        """Lets something happen upstream."""
        answer = requests.post(f"{self.sim.api_url}/__sim__/events/{what}", json=facts, timeout=30)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def sync(self, *, full: bool = True) -> None:
        """Walks the first account and works out what follows."""
        with self.store.write() as conn:
            payload = {"account": self.account, "only": list(SYNCED), "full": full}
            job = outbox.enqueue(conn, "sync.account", payload, key=self.account)
        until(lambda: self._state(job.id), "done".__eq__, 90)
        until(lambda: self._idle("links.revenue"), seconds=60)

    def _state(self, job_id: int) -> str:
        with self.store.read() as conn:
            job = outbox.get(conn, job_id)
        assert job is not None
        assert job.state != "failed", job.last_error
        return job.state

    def _idle(self, kind: str) -> bool:
        with self.store.read() as conn:
            return not any(
                n for (k, state), n in outbox.counts(conn).items() if k == kind and state in ("pending", "running")
            )

    def ready(self, smart_link_id: str) -> dict[str, Any]:
        """The smart link once its pool is made."""
        path = f"/smart-links/{smart_link_id}"
        return dict(until(lambda: self.raw("GET", path).json(), lambda shown: shown["pool"]["making"] == 0))


def strict_but_cents[T](call: Callable[[], T]) -> T | None:
    """The answer, read strictly. The client's types take some amounts for whole numbers: only that may be wrong."""
    try:
        return call()
    except APIResponseValidationError as e:
        assert isinstance(e.__cause__, ValidationError)
        assert {error["type"] for error in e.__cause__.errors()} == {"int_from_float"}
        return None


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("links")
    sizes = {"fans": 60, "chats": 10, "messages": 200, "transactions": 300, "campaigns": 6, "trials": 8}
    with Simulator.start(log=folder / "requests.jsonl", **sizes) as sim, (folder / "processes.log").open("wb") as out:
        config = {
            "links": {"pool_size": 3, "refill_at": 0, "revenue_delay_s": 0},
            "sync": {"min_interval_s": 0, "max_parallel": 4},
        }
        started = Stack.start(
            folder, upstream=sim.api_url, cdn=sim.cdn_url, logins=sim.creators, config=config, output=out
        )
        with started as stack, strict(stack.base_url, stack.api_key) as client:
            store = Store.open(stack.store_url)
            yield World(sim, stack, store, client)
            store.close()
