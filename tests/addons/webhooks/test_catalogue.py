"""The events of contract 7.2."""

from __future__ import annotations

from addons.webhooks.catalogue import EVENTS
from addons.webhooks.sender import EPHEMERAL


def test_the_catalogue_is_the_contracts() -> None:
    """32 names, each described by a sentence; the ephemeral ones are among them."""
    assert len(EVENTS) == 32
    assert all(text.endswith(".") for text in EVENTS.values())
    assert set(EVENTS) >= EPHEMERAL
