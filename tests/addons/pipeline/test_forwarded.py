"""Front proxies are believed as far as config trusts them, and clients never."""

from __future__ import annotations

import pytest

from addons.pipeline.exchange import Entry, Headers
from addons.pipeline.forwarded import believed
from tests.addons.pipeline.harness import Bench, json_answer

TRUSTED = ("127.0.0.0/8", "::1/128", "10.0.0.0/8")
FOR = "X-Forwarded-For"


def entry(peer: str = "127.0.0.1", port: int = 80) -> Entry:
    return Entry("reverse", "http", "gate.test", port, peer)


@pytest.mark.parametrize(
    ("peer", "headers", "client"),
    [
        ("127.0.0.1", [(FOR, "203.0.113.9")], "203.0.113.9"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("::ffff:127.0.0.1", [(FOR, "203.0.113.9")], "203.0.113.9"),
        # what the client claims stands before what the proxies say
        ("127.0.0.1", [(FOR, "1.1.1.1, 203.0.113.9")], "203.0.113.9"),
        ("127.0.0.1", [(FOR, "1.1.1.1"), (FOR.lower(), "203.0.113.9, 10.0.0.4")], "203.0.113.9"),
        ("127.0.0.1", [(FOR, "10.0.0.9, 10.0.0.4")], "10.0.0.9"),
        # who is no proxy of ours is not believed
        ("198.51.100.1", [(FOR, "203.0.113.9")], "198.51.100.1"),
        ("", [(FOR, "203.0.113.9")], ""),
        # ways to write an address
        ("::1", [(FOR, "2001:DB8::1")], "2001:db8::1"),
        ("::1", [(FOR, '"[2001:db8::1]:4711"')], "2001:db8::1"),
        ("::1", [(FOR, "203.0.113.9:4711")], "203.0.113.9"),
        ("::1", [(FOR, "::ffff:203.0.113.9")], "203.0.113.9"),
        # what is none
        ("127.0.0.1", [(FOR, "unknown")], "127.0.0.1"),
        ("127.0.0.1", [(FOR, "203.0.113.9, _hidden, 10.0.0.4")], "10.0.0.4"),
        ("127.0.0.1", [(FOR, "")], "127.0.0.1"),
        ("127.0.0.1", [(FOR, ",,")], "127.0.0.1"),
        ("127.0.0.1", [(FOR, "203.0.113.9\udcff")], "127.0.0.1"),
    ],
)
def test_the_client_is_the_last_address_that_is_no_proxy(
    peer: str, headers: list[tuple[str, str]], client: str
) -> None:
    """Nobody can choose the address that he is known by."""
    assert believed(entry(peer), Headers(headers), TRUSTED).client_ip == client


@pytest.mark.parametrize(
    ("port", "headers", "origin"),
    [
        (80, [("X-Forwarded-Proto", "https")], ("https", "gate.test", 443)),
        (8080, [("X-Forwarded-Proto", "HTTPS")], ("https", "gate.test", 8080)),
        (80, [("X-Forwarded-Proto", "gopher")], ("http", "gate.test", 80)),
        (8080, [("X-Forwarded-Host", "API.example.org")], ("http", "api.example.org", 80)),
        (80, [("X-Forwarded-Host", "api.example.org:444, x"), ("X-Forwarded-Proto", "https")], ("https", "api.example.org", 444)),
        (80, [("X-Forwarded-Host", "[2001:db8::1]:81")], ("http", "2001:db8::1", 81)),
        (80, [("X-Forwarded-Host", "evil/path")], ("http", "gate.test", 80)),
    ],
)  # fmt: skip
def test_links_name_what_the_client_addressed(
    port: int, headers: list[tuple[str, str]], origin: tuple[str, str, int]
) -> None:
    """Scheme, host and port of the front proxy, the usual port of the scheme where none is named."""
    found = believed(entry(port=port), Headers(headers), TRUSTED)
    assert (found.scheme, found.host, found.port) == origin
    stranger = believed(entry("198.51.100.1", port), Headers(headers), TRUSTED)
    assert (stranger.scheme, stranger.host, stranger.port) == ("http", "gate.test", port)


async def test_requests_are_served_as_told(bench: Bench) -> None:
    """The next page is below the address that the client knows."""
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "api.example.org"}
    bench.upstream = lambda _: json_answer({"list": [{"id": 1}, {"id": 2}], "hasMore": True})
    got = await bench.call("GET", "/api/{a}/fans/active?limit=2", headers=headers)
    assert got.json["_pagination"]["next_page"].startswith("https://api.example.org/api/")
