"""The visible list of handler families: `handler: link_tags.add` in a rule names `add` of the family `link_tags`.

A family is a module with `HANDLERS: dict[str, Handler]`. Entry point group `ofapi.handlers` adds families of others.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module, metadata
from importlib.util import find_spec

from addons.compute.api import Handler

FAMILIES = ("addons.compute.accounts", "addons.compute.analytics", "addons.compute.usage")
GROUP = "ofapi.handlers"


class DuplicateHandler(ValueError):
    """Two families have a handler of one name."""


@cache
def handlers() -> Mapping[str, Handler]:
    """Every handler by name. Raises DuplicateHandler."""
    modules = [name for name in FAMILIES if find_spec(name)]
    modules += [point.value for point in metadata.entry_points(group=GROUP)]
    found: dict[str, Handler] = {}
    for name in modules:
        for key, handler in import_module(name).HANDLERS.items():
            if key in found:
                raise DuplicateHandler(f"handler {key} of {name} exists already; give it another name")
            found[key] = handler
    return found


def names() -> frozenset[str]:
    """The handler names that rules may use."""
    return frozenset(handlers())
