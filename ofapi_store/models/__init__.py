"""Tables, one file per topic. Every module here is imported, so that no table can be missing from the metadata."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from ofapi_store.models.base import Base, metadata

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["Base", "metadata"]
