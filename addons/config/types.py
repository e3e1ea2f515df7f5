"""Field types of the config: paths relative to the config file, secrets by reference, URLs, hosts, ranges."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    model_validator,
)

HOST_PATTERN = re.compile(r"(?i)^(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$")


class Section(BaseModel):
    """A mapping in config.yaml: unknown keys are errors, values do not change after the load."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, use_attribute_docstrings=False)


def base_dir(info: ValidationInfo) -> Path:
    """The folder that relative paths start from: that of the config file, else the working directory."""
    context = info.context or {}
    return Path(context.get("base") or Path.cwd())


def _absolute(value: Path, info: ValidationInfo) -> Path:
    return base_dir(info) / value.expanduser()


ConfigPath = Annotated[Path, AfterValidator(_absolute)]
"""A path; relative ones start at the folder of the config file."""


class SecretMissing(Exception):
    """A secret that config refers to is not there. The text says where it was looked for and what to do."""


class SecretRef(Section):
    """Where a secret is: an environment variable or a file; never the secret itself."""

    env: str | None = Field(None, description="Name of the environment variable that holds the secret.")
    file: ConfigPath | None = Field(None, description="File that holds the secret; surrounding whitespace is dropped.")

    @model_validator(mode="before")
    @classmethod
    def _no_literal(cls, value: Any) -> Any:
        if not isinstance(value, dict | SecretRef):  # the value itself must not reach an error message
            raise ValueError("a secret is named, not written: use {env: NAME} or {file: path}")
        return value

    @model_validator(mode="after")
    def _exactly_one(self) -> SecretRef:
        if (self.env is None) == (self.file is None):
            raise ValueError("give exactly one of env and file: {env: NAME} or {file: path}")
        return self

    def resolve(self) -> str:
        """The secret's text. Raises SecretMissing."""
        if self.env is not None:
            found = os.environ.get(self.env, "").strip()
            if not found:
                raise SecretMissing(f"environment variable {self.env} is not set; set it to the secret")
            return found
        assert self.file is not None
        try:
            text = self.file.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            raise SecretMissing(f"{self.file} does not exist; `ofapi db init` makes a missing key file") from None
        except (OSError, UnicodeDecodeError) as e:
            raise SecretMissing(f"{self.file} cannot be read: {e}; mend its permissions or contents") from e
        if not text:
            raise SecretMissing(f"{self.file} is empty; write the secret into it")
        return text


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    try:
        _ = parts.port
    except ValueError:
        raise ValueError(f"{value!r} has a port that is not a number from 0 to 65535") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{value!r} is no http:// or https:// URL with a host")
    if parts.username or parts.password:
        raise ValueError("a URL here must not contain a user or password")
    if parts.query or parts.fragment:
        raise ValueError(f"{value!r} must not have a query or fragment")
    return value.rstrip("/")


def _host(value: str) -> str:
    if not HOST_PATTERN.match(value):
        raise ValueError(f"{value!r} is no host name (no scheme, port or path; `*.` may lead)")
    return value.lower()


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        return _host(value)
    return value


def _cidr(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value, strict=False))
    except ValueError:
        raise ValueError(f"{value!r} is no address range such as 10.0.0.0/8") from None


def _mount(value: str) -> str:
    if not value.startswith("/") or "//" in value or "?" in value or "#" in value or "{" in value:
        raise ValueError(f"{value!r} is no path prefix such as /api")
    return value.rstrip("/") or "/"


def _store_url(value: str | SecretRef, info: ValidationInfo) -> str | SecretRef:
    if isinstance(value, SecretRef):
        return value
    scheme, _, rest = value.partition(":")
    if scheme in ("postgresql", "postgres", "postgresql+psycopg"):
        if urlsplit(value).password:
            raise ValueError("the URL holds a password: name the whole URL by reference, {env: NAME} or {file: path}")
        return "postgresql+psycopg:" + rest
    if scheme != "sqlite" or not rest.startswith("///"):
        raise ValueError("expected sqlite:///path/to/file.db or postgresql://user@host/database")
    path = rest[3:]
    return value if path.startswith("/") else f"sqlite:///{_escaped(base_dir(info))}/{path}"


def _escaped(folder: Path) -> str:
    """A folder for a URL, whatever its name holds."""
    return str(folder).replace("%", "%25").replace("?", "%3F").replace("#", "%23")


HttpUrl = Annotated[str, AfterValidator(_http_url)]
HostName = Annotated[str, AfterValidator(_host)]
HostOrCidr = Annotated[str, AfterValidator(_network)]
Cidr = Annotated[str, AfterValidator(_cidr)]
Mount = Annotated[str, AfterValidator(_mount)]
StoreUrl = Annotated[
    Annotated[str, Tag("url")] | Annotated[SecretRef, Tag("reference")],
    Discriminator(lambda value: "url" if isinstance(value, str) else "reference"),
    AfterValidator(_store_url),
]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Amount = Annotated[int, Field(ge=0)]
