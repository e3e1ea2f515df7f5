"""addons/pipeline/matcher: the trie finds what a naive search finds."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.pipeline.matcher import Matcher, Route, parse_match
from addons.pipeline.paths import BadPath, canonical_path


@dataclass(frozen=True)
class Owner:
    name: str
    priority: int = 0


def routes(*texts: str, priority: int = 0) -> list[Route[Owner]]:
    return [Route.of(*parse_match(text), Owner(text, priority)) for text in texts]


def find(found: list[Route[Owner]], method: str, target: str) -> str | None:
    route = Matcher(found).find(method, canonical_path(target))
    return route.owner.name if route else None


def naive(found: list[Route[Owner]], method: str, segments: list[str]) -> set[str]:
    """The spellings that design 4 lets win, from their text alone: a regular expression each, and the order as it is said."""

    def fits(route: Route[Owner]) -> bool:
        text = re.sub(r"\{\w+\+\}", ".+", re.sub(r"\{\w+\}", "[^/]+", route.template.text))
        serves = route.method in (method, "*") or (method, route.method) == ("HEAD", "GET")
        return serves and re.fullmatch(text, "/" + "/".join(segments)) is not None

    def rank(route: Route[Owner]) -> tuple[int, ...]:
        params = route.template.text.count("{")
        literals = route.template.text.count("/") - params
        named = route.method != "*"
        return route.owner.priority, literals, -params, named, route.method == method

    fitting = [route for route in found if fits(route)]
    best = max(map(rank, fitting), default=())
    return {str(route) for route in fitting if rank(route) == best}


ONE = st.sampled_from(["a", "b", "{p}"])


@st.composite
def any_route(draw: st.DrawFn) -> Route[Owner]:
    parts = draw(st.lists(ONE, min_size=1, max_size=4))
    named = [f"{{p{i}}}" if p == "{p}" else p for i, p in enumerate(parts)]
    if draw(st.integers(0, 4)) == 0:
        named.append("{rest+}")
    method = draw(st.sampled_from(["GET", "POST", "HEAD", "*"]))
    return Route.of(method, parse_match(f"GET /{'/'.join(named)}")[1], Owner("x", draw(st.integers(-1, 1))))


@given(
    st.lists(any_route(), max_size=12),
    st.lists(st.sampled_from(["a", "b", "c"]), max_size=5),
    st.sampled_from(["GET", "HEAD", "POST", "PUT"]),
)
def test_finds_what_a_naive_search_finds(found: list[Route[Owner]], parts: list[str], method: str) -> None:
    """For any rules and path, one of the routes wins that a naive search by the stated order lets win, or none does."""
    got = Matcher(found).find(method, canonical_path("/" + "/".join(parts)))
    winners = naive(found, method, parts)
    assert (str(got) in winners) if got is not None else (winners == set())


def test_more_literals_win() -> None:
    """A literal segment goes before a parameter."""
    assert find(routes("GET /{a}/x/{b}", "GET /{a}/x/y"), "GET", "/1/x/y") == "GET /{a}/x/y"


def test_fewer_parameters_win() -> None:
    """With equal literals, fewer parameters win."""
    found = routes("GET /x/{a}/{b+}", "GET /x/{c+}")
    assert find(found, "GET", "/x/1/2") == "GET /x/{c+}"


def test_named_method_before_any() -> None:
    """`*` goes after a named method, and serves all others."""
    found = routes("* /x", "GET /x")
    assert find(found, "GET", "/x") == "GET /x"
    assert find(found, "PUT", "/x") == "* /x"


def test_priority_goes_first() -> None:
    """`priority` wins over every other measure."""
    assert find([*routes("GET /x/y"), *routes("GET /{a}/{b}", priority=1)], "GET", "/x/y") == "GET /{a}/{b}"


def test_head_uses_get() -> None:
    """HEAD falls back to GET, but a rule that names HEAD goes first."""
    assert find(routes("GET /x", "POST /x"), "HEAD", "/x") == "GET /x"
    assert find(routes("GET /x", "HEAD /x"), "HEAD", "/x") == "HEAD /x"


def test_faults_count_only_before_a_rest() -> None:
    """A dot segment or `//` inside the text of `{rest+}` is data; anywhere else it is refused, matched or not."""
    found = routes("GET /{a}/media/{url+}", "GET /{a}/x")
    assert find(found, "GET", "/1/media/https://c/../x") == "GET /{a}/media/{url+}"
    for target in ("/../media/x", "/1/../x", "/nowhere/%2e%2e/at/all"):
        with pytest.raises(BadPath):
            find(found, "GET", target)


@pytest.mark.parametrize("text", ["/x", "GET", "FETCH /x", "get /x", "GET x", "GET /x?y=1"])
def test_bad_match(text: str) -> None:
    """`match` is `METHOD /path`, nothing else."""
    with pytest.raises(ValueError, match=r"\S"):
        parse_match(text)
