"""HTTP/2 towards the client: heads that are too large reach the gateway, which says so."""

from __future__ import annotations

from typing import ClassVar

from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import _http2

from addons.engine.policy import Policy


class GatewayHttp2Server(_http2.Http2Server):
    """The client's side of an HTTP/2 connection. The bound that it announces is that of h2, 64 KB."""

    policy: ClassVar[Policy] = Policy()

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        # h2 ends the whole connection, other requests and all, for a head over its bound
        self.h2_conn.decoder.max_header_list_size = 4 * self.policy.header_bytes
