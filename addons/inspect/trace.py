"""What is kept of an exchange with its flow: plain data, masked, bounded, saved in flow files."""

from __future__ import annotations

from collections import Counter
from typing import Any

from addons.inspect.masking import mask_body, mask_value
from addons.pipeline.exchange import Edit, Exchange

KEY = "ofapi"
MAX_EDITS = 300
MAX_VALUE = 200
MASKED_BYTES = 4096

MARKERS = {
    "hybrid": ":large_blue_circle:",
    "computed": ":green_circle:",
    "media": ":purple_circle:",
    "passthrough": ":white_circle:",
    "error": ":red_circle:",
}
"""Set by us, one per source. A mark that a person sets is another one, and keeps the flow."""


def source_of(x: Exchange) -> str:
    """`hybrid`, `computed`, `media` or `passthrough`."""
    return x.match.rule.source if x.match else "passthrough"


def trace_of(x: Exchange) -> dict[str, Any]:
    """The record of an exchange, for the content view and for flow files."""
    notes = x.notes
    return {
        "source": source_of(x),
        "rule": x.rule_id,
        "request_id": x.id,
        "dialect": x.dialect,
        "entry": x.entry.kind,
        "account": x.account.id if x.account else None,
        "team": x.principal.team.id if x.principal else None,
        "status": x.response.status if x.response else None,
        "upstream_status": x.upstream_status,
        "upstream_ms": notes.upstream_ms,
        "store_ms": notes.store_ms,
        "credits": notes.credits,
        "retried": notes.retried,
        "swapped": notes.swapped,
        "handler": notes.handler,
        "queries": list(notes.queries[:50]),
        "skipped": [[step, reason[:MAX_VALUE]] for step, reason in notes.skipped[:50]],
        "counts": dict(notes.counts),
        "edits": [_edit(e) for e in x.edits[:MAX_EDITS]],
        "edits_total": len(x.edits),
        "fields": Counter(_name(e) for e in x.edits).most_common(4),
    }


def _name(edit: Edit) -> str:
    return edit.pointer.rpartition("/")[2].replace("~1", "/").replace("~0", "~") or "body"


def _edit(edit: Edit) -> dict[str, Any]:
    origin = edit.origin
    return {
        "pointer": edit.pointer,
        "before": _value(edit.pointer, edit.old),
        "after": _value(edit.pointer, edit.new),
        "rule": edit.rule,
        "step": edit.step,
        "table": origin.table if origin else None,
        "row": origin.row if origin else None,
        "age_s": origin.age_s if origin else None,
    }


def _value(pointer: str, raw: bytes | None) -> str | None:
    if raw is None:
        return None
    shown = raw[:MASKED_BYTES]  # more than is shown: a secret that is cut short would not be known for one
    text = (mask_body(shown, "") if raw[:1] in b"{[" else shown).decode("utf-8", "replace")
    text = text if len(text) <= MAX_VALUE else text[:MAX_VALUE] + "…"
    return mask_value(pointer, text)


def comment_of(trace: dict[str, Any]) -> str:
    """One line: `hybrid fans-active · 20 lastReplyAt · upstream 212 ms · store 0.4 ms · 1 credit`."""
    parts = [f"{trace['source']} {trace['rule']}"]
    parts += [f"{count} {name}" for name, count in trace["fields"]]
    if trace["handler"]:
        parts.append(str(trace["handler"]))
    if trace["swapped"]:
        parts.append(f"{trace['swapped']} media")
    if trace["upstream_ms"] is not None:
        parts.append(f"upstream {trace['upstream_ms']:.0f} ms" + (" (retried)" if trace["retried"] else ""))
    if trace["store_ms"]:
        parts.append(f"store {trace['store_ms']:.1f} ms")
    if trace["skipped"]:
        parts.append(f"{len(trace['skipped'])} skipped")
    credits = trace["credits"]
    if credits:
        parts.append(f"{credits} credit" + ("" if credits == 1 else "s"))
    return " · ".join(parts)


def marker_of(trace: dict[str, Any]) -> str:
    status = trace["status"] or 0
    return MARKERS["error"] if status >= 500 else MARKERS.get(str(trace["source"]), MARKERS["passthrough"])
