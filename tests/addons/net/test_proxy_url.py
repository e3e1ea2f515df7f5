"""Addresses of accounts' own proxies."""

from __future__ import annotations

import pytest

from addons.net.proxy_url import ProxyUrl, read_proxy_url


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("http://p.test:3128", ProxyUrl("http", "p.test", 3128)),
        ("HTTP://p.test/", ProxyUrl("http", "p.test", 80)),
        ("https://p.test", ProxyUrl("https", "p.test", 443)),
        ("http://[2001:db8::1]:8080", ProxyUrl("http", "2001:db8::1", 8080)),
        ("http://u:p%40ss%3A@p.test:1", ProxyUrl("http", "p.test", 1, "u:p@ss:")),
        ("http://u@p.test:1", ProxyUrl("http", "p.test", 1, "u")),
    ],
)
def test_proxies(text: str, found: ProxyUrl) -> None:
    """Host, port (the usual one without) and credentials."""
    assert read_proxy_url(text) == found


NONE = [
    "",
    "p.test",
    "p.test:1",
    "socks5://p.test:1",
    "http://",
    "http://:80",
    "http://p.test:x",
    "http://p.test:99999",
    "http://p.test/path",
    "http://p.test?x",
    "http://p test:1",
    "http://[::1",
    "http://u:secret@",
]


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_proxy(text: str) -> None:
    """Said in words that do not repeat the password."""
    with pytest.raises(ValueError, match="an upstream proxy is") as caught:
        read_proxy_url(text)
    assert "secret" not in str(caught.value)


def test_credentials_are_not_shown() -> None:
    """Neither in logs nor in tracebacks."""
    assert "secret" not in repr(read_proxy_url("http://u:secret@p.test:1"))
