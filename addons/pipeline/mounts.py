"""Which part of the gateway a path belongs to: the longest mount prefix, compared by whole decoded segments."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from addons.config.serving import Mounts as MountConfig
    from addons.pipeline.paths import CanonicalPath

PUBLIC = frozenset({"internal", "redirect", "cdn", "connect", "embed"})
"""Mounts whose requests carry no API key: they answer to everyone, or to the bearer of a token in the path."""


class MountTable:
    """Mounts of one config, longest prefix first. `/apiary` does not belong to `/api`.

    `cdn_hosts`: hosts that are nothing but the mount `cdn`, with its prefix or without.
    """

    def __init__(self, config: MountConfig, cdn_hosts: Collection[str] = ()) -> None:
        self._cdn_hosts = frozenset(host.lower() for host in cdn_hosts)
        pairs = {name: tuple(p for p in getattr(config, name).split("/") if p) for name in type(config).model_fields}
        self._by_length = sorted(((p, name) for name, p in pairs.items()), key=lambda pn: -len(pn[0]))
        self._prefix = {name: "".join(f"/{part}" for part in p) for name, p in pairs.items()}

    def resolve(self, path: CanonicalPath, host: str = "") -> tuple[str | None, CanonicalPath]:
        """(mount name, the path below it); name is None where no mount covers the path."""
        own = host.rstrip(".") in self._cdn_hosts
        for prefix, name in self._by_length:
            if path.segments[: len(prefix)] == prefix and (name == "cdn" or not own):
                return name, path.without(len(prefix))
        return ("cdn" if own else None), path

    def prefix(self, name: str) -> str:
        """The path prefix of a mount without trailing slash, "" for the root."""
        return self._prefix[name]
