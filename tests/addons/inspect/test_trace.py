"""What is kept of an exchange: a comment of one line, a marker, bounded and masked edits."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from addons.inspect.trace import MARKERS, MAX_EDITS, MAX_VALUE, comment_of, marker_of, trace_of
from addons.pipeline.exchange import Edit, Entry, Exchange, Headers, Notes, Origin, Request, Response


def exchange(edits: int = 20, *, source: str = "hybrid", status: int = 200, **notes: Any) -> Exchange:
    x = Exchange("01H", Entry("reverse", "http", "h", 80, "127.0.0.1"), Request("GET", "/", Headers()), 0.0)
    rule = SimpleNamespace(id="fans-active", source=source)
    x.match = cast(Any, SimpleNamespace(rule=rule, params={}))
    origin = Origin("fans", "acct/1", 60.0)
    x.edits = [Edit(f"/list/{i}/lastReplyAt", None, b'"2025"', "fans-active", "lookup-1", origin) for i in range(edits)]
    x.notes = Notes(**notes)
    x.response = Response(status, Headers())
    return x


def test_comment_is_the_line_of_the_issue() -> None:
    """Source, rule, edits by field, times, credits."""
    x = exchange(upstream_ms=212.4, store_ms=0.41, credits=1)
    assert comment_of(trace_of(x)) == "hybrid fans-active · 20 lastReplyAt · upstream 212 ms · store 0.4 ms · 1 credit"


def test_an_edit_of_the_whole_body_has_a_name() -> None:
    """Where a step, or an index, makes another body of upstream's."""
    x = exchange(2)
    x.edits.append(Edit("", b"{}", b"[]", "fans-active", "unwrap"))
    assert comment_of(trace_of(x)) == "hybrid fans-active · 2 lastReplyAt · 1 body"


def test_comment_of_computed_and_skipped() -> None:
    """Handlers, retries and skipped steps show; what did not happen is left out."""
    x = exchange(0, source="computed", handler="tags.add", credits=2)
    assert comment_of(trace_of(x)) == "computed fans-active · tags.add · 2 credits"
    x = exchange(0, upstream_ms=5.0, retried=True, skipped=[("s", "deadline")])
    assert comment_of(trace_of(x)) == "hybrid fans-active · upstream 5 ms (retried) · 1 skipped"


@pytest.mark.parametrize("source", ["hybrid", "computed", "media", "passthrough"])
def test_marker_per_source(source: str) -> None:
    """Each source has its own marker, our failures another."""
    assert marker_of(trace_of(exchange(source=source))) == MARKERS[source]
    assert marker_of(trace_of(exchange(source=source, status=502))) == MARKERS["error"]


def test_trace_is_plain_bounded_and_masked() -> None:
    """A trace can be saved in a flow file: JSON types, a bounded number of edits, short values, no secrets."""
    x = exchange(1000)
    x.edits[0] = Edit("/a/token", b'"old"', b'"new"', "r", "s")
    x.edits[1] = Edit("/a/text", None, b'"' + b"z" * 5000 + b'"', "r", "s")
    trace = json.loads(json.dumps(trace_of(x)))
    assert (len(trace["edits"]), trace["edits_total"]) == (MAX_EDITS, 1000)
    assert (trace["edits"][0]["before"], trace["edits"][0]["after"]) == ("***", "***")
    assert len(trace["edits"][1]["after"]) <= MAX_VALUE + 1
    x.edits[0] = Edit("", b'{"token":"old"}', b'{"list":[{"id":5,"apiKey":"' + b"s" * 1000 + b'"}]}', "r", "s")
    (edit, *_) = trace_of(x)["edits"]
    assert (edit["before"], edit["after"]) == ('{"token":"***"}', '{"list":[{"id":5,"apiKey":"***"}]}')
    assert trace["edits"][2]["table"] == "fans"
