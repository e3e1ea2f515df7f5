"""What mitmproxy loads: the attribute `addons` is built on first use, so that importing a sub-package stays cheap."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "addons":
        from addons.engine.load import load_addons

        loaded = load_addons()
        globals()["addons"] = loaded
        return loaded
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
