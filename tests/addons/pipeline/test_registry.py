"""addons/pipeline/registry: the visible list, and addons of third parties."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from addons.pipeline.registry import built_in, registry

ADDON = """
from addons.enrich.remove import Remove

class Extra(Remove):
    name = "extra"

class Clash(Remove):
    name = "remove"
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package of a third party with three entry points."""
    (tmp_path / "third_party.py").write_text(ADDON)
    info = tmp_path / "third_party-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[ofapi.addons]\nextra = third_party:Extra\nclash = third_party:Clash\nbroken = third_party:Missing\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.cache_clear()
    yield
    registry.cache_clear()
    sys.modules.pop("third_party", None)


@pytest.mark.usefixtures("installed")
def test_entry_points_add_addons() -> None:
    """An entry point adds its addon; one that clashes or cannot be loaded is reported and changes nothing."""
    found = registry()
    assert set(found) == {*built_in(), "extra"}
    assert found["remove"] is built_in()["remove"]
    assert set(found.failed) == {"clash", "broken"}


def test_names_are_the_words_of_rules() -> None:
    """Every addon is listed under its own name."""
    assert all(addon.name == name for name, addon in built_in().items())
