"""`GET /_ofapi/health`: whether this gateway can serve, and every reason why it serves less than it should."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from addons.pipeline.parts import Parts


PING_S = 5.0


async def report(parts: Parts) -> tuple[int, dict[str, Any]]:
    """(status, body): 200 `ok`; 200 `degraded` with reasons while requests are served; 503 `down` without a store."""
    reasons: list[str] = []
    store = await _store(parts, reasons)
    rules = _rules(parts, reasons)
    for name, check in parts.services.parts.get("health", {}).items():
        found = await check()
        if found:
            reasons.append(f"{name}: {found}")
    status = "ok" if not reasons else "degraded" if store else "down"
    body = {"status": status, "reasons": reasons, "rules": rules, "store": "ok" if store else "unavailable"}
    return 200 if store else 503, body


async def _store(parts: Parts, reasons: list[str]) -> bool:
    try:
        async with asyncio.timeout(PING_S):
            await parts.services.store.aread_slow(_ping)
    except Exception as e:
        reasons.append(f"store: {type(e).__name__}; see the gateway's log and `ofapi doctor`")
        return False
    return True


def _ping(conn: Connection) -> None:
    conn.execute(text("SELECT 1"))


def _rules(parts: Parts, reasons: list[str]) -> dict[str, Any]:
    plan = parts.plan()
    out: dict[str, Any] = {"version": plan.version, "loaded_at": plan.loaded_at, "count": len(plan.rules)}
    state = parts.services.parts.get("rules_state")
    if state is None:
        return out
    last = state()
    out["last_reload"] = last
    ok = bool(last.get("ok", True))
    parts.metrics.reloads.set(1 if ok else 0)
    if not ok:
        reasons.append("rules: the last change was refused, the rules before it are in use; see `rules.last_reload`")
    if waiting := last.get("waiting_for"):
        reasons.append(f"rules: changes wait until nobody has these files open for writing: {', '.join(waiting)}")
    return out
