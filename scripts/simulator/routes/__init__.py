"""Handlers by resource area; importing this package fills the route table."""

from __future__ import annotations

from scripts.simulator.routes import chats, engagement, fans, links, media, transactions, users
from scripts.simulator.routes.base import TABLE, Call, Fail, Reply, Route

__all__ = ["TABLE", "Call", "Fail", "Reply", "Route", "chats", "engagement", "fans", "links", "media", "transactions", "users"]
