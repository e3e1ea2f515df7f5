"""The content view OFAPI: every edit of an answer, and where its value came from."""

from __future__ import annotations

from typing import Any, cast

from mitmproxy import contentviews

from addons.inspect.trace import KEY


class OfapiView(contentviews.Contentview):
    """Lists a flow's edits as pointer, before → after, rule, step, table and row age."""

    @property
    def name(self) -> str:
        return "OFAPI"

    @property
    def syntax_highlight(self) -> contentviews.SyntaxHighlight:
        return "yaml"

    def prettify(self, data: bytes, metadata: contentviews.Metadata) -> str:
        trace = metadata.flow.metadata.get(KEY) if metadata.flow else None
        if not trace:
            return "# This flow did not go through the gateway's rules, or is still under way."
        return render(cast(dict[str, Any], trace))

    def render_priority(self, data: bytes, metadata: contentviews.Metadata) -> float:
        return 0.1  # to be chosen, never in the way of the body


def render(trace: dict[str, Any]) -> str:
    """The record as text."""
    lines = [
        f"rule: {trace['rule']}",
        f"source: {trace['source']}",
        f"status: {trace['status']}" + (f" (upstream {trace['upstream_status']})" if trace["upstream_status"] else ""),
        f"account: {trace['account'] or '-'}",
        f"request id: {trace['request_id']}",
        f"times: upstream {_ms(trace['upstream_ms'])}, store {_ms(trace['store_ms'])}",
        f"credits: {trace['credits']}",
    ]
    if trace["handler"]:
        lines += [f"handler: {trace['handler']}", "queries:", *(f"  - {q}" for q in trace["queries"])]
    elif trace["queries"]:
        lines += ["queries:", *(f"  - {q}" for q in trace["queries"])]
    if trace["counts"]:
        lines += ["counts:", *(f"  {name}: {n}" for name, n in trace["counts"].items())]
    if trace["skipped"]:
        lines += ["skipped:", *(f"  - {step}: {reason}" for step, reason in trace["skipped"])]
    lines.append(f"edits: {trace['edits_total']}")
    lines += [_edit_line(e) for e in trace["edits"]]
    if trace["edits_total"] > len(trace["edits"]):
        lines.append(f"  … and {trace['edits_total'] - len(trace['edits'])} more")
    return "\n".join(lines)


def _edit_line(edit: dict[str, Any]) -> str:
    before = "(absent)" if edit["before"] is None else edit["before"]
    after = "(removed)" if edit["after"] is None else edit["after"]
    origin = ""
    if edit["table"]:
        age = f", {_age(edit['age_s'])} old" if edit["age_s"] is not None else ""
        origin = f"  [{edit['table']} {edit['row']}{age}]"
    return f"  {edit['pointer'] or '(body)'}: {before} → {after}  ({edit['rule']} / {edit['step']}){origin}"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"


def _age(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
