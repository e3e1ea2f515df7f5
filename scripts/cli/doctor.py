"""Placeholder while the tree grows."""

from __future__ import annotations


def command() -> None:
    """Not there yet."""
