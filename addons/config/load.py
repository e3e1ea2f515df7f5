"""Reading config.yaml."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ValidationError

from addons.config.model import Config


class ConfigError(Exception):
    """The config cannot be used; `problems` are `file:line:col: text`, all of them."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load_config(path: Path | str) -> Config:
    """The config in `path`. Raises ConfigError."""
    path = Path(path).absolute()
    try:
        text = path.read_text(encoding="utf-8")
        data = yaml.load(text, Loader=yaml.CSafeLoader) or {}
        config = Config.build(data, base=path.parent)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as e:
        raise ConfigError([f"{path}: {e}"]) from e
    except ValidationError as e:
        problems = [f"{path}: {'.'.join(map(str, x['loc']))}: {x['msg']}" for x in e.errors(include_input=False)]
        raise ConfigError(problems) from e
    config._path = path
    return config
