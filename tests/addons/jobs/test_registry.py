"""addons/jobs/registry: one visible list of what runs later."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from addons.jobs.registry import JobKind, load_registry


async def _nothing(*_: object) -> None:
    return None


def test_all_families_load() -> None:
    """Every family of this installation imports, and its periodic kinds have handlers."""
    registry = load_registry()
    assert {"sync.account", "jobs.prune", "jobs.settle"} <= set(registry.kinds)
    assert set(registry.periodic) <= set(registry.kinds)


@pytest.mark.parametrize(
    ("jobs", "periodic", "message"),
    [
        ({"jobs.prune": JobKind(_nothing)}, {}, "declared twice"),
        ({}, {"test.none": lambda config: 1.0}, "without a handler: test.none"),
    ],
)
def test_mistakes_are_refused(
    monkeypatch: pytest.MonkeyPatch, jobs: dict[str, JobKind], periodic: dict[str, object], message: str
) -> None:
    """A kind declared twice, or a period without a handler, stops the start."""
    module = ModuleType("test_family")
    module.JOBS = jobs  # type: ignore[attr-defined]
    module.PERIODIC = periodic  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "test_family", module)
    with pytest.raises(ValueError, match=message):
        load_registry(("addons.jobs.upkeep", "test_family"))
