"""The places where the gateway replaces parts of mitmproxy, all of them.

mitmproxy offers no hook for bounds on headers, error pages, timeouts and retries. Its HTTP layer looks its parts up by
name in one module, so subclasses are put there. `install` refuses a mitmproxy in which a name is gone;
tests/addons/engine/test_patches.py fails when the code behind one changes.
"""

from __future__ import annotations

from types import ModuleType

from mitmproxy import flow, http
from mitmproxy.addons import next_layer
from mitmproxy.proxy import layers, mode_servers
from mitmproxy.proxy.layers import http as http_layers
from mitmproxy.proxy.layers.http import _http1, _http2, _http3

from addons.engine import errorpages
from addons.engine.connection import GatewayConnection, kill
from addons.engine.http1 import GatewayHttp1Client, GatewayHttp1Server
from addons.engine.http2 import GatewayHttp2Server
from addons.engine.layer import GatewayHttpLayer
from addons.engine.policy import Policy
from addons.engine.stream import GatewayStream


def _get_all(self: http.Headers, name: str | bytes) -> list[str]:
    """`Headers.get_all`, which each header that is looked at goes through: one pass, nothing decoded but what is found."""
    key = (name if isinstance(name, bytes) else name.encode("utf-8", "surrogateescape")).lower()
    size = len(key)
    return [v.decode("utf-8", "surrogateescape") for k, v in self.fields if len(k) == size and k.lower() == key]


REPLACED: tuple[tuple[ModuleType | type, str, object], ...] = (
    (mode_servers, "ProxyConnectionHandler", GatewayConnection),
    (flow.Flow, "kill", kill),
    (http_layers, "HttpStream", GatewayStream),
    (http_layers, "Http1Server", GatewayHttp1Server),
    (http_layers, "Http1Client", GatewayHttp1Client),
    (http_layers, "Http2Server", GatewayHttp2Server),
    (next_layer, "HttpLayer", GatewayHttpLayer),
    (layers, "HttpLayer", GatewayHttpLayer),
    (_http1, "make_error_response", errorpages.error_response),
    (_http2, "format_error", errorpages.format_body),
    (_http3, "format_error", errorpages.format_body),
    # the type check of every field of every message, a debugging aid that is a tenth of a request's time
    (http.MessageData, "__post_init__", lambda self: None),
    (http.Headers, "get_all", _get_all),
)


class EngineMismatch(RuntimeError):
    """The installed mitmproxy is not one that the gateway knows."""


def install(policy: Policy) -> None:
    """Put the gateway's parts in place. Idempotent; a process serves one policy, as mitmproxy runs one master."""
    for module, name, replacement in REPLACED:
        if not hasattr(module, name):
            raise EngineMismatch(
                f"{module.__name__}.{name} is gone: this mitmproxy is not supported; install one in >=12.2.3,<13"
            )
        setattr(module, name, replacement)
    for part in (GatewayHttp1Server, GatewayHttp1Client, GatewayHttp2Server, GatewayHttpLayer):
        part.policy = policy


__all__ = ["REPLACED", "EngineMismatch", "install"]
