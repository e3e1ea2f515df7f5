"""Recorded flows through today's rules: `mitmdump -n -r flows -s addons/__init__.py --set ofapi_config=config.yaml`.

Nothing is asked of upstream, charged or stored: each recorded answer is edited as it would be now.
"""

from __future__ import annotations

import structlog
from mitmproxy import http

from addons.engine import messages
from addons.engine.encodings import BrokenEncoding, decode
from addons.engine.entries import proxied_kind
from addons.engine.policy import Hosts, Policy
from addons.engine.state import FlowState, Observer, attach, state_of
from addons.inspect.trace import KEY
from addons.pipeline.auth import CachedDirectory
from addons.pipeline.exchange import Entry, EntryKind, Response
from addons.pipeline.gateway import Gateway

log = structlog.get_logger(__name__)


class Replay:
    """Runs the rules on recorded flows."""

    def __init__(self, gateway: Gateway, policy: Policy, hosts: Hosts, observer: Observer, upstream_host: str) -> None:
        self.gateway = gateway
        self.policy = policy
        self.hosts = hosts
        self.observer = observer
        self.upstream_host = upstream_host

    async def begin(self, flow: http.HTTPFlow) -> None:
        """Match the recorded request. Its account is the one that the recording names."""
        host = flow.request.pretty_host.lower()
        at_upstream = host == self.upstream_host or flow.request.path.startswith("/api2/v2/")
        kind: EntryKind = "proxy_upstream" if at_upstream else proxied_kind(host, self.hosts) or "reverse"
        entry = Entry(kind, flow.request.scheme, host, flow.request.port, "")
        x = self.gateway.begin(messages.request_of(flow.request, flow.request.raw_content), entry)
        trace = flow.metadata.get(KEY)
        account_id = trace.get("account") if isinstance(trace, dict) else None
        if account_id is None and x.match is not None:
            account_id = x.match.params.get("account")
        directory = self.gateway.parts.directory
        if account_id and isinstance(directory, CachedDirectory):
            x.account = await directory.account(str(account_id))
        attach(flow, FlowState(x, 0, 0.0, self.policy.max_body_bytes, local=x.response is not None))

    async def finish(self, flow: http.HTTPFlow) -> None:
        """Edit the recorded answer."""
        state = state_of(flow)
        if state is None or state.exchange is None or state.local or flow.response is None:
            return
        head, x = messages.head_of(flow.response), state.exchange
        try:
            body = decode(
                flow.response.raw_content or b"", head.headers.get("content-encoding"), self.policy.max_body_bytes
            )
        except BrokenEncoding as e:
            log.warning("recorded body cannot be decoded", error=str(e))
            return
        answer = await self.gateway.finish(x, Response(head.status, head.headers, body))
        flow.response = messages.to_http(answer, state)
        await self.observer.finished(flow, x)
