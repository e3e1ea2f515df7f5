"""How much of the official client these tests speak."""

from __future__ import annotations

import ast
from pathlib import Path

HERE = Path(__file__).parent
ROOTS = {"client", "writer"}
LEAST = 150


def operations(source: str) -> set[str]:
    """Calls like `client.fans.notes.get_notes(…)`, as `fans.notes.get_notes`; short names for resources are followed."""
    tree = ast.parse(source)
    aliases: dict[str, str] = dict.fromkeys(ROOTS, "")
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            pairs = _pairs(node)
            aliases |= {name: path for name, value in pairs if (path := _path(value, aliases)) is not None and path}
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    found = (_path(func, aliases) for func in calls if isinstance(func, ast.Attribute))
    return {path for path in found if path}


def _pairs(node: ast.Assign) -> list[tuple[str, ast.expr]]:
    target, value = node.targets[0], node.value
    if isinstance(target, ast.Name):
        return [(target.id, value)]
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        return [(t.id, v) for t, v in zip(target.elts, value.elts, strict=True) if isinstance(t, ast.Name)]
    return []


def _path(node: ast.expr, aliases: dict[str, str]) -> str | None:
    """The resource path of `client.a.b`, None for anything else."""
    if isinstance(node, ast.Name):
        return aliases.get(node.id)
    if isinstance(node, ast.Attribute):
        inner = _path(node.value, aliases)
        return None if inner is None else f"{inner}.{node.attr}".lstrip(".")
    return None


def test_enough_operations() -> None:
    """At least 150 different operations go through the official client in strict mode."""
    found: set[str] = set()
    for path in HERE.glob("test_*.py"):
        found |= operations(path.read_text())
    assert len(found) >= LEAST, sorted(found)
