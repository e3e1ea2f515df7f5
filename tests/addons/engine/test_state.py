"""What is kept beside a flow, and what is sent in place of what is shown."""

from __future__ import annotations

from mitmproxy.test import tflow, tutils

from addons.engine.state import FlowState, attach, release, show_as, state_of, wire_of


def test_state_belongs_to_its_flow() -> None:
    """A flow has no state until one is attached; it is not part of what mitmproxy saves."""
    flow = tflow.tflow()
    assert state_of(flow) is None
    state = FlowState(None, 1, 2.0, 3)
    attach(flow, state)
    assert state_of(flow) is state
    assert "ofapi" not in str(flow.get_state())
    assert state_of(flow.copy()) is None


def test_wire_is_what_is_sent() -> None:
    """A message stands for itself unless another was put behind it."""
    shown, real = tutils.treq(), tutils.treq()
    assert wire_of(real) is real
    assert show_as(real, real) is real
    assert wire_of(show_as(shown, real)) is real


def test_nothing_is_held_once_it_was_sent() -> None:
    """A flow that mitmweb keeps holds no exchange and no second body."""
    flow = tflow.tflow(resp=True)
    attach(flow, FlowState(None, 1, 2.0, 3))
    flow.request = show_as(flow.request, tutils.treq())
    release(flow)
    release(flow)
    assert state_of(flow) is None
    assert wire_of(flow.request) is flow.request
