"""Handler families: `handler: link_tags.add` in a rule names `add` of the family `link_tags`.

Every module of `addons.compute`, and those of `ELSEWHERE`, that has `HANDLERS: dict[str, Handler]` is a family, and so is
one with `SELECTORS: dict[str, Selector]`, for the `index` of rules. Entry point group `ofapi.handlers` adds those of others.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Any

import addons.compute
from addons.compute.api import Handler, Selector

ELSEWHERE = ("addons.media.handlers",)
GROUP = "ofapi.handlers"
_HERE = f"{addons.compute.__name__}."


class DuplicateHandler(ValueError):
    """Two families have a handler of one name."""


@cache
def handlers() -> Mapping[str, Handler]:
    """Every handler by name. Raises DuplicateHandler."""
    return _collected("HANDLERS")


@cache
def selectors() -> Mapping[str, Selector]:
    """Every selector by name. Raises DuplicateHandler."""
    return _collected("SELECTORS")


def _collected(attribute: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in _modules():
        for key, handler in getattr(import_module(name), attribute, {}).items():
            if key in found:
                raise DuplicateHandler(f"handler {key} of {name} exists already; give it another name")
            found[key] = handler
    return found


def names() -> frozenset[str]:
    """The handler names that rules may use."""
    return frozenset(handlers())


def _modules() -> Iterator[str]:
    for module in pkgutil.iter_modules(addons.compute.__path__, _HERE):
        if module.name != __name__:
            yield module.name
    yield from (name for name in ELSEWHERE if find_spec(name))
    yield from (point.value for point in metadata.entry_points(group=GROUP))
