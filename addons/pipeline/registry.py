"""The visible list of step addons. Third parties add theirs by the entry point group `ofapi.addons`.

An entry point names a class that is a `StepAddon`; its `name` must be new. One that cannot be loaded is reported by
`ofapi rules check` and is otherwise as if it were not installed.
"""

from __future__ import annotations

import importlib
from functools import cache
from importlib.metadata import entry_points
from typing import cast

from addons.pipeline.steps import StepAddon

GROUP = "ofapi.addons"

BUILT_IN = (
    "addons.enrich.lookup:Lookup",
    "addons.enrich.classify:Classify",
    "addons.enrich.template:TextTemplate",
    "addons.enrich.join:Join",
    "addons.enrich.rename:Rename",
    "addons.enrich.unwrap:Unwrap",
    "addons.enrich.remove:Remove",
    "addons.enrich.const:Const",
    "addons.enrich.copy:Copy",
    "addons.enrich.pick:Pick",
    "addons.enrich.map_values:MapValues",
    "addons.enrich.date_offset:DateOffset",
    "addons.enrich.wrap:Wrap",
)


class Registry(dict[str, StepAddon]):
    """Addons by name. `failed`: entry points that could not be loaded, with the reason."""

    def __init__(self) -> None:
        super().__init__()
        self.failed: dict[str, str] = {}


def built_in() -> Registry:
    """The addons of this package."""
    found = Registry()
    for dotted in BUILT_IN:
        module, _, attribute = dotted.partition(":")
        addon = cast(StepAddon, getattr(importlib.import_module(module), attribute))
        found[addon.name] = addon
    return found


@cache
def registry() -> Registry:
    """Every registered addon, built once."""
    found = built_in()
    for point in entry_points(group=GROUP):
        try:
            addon = cast(StepAddon, point.load())
            if addon.name in found:
                raise ValueError(f"an addon named `{addon.name}` exists already")
            _ = addon.Params.model_fields, addon.compile
            found[addon.name] = addon
        except Exception as error:  # a third party's package must not stop the gateway
            found.failed[point.name] = f"{type(error).__name__}: {error}"
    return found
