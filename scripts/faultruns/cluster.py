"""What a run is made of: a simulated OnlyFans, a gateway and a worker as processes of their own, a webhook receiver."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from scripts.cli.children import Child
from scripts.cli.stack import Stack

QUICK: dict[str, Any] = {
    "webhooks": {
        "look_interval_s": 2,
        "jitter": 0,
        "retry_schedule_s": [0, 0.5, 1, 2, 4, 8, 16, 32],
        "cooldown_s": [2],
    },
    "jobs": {"poll_interval_s": 0.1, "lease_s": 3, "backoff_s": 1, "backoff_max_s": 5},
    "sync": {"min_interval_s": 0.02, "interval_s": 0, "backoff_max_s": 2},
    "upstream": {"read_timeout_s": 5},
    "links": {"revenue_delay_s": 1},
    "log": {"level": "warning"},
}
"""Waits of seconds instead of minutes, so that everything a fault delays is over before the run ends."""


class Cluster:
    """Processes that can be killed and started again; the gateway keeps its port."""

    def __init__(self, folder: Path, store_url: str | None, output: IO[bytes]) -> None:
        self._output = output
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        ready = folder / "simulator.json"
        sizes = ["--fans=60", "--chats=12", "--messages=300", "--transactions=400", "--campaigns=6", "--trials=2"]
        args = ["-m", "scripts.cli.main", "simulate", "--ready-file", str(ready), *sizes]
        self.simulator = Child("the simulator", args, ready_file=ready, output=output)
        self.upstream: dict[str, Any] = self.simulator.wait_ready()
        config = QUICK | ({"store": {"url": store_url}} if store_url else {})
        self.stack = Stack.prepare(folder / "stack", port=self.port, worker=False, config=config, output=output)
        self.stack.point_to(self.upstream["api_url"], self.upstream["cdn_url"])
        self.worker: Child | None = None
        self.gateway_starts = 0
        self.gateway_up = False

    def start_gateway(self) -> None:
        self.stack.run()
        self.gateway_starts += 1
        self.gateway_up = True

    def start_worker(self) -> None:
        ready = self.stack.folder / ".worker-ready.json"
        args = ["-m", "scripts.cli.main", "--config", str(self.stack.config_path), "run", "--worker"]
        self.worker = Child("a worker", [*args, "--ready-file", str(ready)], ready_file=ready, output=self._output)
        self.worker.wait_ready()

    def kill_gateway(self) -> None:
        self.gateway_up = False
        if self.stack.gateway is not None:
            self.stack.gateway.kill()

    def kill_worker(self) -> None:
        if self.worker is not None:
            self.worker.kill()

    def stop(self) -> None:
        for child in (self.worker, self.stack.gateway, self.simulator):
            if child is not None:
                child.stop()


@contextmanager
def running(folder: Path, store: str) -> Iterator[Cluster]:
    """Everything started. `store`: sqlite, or postgresql (a server of its own)."""
    with ExitStack() as ends:
        url = ends.enter_context(_postgresql()) if store == "postgresql" else None
        output = ends.enter_context((folder / "processes.log").open("wb"))
        cluster = Cluster(folder, url, output)
        ends.callback(cluster.stop)
        cluster.start_gateway()
        cluster.start_worker()
        yield cluster


@contextmanager
def _postgresql() -> Iterator[str]:
    from tests import pg

    with pg.running() as server:
        yield server.url(server.create())


def last_lines(folder: Path, count: int = 20) -> str:
    """What the processes printed last, for who looks for the reason."""
    with contextlib.suppress(OSError):
        return "\n".join((folder / "processes.log").read_text(errors="replace").splitlines()[-count:])
    return ""
