"""Queries are read as PHP reads them, and what is not changed keeps its text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.pipeline import phpquery


def test_pairs_decode_names_and_values_and_keep_their_text() -> None:
    """`+` and percent escapes are decoded once; the text as sent stays with the pair."""
    found = phpquery.pairs("filter%5Btags%5D%5B%5D=a+b&x=%2B&&empty=&flag")
    assert [(p.name, p.value) for p in found] == [("filter[tags][]", "a b"), ("x", "+"), ("empty", ""), ("flag", "")]
    assert found[0].text == "filter%5Btags%5D%5B%5D=a+b"


@pytest.mark.parametrize(
    ("query", "name", "expected"),
    [
        ("tags[]=a&tags[]=b", "tags", ["a", "b"]),
        ("tags[0]=a&tags[7]=b", "tags[]", ["a", "b"]),
        ("tags=a", "tags[]", ["a"]),
        ("filter[tags][]=a&filter[tagsx][]=b", "filter[tags][]", ["a"]),
        ("other=1", "tags", []),
    ],
)
def test_every_spelling_of_a_list_is_one_list(query: str, name: str, expected: list[str]) -> None:
    """`tags`, `tags[]` and `tags[3]` are values of one list."""
    assert phpquery.values_of(phpquery.pairs(query), name) == expected


def test_the_last_of_equal_names_wins() -> None:
    """As in PHP."""
    assert phpquery.value_of(phpquery.pairs("a=1&a=2"), "a") == "2"


def test_too_many_parameters_are_refused() -> None:
    """A query cannot make the gateway build endless lists."""
    with pytest.raises(phpquery.TooManyParameters, match="1001"):
        phpquery.pairs("&".join(f"a{i}=1" for i in range(1001)))


@pytest.mark.parametrize(
    ("query", "changes", "expected"),
    [
        # replaced in place, added at the end, removed
        ("limit=5&offset=0&q=a%20b", {"offset": "5"}, "limit=5&offset=5&q=a%20b"),
        ("q=x", {"offset": "10", "limit": "10"}, "q=x&offset=10&limit=10"),
        ("first_id=3&order=asc", {"first_id": None, "last_id": "9"}, "order=asc&last_id=9"),
        # a doubled parameter is replaced once
        ("offset=1&offset=2", {"offset": "3"}, "offset=3"),
        ("", {"marker": "a&b"}, "marker=a%26b"),
    ],
)
def test_changed_queries_keep_everything_else_as_sent(
    query: str, changes: dict[str, str | None], expected: str
) -> None:
    """Order and encoding of the client's other parameters survive."""
    assert phpquery.with_values(query, changes) == expected


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=8), max_size=6))
def test_encoded_values_come_back(values: dict[str, str]) -> None:
    """What `with_values` writes, `pairs` reads."""
    names = {n: v for n, v in values.items() if n.encode("utf-8", "ignore").decode() == n}
    clean = {n: v for n, v in names.items() if v.encode("utf-8", "ignore").decode() == v}
    query = phpquery.with_values("", dict(clean))
    assert {p.name: p.value for p in phpquery.pairs(query)} == clean


def test_names_translate_between_brackets_and_dots() -> None:
    """Errors name fields as Laravel does; hints name them as clients must write them."""
    assert phpquery.dotted("filter[tags][]") == "filter.tags"
    assert phpquery.bracketed("filter.total_spent") == "filter[total_spent]"
