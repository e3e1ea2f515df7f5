"""A worker process that sends postbacks until it is killed: `python -m tests.addons.jobs.dying_postbacks URL`."""

from __future__ import annotations

import asyncio
import sys

from addons.config import Config
from addons.jobs.postbacks import JOBS, opened
from addons.jobs.registry import Registry
from addons.jobs.worker import Worker
from addons.pipeline.services import Services
from ofapi_store.engine import Store
from ofapi_store.secrets import SecretBox


async def main(url: str) -> None:
    config = Config.build(
        {"jobs": {"lease_s": 1.0, "poll_interval_s": 0.02}, "network": {"allow_private": ["127.0.0.0/8"]}}
    )
    services = Services(config, Store.open(url), SecretBox([SecretBox.generate_key()]))
    async with opened(services):
        await Worker(services, Registry(JOBS)).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
