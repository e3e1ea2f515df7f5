"""A gateway with a team, a key and an account, on SQLite and on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ofapi_store.engine import Store
from ofapi_store.secrets import SecretBox
from tests.addons.pipeline.harness import Bench, make_bench


@pytest.fixture
async def bench(sqlite_store: Store, secret_box: SecretBox, tmp_path: Path) -> AsyncIterator[Bench]:
    """On SQLite: for rules that have nothing to do with the database."""
    made = make_bench(sqlite_store, secret_box, tmp_path)
    yield made
    await made.gateway.close()


@pytest.fixture
async def both(store: Store, secret_box: SecretBox, tmp_path: Path) -> AsyncIterator[Bench]:
    """On each database."""
    made = make_bench(store, secret_box, tmp_path)
    yield made
    await made.gateway.close()
