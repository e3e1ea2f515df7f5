"""Reading config.yaml: every error at once, each as `file:line:column: what, then what to do`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from addons.config.model import Config
from addons.pipeline.problems import Problem, did_you_mean
from addons.pipeline.rule_yaml import Source, read_source

_REFERENCE = "name it by reference: {env: NAME} or {file: path}"


class ConfigError(Exception):
    """The config cannot be used; `problems` has every finding, in file order, as text."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        found = sorted(set(problems), key=lambda p: (p.line, p.column, p.message))
        self.problems = [str(p) for p in found]
        super().__init__("\n".join(self.problems))


def load_config(path: Path | str) -> Config:
    """The config in `path`. Raises ConfigError."""
    path = Path(path).absolute()
    source, _ = read_source(path, _shown(path))
    if source.problems:
        raise ConfigError(source.problems)
    data = {} if source.data is None else source.data
    if not isinstance(data, dict):
        raise ConfigError([source.problem((), "bad-value", "a config is a mapping", "start with `listen:`")])
    try:
        given = {k: v for k, v in data.items() if v not in (None, "")}  # `jobs:` with nothing below it
        config = Config.build(given, base=path.parent)
    except ValidationError as e:
        errors = [x for x in e.errors(include_input=False, include_url=False) if x["type"] != "too_short"] or e.errors()
        raise ConfigError(_problem(source, x) for x in errors) from None
    config._path = path
    return config


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _problem(source: Source, error: ErrorDetails) -> Problem:
    where = tuple(error["loc"])
    place = where
    while place and place not in source.values:  # parts that pydantic adds to name a branch of a union
        place = place[:-1]
    name = ".".join(map(str, place)) or str(where[-1])
    if error["type"] == "extra_forbidden":
        siblings = _keys_at(place[:-1])
        hint = did_you_mean(str(place[-1]), siblings, what="keys here")
        return source.problem(place, "unknown-key", f"unknown key `{name}`", hint, key=True)
    message = error["msg"].removeprefix("Value error, ")
    return source.problem(place, "bad-value", f"`{name}`: {message}", _hint(error, message))


def _hint(error: ErrorDetails, message: str) -> str:
    if "reference" in message or "secret" in message:
        return _REFERENCE
    given = error.get("ctx", {})
    return f"expected {given['expected']}" if "expected" in given else "docs/config.md lists each key's type and range"


def _keys_at(path: tuple[str | int, ...]) -> list[str]:
    model: Any = Config
    for part in path:
        field = model.model_fields.get(str(part)) if isinstance(model, type) and issubclass(model, BaseModel) else None
        model = field.annotation if field else None
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []
