"""docs/config.md says what the model says, and every key can be understood from it."""

from __future__ import annotations

from pathlib import Path

from addons.config.reference import default_text, keys, render

REPO = Path(__file__).resolve().parents[3]


def test_every_key_has_help_and_default() -> None:
    """Each key is documented in one line that ends like a sentence, and has a default."""
    for name, field in keys():
        assert field.description, name
        assert field.description.endswith("."), name
        assert "\n" not in field.description, name
        assert default_text(field) != "–", name


def test_durations_and_sizes_name_their_unit() -> None:
    """A number that measures time or size says its unit in its name."""
    for name, field in keys():
        text = field.description or ""
        if "econds" in text and "URL" not in text:
            assert name.endswith("_s"), name
        if text.startswith(("Largest", "Most bytes")):
            assert name.endswith(("_bytes", "bytes_per_s", "max_limit")), name


def test_reference_page_is_current() -> None:
    """docs/config.md is what the model says: `python -m addons.config.reference > docs/config.md`."""
    assert (REPO / "docs/config.md").read_text(encoding="utf-8") == render()
