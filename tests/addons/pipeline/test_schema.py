"""addons/pipeline/schema: what editors are told is what the loader takes."""

from __future__ import annotations

from pathlib import Path

from addons.pipeline.registry import built_in
from addons.pipeline.schema import build_schema, schema_text

REPO = Path(__file__).resolve().parents[3]


def test_schema_is_current() -> None:
    """rules/schema.json is what `python -m addons.pipeline.schema` prints."""
    assert (REPO / "rules" / "schema.json").read_text(encoding="utf-8") == schema_text()


def test_every_addon_is_a_step() -> None:
    """Steps are told apart by `addon`, each with its own parameters and no others."""
    schema = build_schema()
    steps = [schema["$defs"][ref["$ref"].rsplit("/", 1)[1]] for ref in schema["$defs"]["StepRule"]["oneOf"]]
    assert [s["properties"]["addon"]["const"] for s in steps] == list(built_in())
    assert all(s["additionalProperties"] is False and "on_error" in s["properties"] and s["description"] for s in steps)


def test_rule_files_name_the_schema() -> None:
    """Every committed rule file tells editors where the schema is."""
    for path in (REPO / "rules").rglob("*.yaml"):
        assert path.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema="), path
