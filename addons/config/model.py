"""The whole of config.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr

from addons.config import serving, working
from addons.config.types import HttpUrl, SecretRef, Section


class Config(Section):
    """Facts of one deployment. Every key has a default; docs/config.md is generated from this."""

    listen: serving.Listen = Field(default_factory=serving.Listen)
    proxy: serving.Proxy = Field(default_factory=serving.Proxy)
    web: serving.Web = Field(default_factory=serving.Web)
    public_url: HttpUrl | None = Field(
        None, description="Root under which clients reach the gateway; null is taken from each request's Host."
    )
    mounts: serving.Mounts = Field(default_factory=serving.Mounts)
    rules: serving.Rules = Field(default_factory=serving.Rules)
    upstream: serving.Upstream = Field(default_factory=serving.Upstream)
    store: serving.StoreSection = Field(default_factory=serving.StoreSection)
    secrets: serving.Secrets = Field(default_factory=serving.Secrets)
    limits: serving.Limits = Field(default_factory=serving.Limits)
    credits: serving.Credits = Field(default_factory=serving.Credits)
    media: serving.Media = Field(default_factory=serving.Media)
    jobs: working.Jobs = Field(default_factory=working.Jobs)
    sync: working.Sync = Field(default_factory=working.Sync)
    webhooks: working.Webhooks = Field(default_factory=working.Webhooks)
    exports: working.Exports = Field(default_factory=working.Exports)
    links: working.Links = Field(default_factory=working.Links)
    auth: working.Auth = Field(default_factory=working.Auth)
    network: working.Network = Field(default_factory=working.Network)
    log: working.Log = Field(default_factory=working.Log)

    _path: Path | None = PrivateAttr(default=None)

    @classmethod
    def build(cls, data: Mapping[str, Any] | None = None, *, base: Path | str | None = None) -> Config:
        """From plain data, paths relative to `base` (default: the working directory). Raises pydantic's ValidationError."""
        whole = sections() | dict(data or {})
        return cls.model_validate(whole, context={"base": Path(base or Path.cwd()).absolute()})

    @property
    def path(self) -> Path | None:
        """The file this came from."""
        return self._path

    @property
    def store_url(self) -> str:
        """The store's URL, resolved. May hold a password: never log it. Raises SecretMissing."""
        url = self.store.url
        return url.resolve() if isinstance(url, SecretRef) else url

    def secret_keys(self) -> list[str]:
        """The encryption keys, first the one that encrypts. Raises SecretMissing."""
        return [ref.resolve() for ref in self.secrets.keys]


def sections() -> dict[str, Any]:
    """Every section, empty: given explicitly, their default paths are resolved like those of the file."""
    return {name: {} for name in Config.model_fields if name != "public_url"}
