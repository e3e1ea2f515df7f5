"""How a request arrived: at our door, or through us as a proxy and on its way to which host."""

from __future__ import annotations

from functools import lru_cache

from mitmproxy import http
from mitmproxy.net.http import url
from mitmproxy.proxy import mode_specs

from addons.engine.policy import Hosts
from addons.engine.state import is_addressed
from addons.pipeline.exchange import Entry, EntryKind


def proxied_kind(host: str, hosts: Hosts) -> EntryKind | None:
    """The kind of entry for a host that a proxy client asks for; None where we do not serve it."""
    host = host.lower().rstrip(".")
    if host in hosts.api:
        return "proxy_api"
    if host in hosts.upstream:
        return "proxy_upstream"
    if hosts.is_cdn(host):
        return "proxy_cdn"
    return None


def entry_of(flow: http.HTTPFlow, hosts: Hosts) -> Entry | None:
    """The entry of a flow, None where a proxy must refuse it.

    In a CONNECT tunnel the host is the one that the tunnel was opened for, whatever the Host header says. A whole URL in
    the first line is for the host that it names, but for a server it is as good as its path (RFC 9112 3.2.2).
    """
    client = flow.client_conn
    ip = client.peername[0] if client.peername else ""
    if is_addressed(flow.request):
        kind = proxied_kind(flow.request.host, hosts)
        if kind is not None:
            return Entry(kind, flow.request.scheme, flow.request.host.lower(), flow.request.port, ip)
        if isinstance(client.proxy_mode, mode_specs.RegularMode):
            return None
    host, port = _addressed(flow)
    return Entry("reverse", "https" if client.tls else "http", host, port, ip)


def _addressed(flow: http.HTTPFlow) -> tuple[str, int]:
    """Host and port that the client named, else those it reached."""
    named = _authority(flow.request.host_header or "")
    if named is None:
        sock = flow.client_conn.sockname or ("", 0)
        return sock[0], sock[1]
    host, port = named
    return host, port or (443 if flow.client_conn.tls else 80)


@lru_cache(maxsize=256)  # clients name a few hosts over and over, and each takes an IDNA round trip to check
def _authority(text: str) -> tuple[str, int | None] | None:
    try:
        host, port = url.parse_authority(text, check=True)
    except ValueError:
        return None
    return host.lower(), port
