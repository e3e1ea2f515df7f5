"""What a process works with is opened in order and closed the other way round, whatever fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from addons import assemble
from addons.assemble import FAMILIES, assembled
from addons.config import Config
from addons.pipeline.problems import RulesInvalid
from addons.pipeline.services import Services
from ofapi_store.errors import StoreClosed, StoreError
from ofapi_store.migrate import upgrade
from ofapi_store.secrets import SecretBox

RULES = "[{id: whoami, match: GET /whoami, source: computed, why: Who., handler: accounts.whoami}]\n"
HERE = __name__
HAPPENED: list[str] = []


@asynccontextmanager
async def first(services: Services) -> AsyncIterator[None]:
    """A family that notes what is there before it."""
    assert {"plan", "rules_state", "upstream"} <= set(services.parts)
    HAPPENED.append("first opened")
    services.parts["first"] = True
    try:
        yield
    finally:
        HAPPENED.append("first closed")


@asynccontextmanager
async def second(services: Services) -> AsyncIterator[None]:
    HAPPENED.append(f"second opened, first is there: {services.parts['first']}")
    try:
        yield
    finally:
        HAPPENED.append("second closed")


@asynccontextmanager
async def broken(services: Services) -> AsyncIterator[None]:
    raise OSError("no room")
    yield


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A store, a key and one folder of rules."""
    HAPPENED.clear()
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text(RULES)
    (tmp_path / "key").write_text(SecretBox.generate_key())
    made = Config.build(
        {
            "rules": {"dir": "rules"},
            "store": {"url": f"sqlite:///{tmp_path}/store.db"},
            "secrets": {"keys": [{"file": "key"}]},
        },
        base=tmp_path,
    )
    upgrade(made.store_url)
    return made


async def test_families_open_in_order_and_close_the_other_way_round(config: Config) -> None:
    """Each finds the parts of those before it; the store is closed last."""
    async with assembled(config, (f"{HERE}:first", f"{HERE}:second")) as services:
        assert services.parts["plan"]().by_id["whoami"] is not None
        assert services.parts["rules_state"]()["ok"] is True
        assert len(HAPPENED) == 2
    assert HAPPENED == ["first opened", "second opened, first is there: True", "second closed", "first closed"]
    with pytest.raises(StoreClosed):
        await services.store.aread(lambda conn: None)


async def test_a_family_that_does_not_open_leaves_nothing_open(config: Config) -> None:
    """Those before it are closed, no task stays, and the error is the family's own."""
    with pytest.raises(OSError, match="no room"):
        async with assembled(config, (f"{HERE}:first", f"{HERE}:broken")):
            pytest.fail("it must not get here")
    assert HAPPENED == ["first opened", "first closed"]
    assert {task.get_name() for task in asyncio.all_tasks()} & {"rules-watch"} == set()


async def test_every_family_of_the_product_opens_and_closes(config: Config) -> None:
    """Gateway and workers alike are made of these."""
    async with assembled(config) as services:
        assert callable(services.parts["plan"])
    assert [assemble._opener(name).__module__ for name in FAMILIES] == [name.partition(":")[0] for name in FAMILIES]


async def test_a_store_without_tables_is_refused_with_what_to_do(config: Config, tmp_path: Path) -> None:
    """Before anything is opened; so are rules that do not load."""
    empty = config.model_copy(
        update={"store": config.store.model_copy(update={"url": f"sqlite:///{tmp_path}/other.db"})}
    )
    with pytest.raises(StoreError, match="ofapi"):
        async with assembled(empty, ()):
            pytest.fail("it must not get here")
    (tmp_path / "rules" / "a.yaml").write_text("- id: 5\n")
    with pytest.raises(RulesInvalid):
        async with assembled(config, ()):
            pytest.fail("it must not get here")
