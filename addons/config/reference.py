"""The text of docs/config.md, from the model: `python -m addons.config.reference > docs/config.md`."""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from addons.config.model import Config
from addons.config.types import SecretRef

HEAD = """# Config

`config.yaml` holds facts of the deployment only; what the gateway does to a request is in `rules/`.

<!-- Generated from the model: `python -m addons.config.reference > docs/config.md` -->

- Every key has a default; an empty file is a valid config.
- `scripts/run --config FILE`, `ofapi --config FILE …` or `$OFAPI_CONFIG` name another file.
- Relative paths start at the folder of the config file.
- Units are in the names: `_s` seconds, `_bytes` bytes, `_days` days.
- Secrets are named, never written: `{env: NAME}` (environment variable) or `{file: path}`. A literal is refused.
- An unknown key, a wrong type or a value out of range stops the start, with `file:line:column` of every error.
- `ofapi doctor` checks a config and what it points to.
"""


def keys() -> Iterator[tuple[str, FieldInfo]]:
    """Every key of config.yaml as a dotted path, with its field."""
    yield from _walk(Config, "")


def _walk(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        inner = _section(field)
        if inner is None:
            yield prefix + name, field
        else:
            yield from _walk(inner, f"{prefix}{name}.")


def _section(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    is_section = isinstance(kind, type) and issubclass(kind, BaseModel) and kind is not SecretRef
    return typing.cast("type[BaseModel]", kind) if is_section else None


def type_name(kind: Any) -> str:
    """How the docs name a type: `string`, `list of string`, `true or false`, …"""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return type_name(args[0])
    if origin is typing.Literal:
        return " \\| ".join(f"`{a}`" for a in args)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys("null" if a is type(None) else type_name(a) for a in args))
    if origin is tuple:
        return f"list of {type_name(args[0])}"
    if origin is dict:
        return f"mapping of {type_name(args[0])} to {type_name(args[1])}"
    names = {str: "string", int: "integer", float: "number", bool: "true or false", SecretRef: "reference"}
    return names.get(kind, "path")


def default_text(field: FieldInfo) -> str:
    """The default as YAML writes it."""
    value = field.default
    if value is PydanticUndefined:
        return "–"
    if isinstance(value, tuple):
        value = list(value)
    text = yaml.safe_dump(value, default_flow_style=True, width=1000, sort_keys=False)
    return f"`{text.removesuffix('...\n').strip()}`"


def render() -> str:
    """The whole page."""
    parts = [HEAD, "## Top level\n", *_table((n, f) for n, f in Config.model_fields.items() if _section(f) is None)]
    for name, field in Config.model_fields.items():
        model = _section(field)
        if model is not None:
            parts += [f"\n## `{name}`\n", f"{(model.__doc__ or '').strip()}\n"]
            parts += _table(_walk(model, f"{name}."))
    return "\n".join(parts) + "\n"


def _table(rows: Iterator[tuple[str, FieldInfo]]) -> list[str]:
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for name, f in rows:
        lines.append(f"| `{name}` | {type_name(f.annotation)} | {default_text(f)} | {f.description} |")
    return lines


if __name__ == "__main__":
    sys.stdout.write(render())
