"""Every family's handlers are found by name, once."""

from __future__ import annotations

import types

import pytest

from addons.compute import registry


def test_the_families_of_this_package_are_found() -> None:
    """A module with HANDLERS is a family; names are `<family>.<function>`."""
    found = registry.handlers()
    assert {"accounts.whoami", "accounts.list", "accounts.disconnect"} <= set(found) == registry.names()
    assert all(name.count(".") == 1 and callable(handler) for name, handler in found.items())
    assert "fan_index.spenders" in registry.selectors()


def test_two_handlers_of_one_name_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the handler and the module."""
    module = types.SimpleNamespace(HANDLERS={"x.y": None})
    monkeypatch.setattr(registry, "_modules", lambda: iter(["one", "two"]))
    monkeypatch.setattr(registry, "import_module", lambda _: module)
    with pytest.raises(registry.DuplicateHandler, match=r"x\.y of two"):
        registry.handlers.__wrapped__()
