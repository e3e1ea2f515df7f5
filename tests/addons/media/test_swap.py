"""Media URLs in JSON bytes: found at any depth and escape, swapped without touching another byte."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.media.identity import MediaIdentity
from addons.media.swap import Scanner, swap

SCANNER = Scanner(MediaIdentity(["cdn*.onlyfans.com"]))
LINK = "https://cdn.fansapi.com/f/0123456789abcdef/1.sig/x.jpg"
URL = "https://cdn2.onlyfans.com/files/a/x.jpg"
SIGNED = URL + "?Tag=2&u=5&Policy=eyJ_-~&Signature=ab~c-d_&Key-Pair-Id=KA"
KEY = "cdn*.onlyfans.com /files/a/x.jpg"


def all_cached(keys: list[str]) -> dict[str, str]:
    return dict.fromkeys(keys, LINK)


def none_cached(keys: list[str]) -> dict[str, str]:
    return {}


ESCAPED = LINK.replace("/", "\\/")
CASES = [
    # (before, after): whole strings
    (f'{{"a":"{SIGNED}"}}', f'{{"a":"{LINK}"}}'),
    (f'[[[{{"x":{{"y":["{URL}"]}}}}]]]', f'[[[{{"x":{{"y":["{LINK}"]}}}}]]]'),
    (f'"{URL}"', f'"{LINK}"'),
    (f'{{"a":"{URL}:443"}}'.replace(".com/", ".com:443/").replace(":443\"", "\""), f'{{"a":"{LINK}"}}'),
    # escapes of other writers
    (json.dumps({"a": SIGNED}).replace("/", "\\/"), f'{{"a": "{ESCAPED}"}}'),
    (f'{{"a":"{SIGNED}"}}'.replace("&", "\\u0026").replace("=", "\\u003d"), f'{{"a":"{LINK}"}}'),
    (f'{{"a":"{URL}"}}'.replace("/", "\\u002f"), f'{{"a":"{LINK}"}}'.replace("/", "\\u002f")),
    # inside longer texts
    (f'"see {SIGNED}, it is new"', f'"see {LINK}, it is new"'),
    (f'"({URL})."', f'"({LINK})."'),
    (f'"<img src=\\"{SIGNED.replace("&", "&amp;")}\\" alt=\\"x\\">"', f'"<img src=\\"{LINK}\\" alt=\\"x\\">"'),
    (f"\"<img src='{URL}'>\"", f"\"<img src='{LINK}'>\""),
    (f'"<p>{URL}</p>\\n{URL}\\n"', f'"<p>{LINK}</p>\\n{LINK}\\n"'),
    (f'"\\u003cp\\u003e{URL}\\u003c/p\\u003e"', f'"\\u003cp\\u003e{LINK}\\u003c/p\\u003e"'),
    (f'"&quot;{URL}&quot;"', f'"&quot;{LINK}&quot;"'),
    (f'"{URL} 1x,{URL} 2x"', f'"{LINK} 1x,{LINK} 2x"'),
    (f'"{URL},{URL}"', f'"{LINK},{LINK}"'),
    (f'"{SIGNED};{SIGNED}|{URL}({URL})[{URL}]"', f'"{LINK};{LINK}|{LINK}({LINK})[{LINK}]"'),
    (f'"<a href={URL}>{URL}&nbsp;{URL}&#39;"', f'"<a href={LINK}>{LINK}&nbsp;{LINK}&#39;"'),
    (f'"\\u003ca href=\\u0027{URL}\\u0027\\u003e"', f'"\\u003ca href=\\u0027{LINK}\\u0027\\u003e"'),
    (f'"\\ud83d\\ude00{URL}\\ud83d\\ude00{URL}\\u00a0"', f'"\\ud83d\\ude00{LINK}\\ud83d\\ude00{LINK}\\u00a0"'),
    # what follows a `#` is the client's
    (f'"{URL}#t=3"', f'"{LINK}#t=3"'),
    (f'{{"a":"{SIGNED}\\u0023t=3"}}', f'{{"a":"{LINK}\\u0023t=3"}}'),
    # one inside another URL is a part of that one
    (f'{{"a":"{URL}?u={URL}","b":"{URL}"}}', f'{{"a":"{LINK}","b":"{LINK}"}}'),
    (f'"https://evil.test/?u={URL}&v=2 https://evil.test/{URL}"', None),
    (json.dumps(f"https://evil.test/?u={URL}").replace("/", "\\/"), None),
    # names of members stay
    (f'{{"{URL}":"{URL}","x {URL} y" : 1}}', f'{{"{URL}":"{LINK}","x {URL} y" : 1}}'),
    (f'{{"{URL}, {URL} \\" " \n : ["{URL}"]}}', f'{{"{URL}, {URL} \\" " \n : ["{LINK}"]}}'),
    # not ours
    ('{"a":"https://cdn2.onlyfans.com.evil.test/x.jpg"}', None),
    ('{"a":"https://xcdn1.onlyfans.com/x.jpg","b":"https://public.onlyfans.com/x.jpg"}', None),
    ('{"a":"https://u@cdn2.onlyfans.com/x.jpg","b":"http://cdn2.onlyfans.com/x.jpg"}', None),
    ('{"a":"https://cdn2.onlyfans.com@evil.test/x.jpg","b":"https://cdn2.onlyfans.com:80/x.jpg"}', None),
    ('{"a":"xhttps://cdn2.onlyfans.com/x.jpg","b":"https://cdn2.onlyfans.com/","c":"https://cdn2.onlyfans.com"}', None),
    ('{"a":"https://cdn2.onlyfans.com/a/../x.jpg"}', None),
    ("", None),
    ('{"a": 1.10, "a": 2}', None),
    ("not json at all", None),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after"), CASES)
def test_cached_urls_become_links(before: str, after: str | None) -> None:
    """Every spelling of a cached file's URL is replaced, in the escapes of its writer; nothing else is."""
    got = swap(before.encode(), SCANNER, all_cached)
    assert got.body.decode() == (before if after is None else after)


def test_uncached_urls_stay_and_are_reported_once() -> None:
    """A body without cached files is the same object; each missing file is named once, with the URL to fetch."""
    body = f'{{"a":"{SIGNED}","b":"{URL}","c":"{URL.replace("x.jpg", "y.jpg")}"}}'.encode()
    got = swap(body, SCANNER, none_cached)
    assert got.body is body
    assert got.count == 0
    assert [(m.text, m.url) for m in got.missing] == [
        (KEY, SIGNED),
        ("cdn*.onlyfans.com /files/a/y.jpg", "https://cdn2.onlyfans.com/files/a/y.jpg"),
    ]


def test_html_entities_do_not_reach_the_url_to_fetch() -> None:
    """`&amp;` in message HTML is `&` in the URL."""
    got = swap(f'"<a href=\\"{SIGNED.replace("&", "&amp;")}\\">"'.encode(), SCANNER, none_cached)
    assert [m.url for m in got.missing] == [SIGNED]


PRESIGNED = "https://bucket.test/f/x?X-Amz-A=1&X-Amz-B=2"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f'"{SIGNED}"', f'"{PRESIGNED}"'),
        (f'"{SIGNED.replace("&", "&amp;")}"', f'"{PRESIGNED.replace("&", "&amp;")}"'),
        (f'"{SIGNED}"'.replace("&", "\\u0026"), f'"{PRESIGNED}"'.replace("&", "\\u0026")),
        (f'"{SIGNED.replace("&", "\\u0026amp;")}"', f'"{PRESIGNED.replace("&", "\\u0026amp;")}"'),
    ],
)
def test_ampersands_of_a_link_are_written_as_the_urls_were(before: str, after: str) -> None:
    """A presigned link takes over whether its place is HTML, and whether the writer escapes `&`."""
    assert swap(before.encode(), SCANNER, lambda keys: dict.fromkeys(keys, PRESIGNED)).body.decode() == after


def test_one_answer_may_mix_both() -> None:
    """Swapping is per URL, and all keys are looked up in one call."""
    asked: list[list[str]] = []

    def lookup(keys: list[str]) -> dict[str, str]:
        asked.append(keys)
        return {KEY: LINK}

    other = URL.replace("x.jpg", "y.jpg")
    got = swap(f'["{SIGNED}","{other}","{URL}"]'.encode(), SCANNER, lookup)
    assert got.body.decode() == f'["{LINK}","{other}","{LINK}"]'
    assert got.count == 2
    assert len(asked) == 1
    assert sorted(asked[0]) == [KEY, KEY.replace("x.jpg", "y.jpg")]


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from([SIGNED, f"<b>{URL}</b>", "https://cdn.x/"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
), st.booleans(), st.booleans())  # fmt: skip
def test_swapping_equals_replacing_in_the_parsed_document(doc: object, ascii_only: bool, slashes: bool) -> None:
    """The bytes after a swap parse to the document with its URLs replaced, and stay JSON."""
    text = json.dumps(doc, ensure_ascii=ascii_only)
    if slashes:
        text = text.replace("/", "\\/")
    got = swap(text.encode("utf-8", "surrogatepass"), SCANNER, all_cached)
    expected = json.loads(json.dumps(doc).replace(SIGNED, LINK).replace(URL, LINK))
    assert json.loads(got.body.decode("utf-8", "surrogatepass")) == expected


def test_long_runs_without_an_end_take_linear_time() -> None:
    """A hostile body does not make the search slow."""
    for body in (
        b"https://cdn" * 100_000,
        b'"https://cdn2.onlyfans.com/' + b"a" * 1_000_000,
        b'"' + (URL + ",").encode() * 10_000,
        b'"' + (URL + "=").encode() * 10_000,
        b'"' + (URL + " ").encode() * 10_000 + b'":1',
    ):
        started = time.process_time()
        swap(body, SCANNER, none_cached)
        assert time.process_time() - started < 2
