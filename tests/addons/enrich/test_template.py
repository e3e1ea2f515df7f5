"""addons/enrich/template: text from parts of row, path, query and account."""

from __future__ import annotations

from typing import Any

import pytest

from addons.pipeline.steps import RuleProblem
from tests.addons.enrich.bench import run

URL = {"each": "$.list[*]", "set": {"url": "https://onlyfans.com/{account.username}/c{code}"}}


def test_parts_are_filled_in() -> None:
    """Row fields and the account make a text; numbers as they are written."""
    ran = run("template", URL, b'{"list":[{"code":12},{"code":"1.10"},{"code":1.10}]}')
    assert [r["url"].rsplit("/", 1)[1] for r in ran.value["list"]] == ["c12", "c1.10", "c1.10"]


def test_missing_part_sets_nothing() -> None:
    """A text with a part that is absent or null is not set."""
    ran = run("template", URL, {"list": [{}, {"code": None}]})
    assert ran.value == {"list": [{}, {"code": None}]}
    assert ran.counts == {"incomplete": 2}


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"set": {"n": "{query.n}"}}, {"n": 5}),
        ({"set": {"n": "{query.n}"}, "as": "text"}, {"n": "5"}),
        ({"set": {"n": "{params.id}"}}, {"n": "12"}),
        ({"set": {"n": "{params.id}"}, "as": "int"}, {"n": 12}),
        ({"set": {"n": "{params.word}"}, "as": "int"}, {}),
        ({"set": {"n": "{params.huge}"}, "as": "int"}, {}),
        ({"set": {"n": ""}}, {"n": ""}),
        ({"set": {"n": "{query.absent}"}}, {}),
    ],
)
def test_types(params: dict[str, Any], expected: dict[str, Any]) -> None:
    """One part alone keeps its type; `as` converts; what cannot be converted is not set."""
    path = {"id": "12", "word": "x", "huge": "1e999999999"}
    assert run("template", params, {}, query={"n": 5}, path=path).value == expected


@pytest.mark.parametrize("text", ["{", "a}b", "{account.password}", "{a[0]}", "{}"])
def test_bad_texts(text: str) -> None:
    """A brace without its partner, and a part that does not exist, are errors at load."""
    with pytest.raises(RuleProblem):
        run("template", {"set": {"x": text}}, {})
