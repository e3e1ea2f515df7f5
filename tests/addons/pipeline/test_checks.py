"""One value against one declaration: what passes, what it becomes, and Laravel's sentence for what does not."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from addons.pipeline.checks import Wrong, check, label
from addons.pipeline.rule_models import ParamRule

NOW = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "spec", "expected"),
    [
        ("5", {"type": "int", "min": 1, "max": 20}, 5),
        ("-3", {"type": "int"}, -3),
        (5, {"type": "int"}, 5),
        (Decimal("5.0"), {"type": "int"}, 5),
        ("1.10", {"type": "number"}, Decimal("1.10")),
        (Decimal("0.1"), {"type": "number"}, Decimal("0.1")),
        ("true", {"type": "bool"}, True),
        ("0", {"type": "bool"}, False),
        ("-30days", {"type": "date"}, "-30days"),
        ("asc", {"type": "string", "enum": ["asc", "desc"]}, "asc"),
        (["a"], {"type": "array"}, ["a"]),
        ({"a": 1}, {"type": "object"}, {"a": 1}),
    ],
)
def test_values_are_converted(value: Any, spec: dict[str, Any], expected: Any) -> None:
    """Handlers get typed values; money stays exact."""
    got = check("x", value, ParamRule(**spec), NOW, text=isinstance(value, str))
    assert got == expected
    assert type(got) is type(expected)


@pytest.mark.parametrize(
    ("name", "value", "spec", "text"),
    [
        ("limit", "21", {"type": "int", "max": 20}, "The limit field must not be greater than 20."),
        ("limit", "0", {"type": "int", "min": 1}, "The limit field must be at least 1."),
        ("limit", "abc", {"type": "int"}, "The limit field must be an integer."),
        ("limit", "1.5", {"type": "int"}, "The limit field must be an integer."),
        ("limit", "9" * 40, {"type": "int"}, "The limit field must be an integer."),
        ("limit", "٣", {"type": "int"}, "The limit field must be an integer."),  # a digit, but not an ASCII one
        ("limit", True, {"type": "int"}, "The limit field must be an integer."),
        ("price", "1e999", {"type": "number", "max": 100}, "The price field must not be greater than 100."),
        ("price", "nan", {"type": "number"}, "The price field must be a number."),
        ("fresh", "yes", {"type": "bool"}, "The fresh field must be true or false."),
        ("startDate", "2025-02-30", {"type": "date"}, "The start date field must be a valid date."),
        ("name", 5, {"type": "string"}, "The name field must be a string."),
        ("name", "abc", {"type": "string", "max_length": 2}, "The name field must not be greater than 2 characters."),
        ("name", "", {"type": "string", "min_length": 1}, "The name field must be at least 1 characters."),
        ("name", "a b", {"type": "string", "pattern": "[a-z]+"}, "The name field format is invalid."),
        ("sort", "x", {"type": "string", "enum": ["asc"]}, "The selected sort is invalid. Expected one of: asc."),
        ("tags", "a", {"type": "array"}, "The tags field must be an array."),
        ("tags", [1, 2], {"type": "array", "max_length": 1}, "The tags field must not have more than 1 items."),
        ("options", [], {"type": "object"}, "The options field must be an object."),
    ],
)
def test_wrong_values_get_laravels_sentence(name: str, value: Any, spec: dict[str, Any], text: str) -> None:
    """The sentence names the field and what was expected."""
    with pytest.raises(Wrong) as caught:
        check(name, value, ParamRule(**spec), NOW, text=isinstance(value, str))
    assert str(caught.value) == text


def test_labels_read_as_laravels() -> None:
    """camelCase and snake_case become words."""
    assert [label(n) for n in ("startDate", "total_spent", "filter.total_spent")] == [
        "start date",
        "total spent",
        "filter.total spent",
    ]


@pytest.mark.parametrize("value", ["a\x00b", "a\ud800", "\udcff"])
def test_text_that_no_store_holds_is_refused(value: str) -> None:
    """NUL and lone surrogates are 422 here, not an error of the database later."""
    with pytest.raises(Wrong, match="must not hold NUL characters or broken Unicode"):
        check("x", value, ParamRule(type="string"), NOW, text=True)
