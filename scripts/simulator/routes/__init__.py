"""Handlers by resource area; importing this package fills the route table."""

from __future__ import annotations

from importlib import import_module

from scripts.simulator.routes.base import TABLE, Call, Fail, Reply, Route

AREAS = (
    "chats",
    "engagement",
    "fans",
    "links",
    "lists",
    "media",
    "misc",
    "notifications",
    "offers",
    "posts",
    "queue",
    "settings",
    "stories",
    "transactions",
    "users",
)
for area in AREAS:
    import_module(f"{__name__}.{area}")

__all__ = ["AREAS", "TABLE", "Call", "Fail", "Reply", "Route"]
