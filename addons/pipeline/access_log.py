"""One structured line per answered request. Never a header, a body, a key or a query value: those may be secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from ofapi_store.ids import TOKENS

if TYPE_CHECKING:
    from addons.pipeline.exchange import Exchange

log = structlog.get_logger("ofapi.access")


def write(x: Exchange, seconds: float) -> None:
    """Log how `x` went; 5xx of our own as error, else info."""
    status = x.response.status if x.response else 0
    emit = log.error if status >= 500 and x.upstream_status is None else log.info
    emit("request", **fields(x, seconds))


def fields(x: Exchange, seconds: float) -> dict[str, Any]:
    """What the line says. Parts that did not happen are left out."""
    notes = x.notes
    found: dict[str, Any] = {
        "request_id": x.id,
        "method": x.request.method,
        "path": shown_path(x),
        "status": x.response.status if x.response else 0,
        "rule": x.rule_id,
        "dialect": x.dialect,
        "ms": round(seconds * 1000, 1),
        "team": x.principal.team.id if x.principal else None,
        "key": x.principal.key.id if x.principal else None,
        "account": x.account.id if x.account else None,
        "upstream_status": x.upstream_status,
        "upstream_ms": round(notes.upstream_ms, 1) if notes.upstream_ms is not None else None,
        "store_ms": round(notes.store_ms, 2) if notes.store_ms else None,
        "edits": len(x.edits) or None,
        "swapped": notes.swapped or None,
        "skipped": [f"{step}: {reason}"[:200] for step, reason in notes.skipped] or None,
        "credits": notes.credits or None,
        "client": x.entry.client_ip,
    }
    return {k: v for k, v in found.items() if v is not None}


def shown_path(x: Exchange) -> str:
    """The path without its query, and without tokens, which open what they name."""
    path = x.request.target.partition("?")[0]
    if x.mount in ("connect", "embed", "redirect", "cdn"):
        return f"{x.state.get('prefix', '')}/…"
    if x.mount == "internal" and x.path is not None and len(x.path.segments) > 1:  # a signed link to an export
        return f"{x.state.get('prefix', '')}/{x.path.segments[0]}/…"
    if x.match is not None and x.match.rule.source == "media":
        return x.match.rule.id  # the path holds a signed URL
    return TOKENS.sub("***", path)[:500]
