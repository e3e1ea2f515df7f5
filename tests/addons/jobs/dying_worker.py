"""A worker process that the tests kill in the middle of a job: `python -m tests.addons.jobs.dying_worker URL KEY FOLDER`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from addons.config import Config
from addons.jobs.registry import Job, JobKind, Registry
from addons.jobs.worker import Worker
from addons.pipeline.services import Services
from ofapi_store.engine import Store
from ofapi_store.secrets import SecretBox


async def hang(job: Job, services: Services) -> None:
    """Reports progress, says that it runs, and never ends."""
    await job.report({"at": "half way"})
    await asyncio.to_thread(Path(services.config.exports.dir / "running").write_text, str(job.id))
    await asyncio.sleep(600)


async def main(url: str, folder: str) -> None:
    jobs = {"lease_s": 1.0, "poll_interval_s": 0.02}
    config = Config.build({"jobs": jobs, "exports": {"dir": folder}})
    store = Store.open(url)
    await Worker(
        Services(config, store, SecretBox([SecretBox.generate_key()])), Registry({"test.hang": JobKind(hang)})
    ).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
