"""What is read from a click."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.links.clicks import AddressRanges, device_of, is_crawler, is_prefetch, parameters

IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.0 Mobile/15E148 Safari/604.1"
)
EDGE = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0"
)
TABLET = (
    "Mozilla/5.0 (Linux; Android 14; SM-X710) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
)
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


@pytest.mark.parametrize(
    ("user_agent", "kind", "family", "platform"),
    [
        (IPHONE, "mobile", "Mobile Safari", "iOS"),
        (EDGE, "desktop", "Edge", "Windows"),
        (TABLET, "tablet", "Chrome", "Android"),
        (GOOGLEBOT, "bot", None, None),
        ("", "bot", None, None),
        ("\x00\udcff strange", "other", None, None),
    ],
)
def test_device_browser_and_platform_come_from_the_user_agent(user_agent, kind, family, platform):
    """Phones, tablets, desktops and robots are told apart; nonsense is `other`, never an error."""
    seen = device_of(user_agent)
    assert (seen.device_type, seen.browser_family, seen.platform) == (kind, family, platform)


@pytest.mark.parametrize(
    "user_agent", ["curl/8.5.0", "facebookexternalhit/1.1", "HeadlessChrome/130", "TelegramBot 1.0"]
)
def test_robots_and_previewers_are_crawlers(user_agent):
    """Link previews and command-line clients are no visits."""
    assert is_crawler(user_agent)


def test_parameters_are_taken_by_name_cut_and_cleaned():
    """Unknown parameters are dropped, lists and empty texts are absent, NUL is removed, long values are cut."""
    got = parameters(
        {"utm_source": "tt\x00", "fbclid": "x" * 600, "aff_s1": ["a"], "gclid": "", "other": "1", "clickid": "e1"}
    )
    assert got["utm_source"] == "tt"
    assert got["fbclid"] == "x" * 512
    assert got["aff_s1"] is None
    assert got["gclid"] is None
    assert got["external_click_id"] == "e1"
    assert "other" not in got


@pytest.mark.parametrize(
    ("method", "headers", "expected"),
    [
        ("HEAD", {}, True),
        ("GET", {"sec-purpose": "prefetch;prerender"}, True),
        ("GET", {"x-purpose": "preview"}, True),
        ("GET", {}, False),
    ],
)
def test_head_and_prefetch_are_no_visits(method, headers, expected):
    """A browser that looks ahead has not clicked."""
    assert is_prefetch(method, headers) is expected


nets = st.lists(st.ip_addresses(v=4).map(lambda a: f"{a}/{24 if int(a) % 2 else 12}"), max_size=12)


@given(nets, st.ip_addresses())
def test_ranges_agree_with_asking_each_network(ranges, address):
    """Merged spans hold an address exactly where one of the networks does; v4-mapped v6 counts as v4."""
    expected = any(
        address in net for r in ranges if (net := ipaddress.ip_network(r, strict=False)).version == address.version
    )
    found = AddressRanges(ranges)
    if address.version == 4:
        assert (str(address) in found) is expected
        assert (f"::ffff:{address}" in found) is expected
    else:
        assert (str(address) in found) is False or address.ipv4_mapped is not None


def test_a_bad_range_names_file_and_line(tmp_path):
    """The operator reads where the mistake is."""
    path = tmp_path / "dc.txt"
    path.write_text("10.0.0.0/8  # ours\n\nnonsense\n")
    with pytest.raises(ValueError, match=r"dc\.txt:3: `nonsense`"):
        AddressRanges.read(path)
