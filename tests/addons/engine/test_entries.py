"""How a request arrived."""

from __future__ import annotations

import pytest
from mitmproxy import http
from mitmproxy.proxy import mode_specs
from mitmproxy.test import tflow, tutils

from addons.engine.entries import entry_of, proxied_kind
from addons.engine.policy import Hosts
from addons.engine.state import mark_addressed

HOSTS = Hosts(frozenset({"api.test"}), frozenset({"only.test"}), lambda: ["cdn*.only.test"])


def flow(mode: str, host: str, header: bytes, *, addressed: bool = False) -> http.HTTPFlow:
    """`addressed`: through a tunnel, or with the whole URL."""
    found = tflow.tflow(req=tutils.treq(host=host, headers=((b"host", header),)))
    if addressed:
        mark_addressed(found.request)
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


@pytest.mark.parametrize("mode", ["regular", "reverse:http://x"])
def test_a_path_alone_is_for_us(mode: str) -> None:
    """Whatever Host says, which only names us; a broken one falls back to the address."""
    entry = entry_of(flow(mode, "placeholder", b"Gate.Test:81"), HOSTS)
    assert entry
    assert (entry.kind, entry.host, entry.port, entry.client_ip) == ("reverse", "gate.test", 81, "10.0.0.9")
    entry = entry_of(flow(mode, "placeholder", b"<bad>"), HOSTS)
    assert entry
    assert entry.host == "127.0.0.1"


@pytest.mark.parametrize("mode", ["regular", "reverse:http://x"])
def test_proxied_ignores_the_host_header(mode: str) -> None:
    """In a tunnel the host is the one that it was opened for."""
    entry = entry_of(flow(mode, "only.test", b"evil.test", addressed=True), HOSTS)
    assert entry
    assert (entry.kind, entry.host) == ("proxy_upstream", "only.test")


def test_a_whole_url_for_nobody_we_serve() -> None:
    """Our own door reads it as its path, as every server does; the proxy refuses it."""
    entry = entry_of(flow("reverse:http://x", "evil.test", b"gate.test", addressed=True), HOSTS)
    assert entry
    assert (entry.kind, entry.host) == ("reverse", "gate.test")
    assert entry_of(flow("regular", "evil.test", b"only.test", addressed=True), HOSTS) is None
