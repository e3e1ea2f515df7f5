"""What is a media URL, and when two of them are one file."""

from __future__ import annotations

import base64
import json

import pytest

from addons.media.identity import MediaIdentity, expires_at

IDENTITY = MediaIdentity(["cdn*.onlyfans.com"])
FILE = "/files/a/ab/abcdef/640x480_abcdef.jpg"

NOT_MEDIA = [
    # other hosts that look alike
    "https://cdn2.onlyfans.com.evil.test/f/x.jpg",
    "https://xcdn1.onlyfans.com/f/x.jpg",
    "https://public.onlyfans.com/f/x.jpg",
    "https://onlyfans.com/f/x.jpg",
    "https://cdn1.a.onlyfans.com/f/x.jpg",
    "https://cdn2.onlyfansxcom/f/x.jpg",
    "https://cdn2.onlyfans.com./f/x.jpg",
    # user info, ports, schemes
    "https://cdn2.onlyfans.com@evil.test/f/x.jpg",
    "https://user:pw@cdn2.onlyfans.com/f/x.jpg",
    "https://cdn2.onlyfans.com:8443/f/x.jpg",
    "https://cdn2.onlyfans.com:443@evil.test/f/x.jpg",
    "http://cdn2.onlyfans.com/f/x.jpg",
    "ftp://cdn2.onlyfans.com/f/x.jpg",
    "//cdn2.onlyfans.com/f/x.jpg",
    # IP literals
    "https://127.0.0.1/f/x.jpg",
    "https://[::1]/f/x.jpg",
    # no file, dots, broken escapes, control characters, backslashes
    "https://cdn2.onlyfans.com",
    "https://cdn2.onlyfans.com/",
    "https://cdn2.onlyfans.com/a/../b.jpg",
    "https://cdn2.onlyfans.com/a/%2e%2E/b.jpg",
    "https://cdn2.onlyfans.com/a/..",
    "https://cdn2.onlyfans.com/a%zz.jpg",
    "https://cdn2.onlyfans.com/a b.jpg",
    "https://cdn2.onlyfans.com/a\nb.jpg",
    "https://cdn2.onlyfans.com\\@evil.test/b.jpg",
    "https://evil.test\\.cdn2.onlyfans.com/b.jpg",
    "https://evil.test/#https://cdn2.onlyfans.com/b.jpg",
    "https://cdn2.onlyfans.com/a.jpg?x=\x00",
    "https://cdn2.onlyfans.com/a.jpg?x=\x7f",
    "https://cdn2.onlyfans.com/a.jpg?x=1\r\nHost: evil.test",
    "https://cdn2.onlyfans.com/a\ud800.jpg",
    # letters that fold to those of the host or the scheme
    "https://cdn2.onlyfan\u017f.com/f/x.jpg",
    "http\u017f://cdn2.onlyfans.com/f/x.jpg",
    "https://cdn\uff12.onlyfans.com/f/x.jpg",
    "https://cdn2\u3002onlyfans.com/f/x.jpg",
    "",
]


@pytest.mark.parametrize("url", NOT_MEDIA)
def test_only_the_named_hosts_hold_media(url: str) -> None:
    """Look-alike hosts, user info, ports, schemes, addresses and paths with tricks are no media URLs."""
    assert IDENTITY.key(url) is None


@pytest.mark.parametrize(
    "url",
    [
        f"https://cdn2.onlyfans.com{FILE}",
        f"https://cdn3.onlyfans.com{FILE}?Tag=2&u=123&Policy=abc&Signature=def~&Key-Pair-Id=K",
        f"https://cdn.onlyfans.com:443{FILE}",
        f"HTTPS://CDN17.OnlyFans.com{FILE}?other=1",
        f"https://cdn2.onlyfans.com{FILE}#t=3",
        f"https://cdn2.onlyfans.com{FILE.replace('a', '%61', 1)}",
    ],
)
def test_signature_host_number_and_spelling_do_not_matter(url: str) -> None:
    """One path on any host of a pattern is one file, whatever its signature."""
    key = IDENTITY.key(url)
    assert key is not None
    assert key.text == f"cdn*.onlyfans.com {FILE}"
    assert key.url == url
    assert key.name == "640x480_abcdef.jpg"


def test_encoded_slash_is_another_file() -> None:
    """`%2F` is data, not a separator; the case of its digits does not matter."""
    one, two, three = (IDENTITY.key(f"https://cdn1.onlyfans.com/a{s}b.jpg") for s in ("/", "%2f", "%2F"))
    assert one and two and three
    assert one.text != two.text == three.text


def test_letters_beyond_ascii_are_the_same_file_as_their_escapes() -> None:
    """A path is one file whether its letters come raw or percent-encoded, and what is fetched is plain ASCII."""
    raw, escaped = (
        IDENTITY.key(f"https://cdn1.onlyfans.com/{s}.jpg?n={s}") for s in ("\u00fc\u4e2d", "%c3%bc%E4%B8%AD")
    )
    assert raw and escaped
    assert raw.text == escaped.text
    assert raw.url == "https://cdn1.onlyfans.com/%C3%BC%E4%B8%AD.jpg?n=%C3%BC%E4%B8%AD"


def test_listed_parameters_tell_files_apart() -> None:
    """Parameters in `identity_params` are part of the identity, in any order; the others are not."""
    identity = MediaIdentity(["cdn*.onlyfans.com"], ["w", "h"])
    base = "https://cdn1.onlyfans.com/a.jpg"
    a, b, c, d = (identity.key(base + q) for q in ("?w=1&h=2&Policy=x", "?h=2&w=1", "?w=2&h=2", ""))
    assert a and b and c and d
    assert a.text == b.text
    assert len({a.text, c.text, d.text}) == 3


def test_host_classes_are_apart() -> None:
    """The same path under two patterns is two files."""
    identity = MediaIdentity(["cdn*.onlyfans.com", "media.fansly.test"])
    one, two = identity.key("https://cdn1.onlyfans.com/a.jpg"), identity.key("https://media.fansly.test/a.jpg")
    assert one and two
    assert one.text != two.text


@pytest.mark.parametrize(
    "host", ["*", "cdn*", "10.0.0.1", "cdn.*.com", "https://cdn.onlyfans.com", "cdn1.onlyfans.com/x"]
)
def test_patterns_that_are_no_host_names_are_refused(host: str) -> None:
    """A pattern that could match any host is an error when the rules load."""
    with pytest.raises(ValueError, match="host pattern"):
        MediaIdentity([host])


def test_secrets_in_urls_are_not_shown() -> None:
    """The signed URL does not appear where keys are printed."""
    key = IDENTITY.key("https://cdn2.onlyfans.com/a.jpg?Signature=sesame")
    assert "sesame" not in repr(key)


def cloudfront(policy: object) -> str:
    text = base64.b64encode(json.dumps(policy).encode()).decode()
    return text.replace("+", "-").replace("=", "_").replace("/", "~")


def test_the_end_of_a_signature_is_read_from_its_policy() -> None:
    """CloudFront's custom policy or `Expires` say when a URL stops working; anything else says nothing."""
    policy = {"Statement": [{"Resource": "*", "Condition": {"DateLessThan": {"AWS:EpochTime": 1_700_000_000}}}]}
    base = "https://cdn2.onlyfans.com/a.jpg"
    assert expires_at(f"{base}?Policy={cloudfront(policy)}&Signature=x") == 1_700_000_000
    assert expires_at(f"{base}?Expires=1700000001&Signature=x") == 1_700_000_001
    for query in ("", "?Policy=", "?Policy=!!", f"?Policy={cloudfront([])}", f"?Policy={cloudfront({'Statement': 3})}"):
        assert expires_at(base + query) is None
