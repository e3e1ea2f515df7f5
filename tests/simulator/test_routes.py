from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from scripts.simulator.routes import TABLE

RULES = Path(__file__).parents[2] / "rules"
PARAMETER = re.compile(r"\{(\w+)\}")


def upstreams() -> list[str]:
    """`METHOD /path` of every rule's upstream, parameters filled with 1."""
    found = set()
    for file in sorted(RULES.rglob("*.yaml")):
        data = yaml.safe_load(file.read_text())
        rules = data.get("rules", []) if isinstance(data, dict) else data or []
        found |= {PARAMETER.sub("1", rule["upstream"].split("?")[0]) for rule in rules if rule.get("upstream")}
    return sorted(found)


@pytest.mark.parametrize("spec", upstreams())
def test_every_upstream_of_the_rules_is_simulated(spec: str) -> None:
    """Each path that a rule sends requests to has a handler here."""
    method, path = spec.split(" ")
    assert TABLE.match("GET" if method == "HEAD" else method, path.removeprefix("/api2/v2")), f"no handler for {spec}"
