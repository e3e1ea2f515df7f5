"""Login workers that kill themselves: `python -m tests.addons.logins.dying_workers` forks one for each line of JSON it reads.

`{"store", "key", "upstream", "now", "point"}`; it answers with the exit code, -9 where the worker died as it was told:
`ask:<n>` and `asked:<n>` before and after the n-th request to upstream, `write:<n>` and `wrote:<n>` around the n-th write of
the job, `complete` before the job's row is done.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from datetime import datetime
from typing import Any

from addons.config import Config
from addons.jobs import logins
from addons.jobs.registry import Registry
from addons.jobs.worker import Worker
from addons.logins.client import LoginClient
from addons.pipeline.services import Services
from ofapi_store.engine import Store
from ofapi_store.secrets import SecretBox

OF_THE_JOB = ("<lambda>", "end")  # what handlers write; the rest are the worker's own rows


class Deaths:
    """Counts requests and writes, and dies at the point."""

    def __init__(self, point: str) -> None:
        self._point = point
        self._counts = {"ask": 0, "write": 0}

    def begin(self, what: str) -> int:
        self._counts[what] += 1
        self.at(f"{what}:{self._counts[what]}")
        return self._counts[what]

    def at(self, point: str) -> None:
        if point == self._point:
            os.kill(os.getpid(), signal.SIGKILL)


def arm(store: Store, deaths: Deaths) -> None:
    write, send = store.awrite, LoginClient.send

    async def awrite(fn: Any, *args: Any, **kwargs: Any) -> Any:
        if fn.__name__ == "complete":
            deaths.at("complete")
        if fn.__name__ not in OF_THE_JOB:
            return await write(fn, *args, **kwargs)
        number = deaths.begin("write")
        result = await write(fn, *args, **kwargs)
        deaths.at(f"wrote:{number}")
        return result

    async def ask(self: LoginClient, *args: Any, **kwargs: Any) -> Any:
        number = deaths.begin("ask")
        reply = await send(self, *args, **kwargs)
        deaths.at(f"asked:{number}")
        return reply

    store.awrite = awrite  # type: ignore[method-assign]
    LoginClient.send = ask  # type: ignore[method-assign]


def work(order: dict[str, str]) -> None:
    config = Config.build(
        {
            "upstream": {"base_url": order["upstream"], "user_agent": "Ours/1.0"},
            "jobs": {"lease_s": 60, "poll_interval_s": 0.02},
        }
    )
    store, now = Store.open(order["store"]), datetime.fromisoformat(order["now"])
    arm(store, Deaths(order["point"]))
    services = Services(config, store, SecretBox([order["key"]]), lambda: now)
    asyncio.run(_run(Worker(services, Registry(logins.JOBS))))


async def _run(worker: Worker) -> None:
    await worker.run_until_idle()


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what workers log is no answer
    for line in sys.stdin:
        child = os.fork()
        if not child:
            work(json.loads(line))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        answers.write(f"{os.waitstatus_to_exitcode(status)}\n")
        answers.flush()


if __name__ == "__main__":
    main()
