"""The mitmproxy masters that the gateway runs."""

from __future__ import annotations

from typing import Any

from mitmproxy import master, options
from mitmproxy.addons import core, next_layer, proxyserver, tlsconfig
from mitmproxy.tools.web.master import WebMaster

from addons.engine.dispatch import CachedAddonManager


class GatewayMaster(master.Master):
    """mitmdump without the addons that a gateway has no use for: each one costs time at each of the events of a flow."""

    def __init__(self, opts: options.Options, *serving: Any) -> None:
        super().__init__(opts)
        self.addons = CachedAddonManager(self)
        self.addons.add(core.Core(), proxyserver.Proxyserver(), *serving, next_layer.NextLayer(), tlsconfig.TlsConfig())


class GatewayWebMaster(WebMaster):
    """mitmweb with the gateway's addons ahead of all others: what the view and the savers get is what was answered."""

    def __init__(self, opts: options.Options, *serving: Any) -> None:
        super().__init__(opts, with_termlog=False)
        self.addons.remove(self.addons.get("errorcheck"))  # it ends the process by itself; we report and stop
        for at, addon in enumerate(serving):
            self.addons.chain.insert(at, self.addons.register(addon))
