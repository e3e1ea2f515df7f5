"""kill -9 of the worker while it talks to upstream: the next worker finishes the login."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import httpx
import pytest

from scripts.cli.children import Child
from scripts.cli.stack import Stack
from scripts.simulator import Simulator
from scripts.simulator.faults import Fault
from tests.e2e.waiting import until

TINY = dict.fromkeys(("fans", "chats", "messages", "transactions", "posts", "media"), 1)


class Workers:
    """Workers of one stack, of which none runs unless started here."""

    def __init__(self, stack: Stack, output: IO[bytes]) -> None:
        self.stack = stack
        self.output = output
        self.running: list[Child] = []

    def start(self) -> Child:
        ready = self.stack.folder / ".worker-ready.json"
        args = ["-m", "scripts.cli.main", "--config", str(self.stack.config_path), "run", "--worker"]
        made = Child("a worker", [*args, "--ready-file", str(ready)], ready_file=ready, output=self.output)
        self.running.append(made)
        made.wait_ready()
        return made


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator.start(**TINY) as running:
        yield running


@pytest.fixture
def workers(sim: Simulator, tmp_path: Path) -> Iterator[Workers]:
    config = {"jobs": {"lease_s": 1, "poll_interval_s": 0.05}}
    with (tmp_path / "log").open("wb") as output:
        started = Stack.start(
            tmp_path / "data",
            upstream=sim.api_url,
            cdn=sim.cdn_url,
            logins=sim.creators,
            config=config,
            worker=False,
            output=output,
        )
        with started as stack:
            made = Workers(stack, output)
            yield made
            for child in made.running:
                child.stop()


def test_the_next_worker_goes_on(sim: Simulator, workers: Workers) -> None:
    """Killed while the password, the code, and the look at the account are under way: nothing is lost, one account is made."""
    owner, stack = sim.world.creators[1], workers.stack
    api = httpx.Client(base_url=f"{stack.base_url}/api", headers=stack.auth, timeout=20)

    def state() -> str:
        return str(api.get(f"/authenticate/{attempt}").json()["state"])

    def killed_at(fault: Fault, worker: Child) -> Child:
        until(lambda: fault.hits, bool)
        worker.process.send_signal(signal.SIGKILL)
        sim.faults.clear()
        return workers.start()

    worker = workers.start()
    at_login = sim.faults.add("latency", path="/users/login", seconds=3)
    login = {"email": f"otp+{owner.email}", "password": owner.password}
    attempt = api.post("/authenticate", json=login).json()["attempt_id"]
    worker = killed_at(at_login, worker)
    until(state, "needs-otp".__eq__)
    at_code = sim.faults.add("latency", path="/users/otp/check", seconds=3)
    api.put(f"/authenticate/{attempt}", json={"code": owner.otp_code})
    until(lambda: at_code.hits, bool)
    at_account = sim.faults.add("latency", path="/users/me", seconds=3)
    worker.process.send_signal(signal.SIGKILL)
    sim.faults.clear(at_code.id)
    killed_at(at_account, workers.start())
    until(state, "authenticated".__eq__)
    assert [row["onlyfans_id"] for row in api.get("/accounts").json()] == [
        str(who.id) for who in sim.world.creators[:2]
    ]
