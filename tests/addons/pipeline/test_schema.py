"""addons/pipeline/schema: what editors are told is what the loader takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from addons.pipeline.registry import built_in
from addons.pipeline.rule_models import PageRule
from addons.pipeline.schema import build_schema, schema_text

REPO = Path(__file__).resolve().parents[3]
RULES = sorted((REPO / "rules").rglob("*.yaml"))
GOLDEN = REPO / "tests" / "golden" / "rules_bad"


@pytest.fixture(scope="module")
def committed() -> Draft202012Validator:
    schema = json.loads((REPO / "rules" / "schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def data_of(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", RULES, ids=[p.name for p in RULES])
def test_committed_rules_fit_the_schema(committed: Draft202012Validator, path: Path) -> None:
    """What the gateway loads is not marked wrong in an editor."""
    assert [f"{e.json_path}: {e.message[:200]}" for e in committed.iter_errors(data_of(path))] == []


@pytest.mark.parametrize(
    "name", ["unknown-keys", "missing-keys", "bad-value", "bad-template", "unknown-addon", "media"]
)
def test_editors_see_what_is_wrong(committed: Draft202012Validator, name: str) -> None:
    """Unknown and missing keys, wrong values, unknown addons and what is no `METHOD /path` are marked."""
    assert not committed.is_valid(data_of(GOLDEN / f"{name}.yaml"))


@pytest.mark.parametrize("page", [*PageRule.model_json_schema()["properties"]["kind"]["enum"], {"kind": "offset"}])
def test_paging_by_word_or_mapping(committed: Draft202012Validator, page: Any) -> None:
    """`page: offset` is the same as `page: {kind: offset}`; other words are wrong."""
    rule = {"id": "a", "match": "GET /a", "source": "passthrough", "why": "x", "upstream": "GET /api2/v2/a"}
    assert committed.is_valid([rule | {"present": {"page": page}}])
    assert not committed.is_valid([rule | {"present": {"page": "ofset"}}])


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
