"""What the redirect learns from stored clicks."""

from __future__ import annotations

from pathlib import Path

from addons.config import Config
from addons.links.writing import ClickWriter
from addons.pipeline.services import Services
from ofapi_store.engine import Store
from ofapi_store.secrets import SecretBox
from tests.addons.links.test_storing import BROWSER, record

ROBOT = "facebookexternalhit/1.1"


async def test_only_a_robots_own_name_makes_it_one(sqlite_store: Store, secret_box: SecretBox, tmp_path: Path) -> None:
    """A browser that fetched ahead once is no robot: its next visitors hold their links."""
    services = Services(Config.build({"links": {"spool_dir": str(tmp_path)}}), sqlite_store, secret_box)
    writer = ClickWriter(services)
    for click in (record("L" * 26, 1, is_prefetch=True), record("L" * 26, 2, user_agent=ROBOT)):
        assert click.user_agent in (BROWSER, ROBOT)
        await writer.write(click)
    await writer.flush()
    assert list(writer.robots) == [ROBOT]
    await writer.close()
