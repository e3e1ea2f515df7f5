"""Services over a real store, with a config that makes workers quick."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from addons.config import Config
from addons.pipeline.services import Services
from ofapi_store.engine import Store
from ofapi_store.secrets import SecretBox

QUICK: dict[str, Any] = {
    "poll_interval_s": 0.02,
    "lease_s": 1.0,
    "backoff_s": 0.05,
    "backoff_max_s": 0.1,
    "shutdown_grace_s": 0.2,
    "concurrency": 4,
}


@pytest.fixture
def services_of(tmp_path: Path, secret_box: SecretBox) -> Callable[..., Services]:
    """Makes services over a store; sections of the config can be given."""

    def make(store: Store, **sections: Mapping[str, Any]) -> Services:
        jobs = {**QUICK, **sections.pop("jobs", {})}
        return Services(Config.build({**sections, "jobs": jobs}, base=tmp_path), store, secret_box)

    return make
