"""mitmweb keeps a bounded number of flows; those that a person marked stay."""

from __future__ import annotations

import time

import pytest
from mitmproxy import http
from mitmproxy.addons.view import View
from mitmproxy.test import taddons, tflow

from addons.config.serving import Retention as Limits
from addons.inspect.retention import SLACK, Retention, size_of
from addons.inspect.trace import MARKERS


def finished(n: int, size: int = 100) -> http.HTTPFlow:
    flow = tflow.tflow(resp=True)
    flow.timestamp_created = time.time() - 1000 + n
    flow.request.content = b""
    assert flow.response
    flow.response.content = b"x" * size
    return flow


def kept(limits: Limits, flows: list[http.HTTPFlow]) -> list[http.HTTPFlow]:
    """What is left of `flows` after they went through mitmweb's view and the retention."""
    view, retention = View(), Retention(limits)
    with taddons.context(view, retention):
        for flow in flows:
            flow.live = False
            view.requestheaders(flow)
            view.response(flow)
            retention.response(flow)
        retention.sweep()
        return [f for f in flows if view.get_by_id(f.id) is not None]


def test_by_count() -> None:
    """The newest flows stay, and the view never holds many more than the limit."""
    flows = [finished(i) for i in range(SLACK + 200)]
    assert kept(Limits(max_flows=20), flows) == flows[-20:]


def test_by_bytes() -> None:
    """The oldest go until the bodies fit."""
    flows = [finished(i, 1000) for i in range(30)]
    assert kept(Limits(max_bytes=10_500), flows) == flows[-10:]


def test_by_age() -> None:
    """What is older than max_age_s goes."""
    flows = [finished(0), finished(1), finished(999)]
    assert kept(Limits(max_age_s=500), flows) == flows[-1:]


@pytest.mark.parametrize(("mark", "stays"), [(":default:", True), (":red_square:", True), (MARKERS["hybrid"], False)])
def test_marked_flows_stay(mark: str, stays: bool) -> None:
    """A person's mark keeps a flow; our own markers do not."""
    flows = [finished(i) for i in range(100)]
    flows[0].marked = mark
    assert (flows[0] in kept(Limits(max_flows=5), flows)) is stays


def test_size_counts_both_bodies() -> None:
    """Request and response bodies count."""
    flow = finished(0, 7)
    flow.request.content = b"abc"
    assert size_of(flow) == 10
