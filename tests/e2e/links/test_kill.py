"""Clicks that were answered survive `kill -9` of the gateway, each once."""

from __future__ import annotations

from scripts.benches import redirect
from scripts.cli.frame import REPO


def test_no_answered_click_is_lost_or_stored_twice() -> None:
    """A kill under load, then a new process: what was answered is stored, nothing twice."""
    found = redirect.kills(REPO / "rules", 400, 1)
    assert found["answered"] >= 400
    assert (found["lost"], found["doubled"]) == (0, 0)
