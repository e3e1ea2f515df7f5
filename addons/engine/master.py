"""The mitmproxy masters that the gateway runs."""

from __future__ import annotations

from typing import Any

from mitmproxy import master, options
from mitmproxy.addons import core, next_layer, proxyserver, tlsconfig
from mitmproxy.tools.web.master import WebMaster

MITMWEB_ONLY = (
    "browser",
    "onboarding",
    "proxyauth",
    "serverplayback",
    "maplocal",
    "mapremote",
    "stickyauth",
    "stickycookie",
)


class GatewayMaster(master.Master):
    """mitmdump without the addons that a gateway has no use for: each one costs time at each of the events of a flow."""

    def __init__(self, opts: options.Options, *serving: Any) -> None:
        super().__init__(opts)
        self.addons.add(core.Core(), proxyserver.Proxyserver(), *serving, next_layer.NextLayer(), tlsconfig.TlsConfig())


class GatewayWebMaster(WebMaster):
    """mitmweb with the gateway's addon ahead of its view, which then shows the final flow."""

    def __init__(self, opts: options.Options, *serving: Any) -> None:
        super().__init__(opts, with_termlog=False)
        for addon in serving:
            self.addons.add(addon)
