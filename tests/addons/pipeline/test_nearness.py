"""addons/pipeline/nearness: what people mean when they mistype a path."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.pipeline.matcher import Route, parse_match
from addons.pipeline.nearness import OTHER_METHOD, PARAMETER, nearness


class Owner:
    priority = 0


def near(match: str, method: str, path: str) -> tuple[float, str]:
    return nearness(Route.of(*parse_match(match), Owner()), method, path.split("/")[1:])


@pytest.mark.parametrize(
    ("match", "path", "reason"),
    [
        ("GET /{a}/fans/active", "/x/fan/activ", "`fan` is not `fans`; `activ` is not `active`"),
        ("GET /{a}/fans/active", "/x/fans", "`active` is missing"),
        ("GET /{a}/fans/active", "/x/fans/active/5", "`5` is too much"),
        ("GET /{a}/engagement/messages/top", "/x/messages/top", "`engagement` is missing"),
        ("GET /{a}/dl/{url+}", "/x/dll/https:/c/d", "`dll` is not `dl`"),
        ("GET /{a}/dl/{url+}", "/x/dl", "`{url+}` is missing"),
    ],
)
def test_what_differs(match: str, path: str, reason: str) -> None:
    """Each difference is named: spelled otherwise, missing, too much."""
    assert near(match, "GET", path)[1] == reason


def test_spelled_alike_is_nearer_than_a_parameter_that_takes_all() -> None:
    """A typing error in two segments is nearer than another resource whose parameter takes the second."""
    assert near("GET /{a}/fans/active", "GET", "/x/fan/activ") < near("GET /{a}/posts/{id}", "GET", "/x/fan/activ")


def test_another_method_is_nearer_than_another_path() -> None:
    """The same path with another method comes before other paths with that method."""
    assert near("GET /whoami", "POST", "/whoami") == (OTHER_METHOD, "its method is GET")
    assert near("POST /webhooks", "POST", "/whoami")[0] > OTHER_METHOD


@given(st.lists(st.sampled_from(["a", "b", "{p}"]), min_size=1, max_size=5))
def test_what_matches_costs_its_parameters_alone(parts: list[str]) -> None:
    """A path that a route matches has no differences."""
    named = [f"{{p{i}}}" if p == "{p}" else p for i, p in enumerate(parts)]
    cost, reason = near(f"GET /{'/'.join(named)}", "GET", "/" + "/".join(p.replace("{p}", "c") for p in parts))
    assert (cost, reason) == (round(PARAMETER * parts.count("{p}"), 2), "")


def test_long_paths_are_no_work() -> None:
    """A path of a thousand segments is compared by its beginning."""
    assert near("GET /{a}/fans/active", "GET", "/x" * 1000)[0] < 1000
