"""addons/pipeline/paths: one canonical form of a path, decoded once, with data kept as data."""

from __future__ import annotations

import itertools
import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.pipeline.paths import BadPath, CanonicalPath, Template, canonical_path, encode_segment, parse_template

SEGMENT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(
    lambda s: not {".", ".."} & set(s.replace("\\", "/").split("/"))
)

BAD = [
    # dot segments, raw, encoded, and hidden behind an encoded slash
    ("/a/../b", "dot segment"),
    ("/a/./b", "dot segment"),
    ("/a/%2e%2e/b", "dot segment"),
    ("/a/%2E./b", "dot segment"),
    ("/a/x%2F..%2Fy", "dot segment"),
    ("/a/x%5C..", "dot segment"),
    # NUL and control characters
    ("/a/%00", "NUL"),
    ("/a/\x00", "NUL"),
    ("/a/%0d%0aX", "control"),
    ("/a/%7f", "control"),
    ("/a/%C2%85", "control"),
    # escapes and encoding
    ("/a/%", "hexadecimal"),
    ("/a/%zz", "hexadecimal"),
    ("/a/%ff", "UTF-8"),
    ("/a/%ed%a0%80", "UTF-8"),
]


@pytest.mark.parametrize(("target", "reason"), BAD)
def test_unsafe_paths_are_refused(target: str, reason: str) -> None:
    """A path with a dot segment, NUL, control character or broken encoding is 400 `bad_request`, and says why."""
    with pytest.raises(BadPath, match=reason) as caught:
        canonical_path(target).check()
    assert (caught.value.status, caught.value.code) == (400, "bad_request")


def test_target_must_be_a_path() -> None:
    """What does not begin with a slash is no path."""
    with pytest.raises(BadPath):
        canonical_path("http://host/x")


@pytest.mark.parametrize(
    ("target", "segments"),
    [
        ("/", ()),
        ("/a/b", ("a", "b")),
        # trailing and double slashes
        ("/a/b/", ("a", "b")),
        ("//a///b//", ("a", "b")),
        # decoded once: what was encoded twice stays data
        ("/a/x%2Fy", ("a", "x/y")),
        ("/a/%252e%252e", ("a", "%2e%2e")),
        ("/a/%C3%A9", ("a", "é")),
        ("/a/é", ("a", "é")),
        ("/a/..b", ("a", "..b")),
        ("/a/b?c=/../d", ("a", "b")),
    ],
)
def test_segments(target: str, segments: tuple[str, ...]) -> None:
    """Segments are split at raw slashes, then decoded once; empty ones are dropped."""
    path = canonical_path(target)
    path.check()
    assert path.segments == segments


@given(st.lists(SEGMENT, max_size=6))
def test_encoding_round_trips(segments: list[str]) -> None:
    """Encoding segments and reading them back gives the same segments, and the canonical text is a fixed point."""
    path = canonical_path("/" + "/".join(encode_segment(s) for s in segments))
    path.check()
    assert list(path.segments) == segments
    assert canonical_path(path.canonical).canonical == path.canonical


@given(st.lists(SEGMENT, min_size=1, max_size=4))
def test_spellings_have_one_canonical_form(segments: list[str]) -> None:
    """However a segment is percent-encoded, the canonical path is the same."""
    plain = canonical_path("/" + "/".join(encode_segment(s) for s in segments))
    heavy = canonical_path("//" + "/".join("".join(f"%{b:02x}" for b in s.encode()) for s in segments) + "/")
    assert heavy.canonical == plain.canonical


@given(st.text(max_size=60))
def test_any_target_gives_a_path_or_bad_path(text: str) -> None:
    """No target raises anything but BadPath."""
    try:
        path = canonical_path("/" + text)
        path.check()
    except BadPath:
        return
    assert isinstance(path, CanonicalPath)


@given(st.text(alphabet="/.%25eEfF0\\aé;", max_size=24))
def test_what_is_accepted_is_one_path_only(text: str) -> None:
    """An accepted target holds no dot segment, however it was written, and its canonical form is the same path."""
    path = canonical_path("/" + text)
    try:
        path.check()
    except BadPath:
        return
    assert not any(part in (".", "..") for segment in path.segments for part in re.split(r"[/\\]", segment))
    again = canonical_path(path.canonical)
    again.check()
    assert (again.segments, again.canonical) == (path.segments, path.canonical)


def bind(template: str, target: str) -> dict[str, str] | None:
    return parse_template(template).bind(canonical_path(target))


def test_parameter_is_one_segment() -> None:
    """`{name}` takes one segment and never a slash that was sent as one."""
    assert bind("/{account}/x/{id}", "/acct/x/a%2Fb") == {"account": "acct", "id": "a/b"}
    assert bind("/{account}/x/{id}", "/acct/x/a/b") is None


@pytest.mark.parametrize(
    "tail",
    [
        "https://cdn2.onlyfans.com/a/../b.jpg?Policy=x&Signature=y~z",
        "https%3A%2F%2Fcdn2.onlyfans.com%2Fa%00?x",
        "a",
        "//a//b/",
    ],
)
def test_rest_keeps_its_text(tail: str) -> None:
    """`{rest+}` is the target as sent from there on, query included, whatever it holds."""
    found = bind("/{account}/media/download/{url+}", f"/acct/media/download/{tail}")
    assert found is not None
    assert found["url"] == tail.lstrip("/")


def test_rest_needs_something() -> None:
    """An empty rest does not match."""
    assert bind("/a/{rest+}", "/a/") is None


@pytest.mark.parametrize(
    "text", ["a", "/a//b", "/a/", "/{a+}/b", "/{a}/{a}", "/x{a}", "/{a b}", "/a?b", "/a/..", "/{}"]
)
def test_bad_templates(text: str) -> None:
    """A template that is not plain is refused with a reason."""
    with pytest.raises(ValueError, match=r"\S"):
        parse_template(text)


PARTS = st.lists(st.sampled_from(["a", "b", "{p}", "{q}"]), min_size=1, max_size=4)


@st.composite
def templates(draw: st.DrawFn) -> Template:
    parts = draw(PARTS)
    named = [f"{{p{i}}}" if p.startswith("{") else p for i, p in enumerate(parts)]
    if draw(st.booleans()):
        named[-1] = "{rest+}"
    return parse_template("/" + "/".join(named))


PATHS = [
    canonical_path("/" + "/".join(parts)) for n in range(1, 6) for parts in itertools.product(["a", "b", "c"], repeat=n)
]


@given(templates(), templates())
def test_overlap_and_cover_agree_with_matching(one: Template, other: Template) -> None:
    """`overlaps` and `covers` say what trying every short path says."""
    hits_one = {p.target for p in PATHS if one.bind(p) is not None}
    hits_other = {p.target for p in PATHS if other.bind(p) is not None}
    assert one.overlaps(other) == bool(hits_one & hits_other)
    assert one.covers(other) == (hits_other <= hits_one)


def test_fill_encodes() -> None:
    """Parameters go into an upstream path encoded, so that none can add a segment or a query."""
    assert parse_template("/u/{name}").fill({"name": "a/b?c#d e"}) == "/u/" + quote("a/b?c#d e", safe="")
