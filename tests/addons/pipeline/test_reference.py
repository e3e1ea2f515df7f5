"""addons/pipeline/reference: docs/rules.md says every key there is."""

from __future__ import annotations

from pathlib import Path

from addons.pipeline.problems import CODES
from addons.pipeline.reference import PARTS, render
from addons.pipeline.registry import built_in

REPO = Path(__file__).resolve().parents[3]


def test_reference_is_current() -> None:
    """docs/rules.md is what `python -m addons.pipeline.reference` prints."""
    assert (REPO / "docs" / "rules.md").read_text(encoding="utf-8") == render()


def test_everything_has_help() -> None:
    """Every key of the language and of every addon is explained, and every error code is named."""
    models = [model for _, model in PARTS] + [addon.Params for addon in built_in().values()]
    assert [f"{m.__name__}.{n}" for m in models for n, f in m.model_fields.items() if not f.description] == []
    text = render()
    assert all(f"`{code}`" in text for code in CODES)
