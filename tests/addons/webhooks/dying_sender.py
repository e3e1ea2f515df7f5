"""A worker that the tests kill: `python -m tests.addons.webhooks.dying_sender URL KEY PLACE FOLDER`.

At `PLACE` it writes a file `FOLDER/there` and hangs: leased, sending, sent, written.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from addons.config import Config
from addons.pipeline.services import Services
from addons.webhooks.loop import DeliveryLoop
from addons.webhooks.sender import Sender
from ofapi_store.engine import Store
from ofapi_store.secrets import SecretBox

CONFIG = {"network": {"allow_private": ["127.0.0.0/8"]}, "jobs": {"lease_s": 60.0, "poll_interval_s": 0.02}}


def arrive(folder: str) -> None:
    (Path(folder) / "there").touch()
    time.sleep(600)


def at_the_place(place: str, folder: str) -> type[DeliveryLoop]:
    class Dying(DeliveryLoop):
        async def _send(self, line: Any, delivery: Any) -> None:
            if place == "leased":
                arrive(folder)
            await super()._send(line, delivery)

        async def _flush(self) -> None:
            if self._results and place == "sent":
                arrive(folder)
            had = bool(self._results)
            await super()._flush()
            if had and place == "written":
                arrive(folder)

    return Dying


def hang_before_the_answer(folder: str) -> None:
    async def read(self: Sender, answer: Any) -> str | None:
        arrive(folder)
        return None

    Sender._read = read  # type: ignore[method-assign]


async def main(url: str, key: str, place: str, folder: str) -> None:
    services = Services(Config.build(CONFIG), Store.open(url), SecretBox([key]))
    if place == "sending":
        hang_before_the_answer(folder)
    await at_the_place(place, folder)(services, "dying").run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:5]))
