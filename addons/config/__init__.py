"""The deployment's facts: the model of `config.yaml` and its loader. See docs/config.md for every key."""

from __future__ import annotations

from addons.config.load import ConfigError, load_config
from addons.config.model import Config
from addons.config.types import SecretMissing, SecretRef

__all__ = ["Config", "ConfigError", "SecretMissing", "SecretRef", "load_config"]
