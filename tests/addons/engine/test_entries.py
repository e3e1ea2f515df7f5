"""How a request arrived."""

from __future__ import annotations

import pytest
from mitmproxy import http
from mitmproxy.proxy import mode_specs
from mitmproxy.test import tflow, tutils

from addons.engine.entries import entry_of, proxied_kind
from addons.engine.policy import Hosts

HOSTS = Hosts.of(("api.test",), ("only.test",))


def flow(mode: str, host: str, header: bytes) -> http.HTTPFlow:
    found = tflow.tflow(req=tutils.treq(host=host, headers=((b"host", header),)))
    found.client_conn.proxy_mode = mode_specs.ProxyMode.parse(mode)
    found.client_conn.peername = ("10.0.0.9", 5)
    found.client_conn.sockname = ("127.0.0.1", 8080)
    return found


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("api.test", "proxy_api"),
        ("API.test.", "proxy_api"),
        ("only.test", "proxy_upstream"),
        ("cdn3.only.test", "proxy_cdn"),
        ("x.only.test", None),
        ("evil.test", None),
    ],
)
def test_proxied_kind(host: str, kind: str | None) -> None:
    """The host decides; case and a final dot do not matter."""
    assert proxied_kind(host, HOSTS) == kind


def test_reverse_takes_the_host_header() -> None:
    """Our listener serves every Host, and says which; a broken one falls back to the address."""
    entry = entry_of(flow("reverse:http://x", "placeholder", b"Gate.Test:81"), HOSTS)
    assert entry
    assert (entry.kind, entry.host, entry.port, entry.client_ip) == ("reverse", "gate.test", 81, "10.0.0.9")
    entry = entry_of(flow("reverse:http://x", "placeholder", b"<bad>"), HOSTS)
    assert entry
    assert entry.host == "127.0.0.1"


def test_proxied_ignores_the_host_header() -> None:
    """In a tunnel the host is the one that it was opened for."""
    entry = entry_of(flow("regular", "only.test", b"evil.test"), HOSTS)
    assert entry
    assert (entry.kind, entry.host) == ("proxy_upstream", "only.test")
    assert entry_of(flow("regular", "evil.test", b"only.test"), HOSTS) is None
