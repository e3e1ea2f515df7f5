"""Reading config.yaml: every error at once, each as `file:line:column: what`, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from addons.config.model import Config, sections
from addons.pipeline.model_problems import validate
from addons.pipeline.problems import Problem
from addons.pipeline.rule_yaml import Place, read_source


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
    problems = list(source.problems)
    data = {} if source.data is None else source.data
    if not isinstance(data, dict):
        problems.append(
            source.problem((), "bad-value", "a config is a mapping", "begin with a section such as `listen:`")
        )
    if problems:
        raise ConfigError(problems)
    given = {k: v for k, v in data.items() if v is not None}  # `jobs:` with nothing below it
    context = {"base": path.parent}
    config = validate(Config, sections() | given, Place(source, (), problems), what="the config", context=context)
    if config is None:
        raise ConfigError(problems)
    config._path = path
    return config


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
