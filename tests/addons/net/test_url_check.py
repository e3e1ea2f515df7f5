"""URLs from clients that can never be called are refused where they are given."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.config.working import Network
from addons.net.url_check import problem


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "http://example.com:8080/a b?c={x}#y",
        "https://bücher.example/é",
        "https://8.8.8.8/",
        "https://134744072/",
        "https://12.example/",
        "https://localhost/",  # a name is judged when it is connected to
    ],
)
def test_what_may_be_called(url: str) -> None:
    """Public addresses by number, and any name."""
    assert problem(url, Network()) is None


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "begins with https:// or http://"),
        ("example.com", "begins with"),
        ("ftp://example.com/", "begins with"),
        ("https://", "begins with"),
        ("https:///path", "begins with"),
        ("https://a b/", "URL"),
        ("https://a/\n", "begins with"),
        ("https://[::1", "valid URL"),
        ("https://a:99999/", "valid URL"),
        ("https://user@example.com/", "user or password"),
        ("https://:pw@example.com/", "user or password"),
        ("https://127.0.0.1/", "private address"),
        ("https://[::ffff:10.0.0.1]/", "private address"),
        ("http://169.254.169.254/latest", "private address"),
        # spellings that resolvers take for an address
        ("https://127.1/", "private address"),
        ("https://2130706433/", "private address"),
        ("https://0x7f.0.0.1/", "private address"),
        ("https://0251.0376.0251.0376/", "private address"),
        ("https://0/", "private address"),
        ("https://\uff11\uff12\uff17.0.0.1/", "private address"),
        ("https://127.0.0.1./", "private address"),
        ("https://example.com:0/", "port"),
    ],
)
def test_what_may_not(url: str, why: str) -> None:
    """The text says what was expected."""
    assert why in (problem(url, Network()) or "")


def test_config_decides() -> None:
    """`allow_http` and `allow_private`."""
    assert problem("http://example.com/", Network(allow_http=False)) == "must be a URL that begins with https://."
    assert problem("https://10.1.2.3/", Network(allow_private=("10.0.0.0/8",))) is None


@given(st.text(max_size=60))
def test_no_text_breaks_it(text: str) -> None:
    """A verdict for anything, with a scheme or without."""
    for url in (text, f"https://{text}", f"https://a.test/{text}"):
        assert problem(url, Network()) is None or isinstance(problem(url, Network()), str)
