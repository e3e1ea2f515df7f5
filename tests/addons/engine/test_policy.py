"""What the engine enforces, from the config."""

from __future__ import annotations

import pytest

from addons.config import Config
from addons.engine.policy import Hosts, Policy


def test_from_config() -> None:
    """Every figure comes from the config."""
    config = Config.build({"limits": {"header_bytes": 1000}, "upstream": {"keepalive_s": 7}})
    policy = Policy.of(config)
    assert (policy.header_bytes, policy.keepalive_s) == (1000, 7.0)
    assert policy.max_body_bytes == config.limits.max_body_bytes


@pytest.mark.parametrize(
    ("kind", "upload"),
    [
        ("multipart/form-data; boundary=x", True),
        ("Video/MP4", True),
        ("multipart/mixed", True),
        ("application/octet-stream", True),
        ("application/json", False),
        ("", False),
        ("text/multipart/form-data", False),
    ],
)
def test_request_limit(kind: str, upload: bool) -> None:
    """Uploads have their own limit; whatever else a client says is held to JSON's."""
    policy = Policy(json_body_bytes=1, upload_body_bytes=2)
    assert policy.request_limit(kind) == (2 if upload else 1)


@pytest.mark.parametrize(
    ("host", "cdn"),
    [
        ("cdn2.onlyfans.com", True),
        ("cdn.onlyfans.com", True),
        ("cdn-a1.onlyfans.com", True),
        ("onlyfans.com", False),
        ("cdn2.onlyfans.com.evil.test", False),
        ("cdn2xonlyfans.com", False),
        ("a.cdn2.onlyfans.com", False),
    ],
)
def test_cdn_hosts(host: str, cdn: bool) -> None:
    """What a pattern of the rules matches, and nothing that only looks like it."""
    assert Hosts(frozenset(), frozenset(), lambda: ["cdn*.onlyfans.com"]).is_cdn(host) is cdn


def test_cdn_hosts_follow_the_rules() -> None:
    """Patterns are asked for each time, for rules change while running; without any nothing is a CDN."""
    patterns: list[str] = []
    hosts = Hosts.of(Config.build(), lambda: patterns)
    assert not hosts.is_cdn("")
    assert not hosts.is_cdn("media1.example.test")
    patterns.append("media*.example.test")
    assert hosts.is_cdn("media1.example.test")


def test_our_own_hosts_are_served() -> None:
    """The regular proxy serves the API's hosts and those of cached files."""
    assert {"api.fansapi.com", "cdn.fansapi.com"} <= Hosts.of(Config.build(), tuple).api
