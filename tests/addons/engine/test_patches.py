"""The parts of mitmproxy that are replaced: a change behind one fails here, before it fails in service."""

from __future__ import annotations

import hashlib
import inspect
from typing import Any

import pytest
from mitmproxy import flow
from mitmproxy import http as mitm_http
from mitmproxy.coretypes import multidict
from mitmproxy.proxy import server
from mitmproxy.proxy.layers import http
from mitmproxy.proxy.layers.http import _base, _http1, _http2

from addons.engine import connection, patches
from addons.engine.connection import GatewayConnection
from addons.engine.http1 import GatewayHttp1Server
from addons.engine.layer import GatewayHttpLayer
from addons.engine.policy import Policy
from addons.engine.stream import GatewayStream


def originals() -> dict[str, Any]:
    """What the gateway's parts build on, by name."""
    stream, hub = GatewayStream.__mro__[1], GatewayHttpLayer.__mro__[1]
    handler = GatewayConnection.__mro__[1]
    one, two = GatewayHttp1Server.__mro__[1], GatewayHttp1Server.__mro__[2]
    return {
        "HttpStream": stream,
        "HttpLayer": hub,
        "Http1Server": one,
        "Http1Connection": two,
        "Http2Connection": _http2.Http2Connection,
        "format_error": _base.format_error,
        "server_event": server.ConnectionHandler.server_event,
        "handle_client": server.ConnectionHandler.handle_client,
        "handle_connection": server.ConnectionHandler.handle_connection,
        "hook_task": server.ConnectionHandler.hook_task,
        "handle_hook": handler.handle_hook,
        "kill": connection._mark_killed,
        "wait_for_resume": flow.Flow.wait_for_resume,
        "open_connection": server.ConnectionHandler.open_connection,
    }


DIGESTS = {
    "HttpStream": "baaac4f7cdb36a32",
    "HttpLayer": "8da4a8a48e637b88",
    "Http1Server": "cc8428d0bb6f79a5",
    "Http1Connection": "c0675638b0756013",
    "Http2Connection": "f18f3940fd55a0f0",
    "format_error": "26271a67770fbaf1",
    "server_event": "a2b42657ebe8bf6d",
    "open_connection": "5e0b3cbaf7a4030a",
    "handle_client": "01f1b7cc991c4711",
    "handle_connection": "95c3f93e9824e527",
    "hook_task": "9ac7970160526268",
    "kill": "f5f3dc0e1a2a7f92",
    "wait_for_resume": "a333ab3b51300b44",
    "handle_hook": "9f8b52fd798203c9",
}


@pytest.mark.parametrize("name", sorted(DIGESTS))
def test_source_is_the_one_that_was_read(name: str) -> None:
    """mitmproxy's code behind each replaced part is as it was when the part was written (12.2.3 to 12.3.1).

    When this fails: read the new code beside addons/engine, run tests/e2e/engine, then put the new digest here.
    """
    source = inspect.getsource(originals()[name])
    assert hashlib.sha256(source.encode()).hexdigest()[:16] == DIGESTS[name]


def test_install_puts_every_part_in_place() -> None:
    """After install, each name is ours, with the policy."""
    policy = Policy(header_bytes=1234)
    patches.install(policy)
    patches.install(policy)
    for module, name, replacement in patches.REPLACED:
        assert getattr(module, name) is replacement
    assert GatewayHttp1Server.policy is policy
    assert _http1.make_error_response(400, "x").startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("name", ["set-cookie", b"Set-Cookie", "SET-COOKIE", "x-\udcff", "absent", ""])
def test_headers_are_found_as_before(name: str | bytes) -> None:
    """The quicker lookup of headers finds what mitmproxy's own does: any case, repeated names, bytes that are no UTF-8."""
    fields = [(b"Set-Cookie", b"a=1"), (b"X-\xff", b"\xfe"), (b"set-cookie", b"b=2"), (b"Accept", b"*/*")]
    patches.install(Policy())
    expected = [
        v.decode("utf-8", "surrogateescape") for v in multidict.MultiDict.get_all(headers_of(fields), _raw(name))
    ]
    assert headers_of(fields).get_all(name) == expected


def _raw(name: str | bytes) -> bytes:
    return name if isinstance(name, bytes) else name.encode("utf-8", "surrogateescape")


def headers_of(fields: list[tuple[bytes, bytes]]) -> mitm_http.Headers:
    return mitm_http.Headers(fields)


def test_a_missing_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mitmproxy without one of the names is refused with a sentence."""
    monkeypatch.setattr(patches, "REPLACED", ((http, "NoSuchThing", object()),))
    with pytest.raises(patches.EngineMismatch, match="install one in >=12"):
        patches.install(Policy())
