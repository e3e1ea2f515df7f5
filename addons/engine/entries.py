"""How a request arrived: by our listener, or through the regular proxy and on its way to which host."""

from __future__ import annotations

from mitmproxy import http
from mitmproxy.net.http import url
from mitmproxy.proxy import mode_specs

from addons.engine.policy import Hosts
from addons.pipeline.exchange import Entry, EntryKind


def proxied_kind(host: str, hosts: Hosts) -> EntryKind | None:
    """The kind of entry for a host that a proxy client asks for; None where we do not serve it."""
    host = host.lower().rstrip(".")
    if host in hosts.api:
        return "proxy_api"
    if host in hosts.upstream:
        return "proxy_upstream"
    if hosts.cdn.fullmatch(host):
        return "proxy_cdn"
    return None


def is_proxied(flow: http.HTTPFlow) -> bool:
    return isinstance(flow.client_conn.proxy_mode, mode_specs.RegularMode)


def entry_of(flow: http.HTTPFlow, hosts: Hosts) -> Entry | None:
    """The entry of a flow, None where the regular proxy must refuse it.

    In a CONNECT tunnel the host is the one that the tunnel was opened for, whatever the Host header says.
    """
    client = flow.client_conn
    ip = client.peername[0] if client.peername else ""
    scheme = "https" if client.tls else "http"
    if is_proxied(flow):
        kind = proxied_kind(flow.request.host, hosts)
        if kind is None:
            return None
        return Entry(kind, flow.request.scheme, flow.request.host.lower(), flow.request.port, ip)
    host, port = _addressed(flow)
    return Entry("reverse", scheme, host, port, ip)


def _addressed(flow: http.HTTPFlow) -> tuple[str, int]:
    """Host and port that the client named, else those it reached."""
    sock = flow.client_conn.sockname or ("", 0)
    try:
        host, port = url.parse_authority(flow.request.host_header or "", check=True)
    except ValueError:
        return sock[0], sock[1]
    return host.lower(), port or (443 if flow.client_conn.tls else 80)
