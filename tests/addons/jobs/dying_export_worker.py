"""A worker process that kills itself in the middle of an export.

`python -m tests.addons.jobs.dying_export_worker URL EXPORTS KEY POINT` where POINT is `before:<step>` or `after:<step>`
(a function of ofapi_store.queries.exports, around its transaction) or `row:<n>` (while that row is written).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

from addons.config import Config
from addons.exports.writers import CsvWriter
from addons.jobs import exports as export_jobs
from addons.jobs.registry import Registry
from addons.jobs.worker import Worker
from addons.pipeline.services import Services
from ofapi_store.engine import Store
from ofapi_store.secrets import SecretBox


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(store: Store, point: str) -> None:
    """Makes the process die at that point."""
    when, _, what = point.partition(":")
    write, put = store.awrite, CsvWriter.write

    async def awrite(fn: Any, *args: Any, **kwargs: Any) -> Any:
        if (when, what) == ("before", fn.__name__):
            die()
        result = await write(fn, *args, **kwargs)
        if (when, what) == ("after", fn.__name__):
            die()
        return result

    written = 0

    def put_row(self: CsvWriter, row: Any) -> None:
        nonlocal written
        written += 1
        if when == "row" and written == int(what):
            die()
        put(self, row)

    store.awrite = awrite  # type: ignore[method-assign]
    CsvWriter.write = put_row  # type: ignore[method-assign]


async def main(url: str, folder: str, key: str, point: str) -> None:
    config = Config.build({"exports": {"dir": folder}, "secrets": {"keys": [{"file": key}]}})
    store = Store.open(url)
    arm(store, point)
    services = Services(config, store, SecretBox(config.secret_keys()))
    await Worker(services, Registry(dict(export_jobs.JOBS))).run_until_idle()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
