"""The content view OFAPI."""

from __future__ import annotations

from mitmproxy import contentviews
from mitmproxy.test import taddons, tflow

from addons.inspect.contentview import OfapiView, render
from addons.inspect.trace import KEY, trace_of
from addons.pipeline.exchange import Edit
from tests.addons.inspect.test_trace import exchange


def test_lists_every_edit() -> None:
    """Pointer, before → after, rule, step, table and row age."""
    text = render(trace_of(exchange(2)))
    assert '  /list/1/lastReplyAt: (absent) → "2025"  (fans-active / lookup-1)  [fans acct/1, 1 min old]' in text.split(
        "\n"
    )


def test_an_edit_of_the_whole_body_says_so() -> None:
    """Its pointer is the empty text, which nobody could see."""
    x = exchange(0)
    x.edits.append(Edit("", b"{}", b"[]", "fans-active", "unwrap"))
    assert "  (body): {} → []  (fans-active / unwrap)" in render(trace_of(x)).split("\n")


def test_computed_answers_show_handler_and_queries() -> None:
    """For a computed answer: its handler and its queries."""
    text = render(trace_of(exchange(0, source="computed", handler="tags.add", queries=["tags.insert"])))
    assert "handler: tags.add" in text
    assert "  - tags.insert" in text


def test_registered_view_never_hides_the_body() -> None:
    """mitmproxy knows the view by name, and never chooses it by itself over the body's own view."""
    flow = tflow.tflow(resp=True)
    flow.metadata[KEY] = trace_of(exchange(1))
    contentviews.add(OfapiView())
    assert flow.response
    with taddons.context():
        shown = contentviews.prettify_message(flow.response, flow, "ofapi")
        assert (shown.view_name, "edits: 1" in shown.text) == ("OFAPI", True)
        flow.response.headers["content-type"] = "application/json"
        flow.response.content = b"{}"
        assert contentviews.prettify_message(flow.response, flow).view_name == "JSON"


def test_flows_without_a_trace_say_so() -> None:
    """A flow of somebody else has no edits to show."""
    flow = tflow.tflow(resp=True)
    text = OfapiView().prettify(b"", contentviews.Metadata(flow=flow))
    assert "did not go through" in text
