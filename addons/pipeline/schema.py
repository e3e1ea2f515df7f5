"""JSON Schema of rule files for editors: `python -m addons.pipeline.schema > rules/schema.json`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import models_json_schema

from addons.pipeline.registry import built_in
from addons.pipeline.rule_models import RuleFile, StepRule
from addons.pipeline.steps import StepAddon

REF = "#/$defs/{model}"


def build_schema(addons: Mapping[str, StepAddon] | None = None) -> dict[str, Any]:
    """The schema of one rule file, with the parameters of these addons (default: the built-in ones)."""
    known = built_in() if addons is None else addons
    models = [(RuleFile, "validation"), *((addon.Params, "validation") for addon in known.values())]
    refs, schema = models_json_schema(models, by_alias=True, ref_template=REF)  # type: ignore[arg-type]
    defs: dict[str, Any] = schema["$defs"]
    step = defs.pop("StepRule")
    names = []
    for name, addon in known.items():
        key = refs[addon.Params, "validation"]["$ref"].removeprefix("#/$defs/")
        defs[key] = _merged(defs[key], step, name, addon)
        names.append({"$ref": f"#/$defs/{key}"})
    defs["StepRule"] = {
        "description": _first(StepRule.__doc__),
        "oneOf": names,
        "discriminator": {"propertyName": "addon"},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Rule file",
        "anyOf": [{"type": "array", "items": {"$ref": "#/$defs/RuleModel"}}, {"$ref": "#/$defs/RuleFile"}],
        "$defs": dict(sorted(defs.items())),
    }


def _merged(params: Mapping[str, Any], step: Mapping[str, Any], name: str, addon: StepAddon) -> dict[str, Any]:
    """Parameters of an addon with the keys that every step has."""
    module = sys.modules[addon.Params.__module__].__doc__
    return {
        "title": name,
        "description": _first(module),
        "type": "object",
        "additionalProperties": False,
        "properties": {**step["properties"], "addon": {"const": name}, **params["properties"]},
        "required": ["addon", *params.get("required", [])],
    }


def _first(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def schema_text() -> str:
    """What `rules/schema.json` must hold."""
    return json.dumps(build_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
