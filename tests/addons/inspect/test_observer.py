"""mitmweb gets copies without secrets; what is sent is untouched."""

from __future__ import annotations

from mitmproxy.addons.view import View
from mitmproxy.test import taddons, tflow, tutils

from addons.inspect.observer import FlowObserver
from addons.inspect.trace import KEY, MARKERS
from tests.addons.inspect.test_trace import exchange


def test_shown_request_is_a_masked_copy() -> None:
    """The copy has no credentials, the original keeps them."""
    request = tutils.treq(path=b"/x?token=t", headers=((b"authorization", b"Bearer k"), (b"a", b"b")))
    shown = FlowObserver().shown_request(request)
    assert (shown.headers["authorization"], shown.headers["a"], shown.path) == ("***", "b", "/x?token=***")
    assert (request.headers["authorization"], request.path) == ("Bearer k", "/x?token=t")


def test_shown_response_is_a_masked_copy() -> None:
    """Cookies and secret fields are masked in the copy alone."""
    response = tutils.tresp(headers=((b"set-cookie", b"s=1"),), content=b'{"api_key":"k"}')
    shown = FlowObserver().shown_response(response, "/x")
    assert (shown.headers["set-cookie"], shown.raw_content) == ("***", b'{"api_key":"***"}')
    assert response.raw_content == b'{"api_key":"k"}'


def test_bodies_are_hidden_in_place() -> None:
    """A body that was read loses its secrets."""
    request = tutils.treq(path=b"/api/authenticate/x", content=b'{"code":"123456"}')
    FlowObserver().hide_body(request)
    assert request.raw_content == b'{"code":"***"}'


async def test_finished_flows_are_told_apart() -> None:
    """Comment, marker and edits are set, and a person's mark is left alone."""
    with taddons.context(View()):
        flow, marked = tflow.tflow(resp=True), tflow.tflow(resp=True)
        marked.marked = ":default:"
        for one in (flow, marked):
            await FlowObserver().finished(one, exchange(3, credits=1))
    assert flow.comment == "hybrid fans-active · 3 lastReplyAt · 1 credit"
    assert (flow.marked, marked.marked) == (MARKERS["hybrid"], ":default:")
    assert flow.metadata[KEY]["edits_total"] == 3
